//! Tensors to time kernels on.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::base::{DType, Result, Shape};
use crate::gpu::{Engine, Tensor};
use crate::kernels::ceilings::noise;

/// What a tensor holds, as far as it decides whether two are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Values {
    Noise,
    /// The bits of one number.
    Same(u32),
    /// Whole numbers below this.
    Below(u32),
    Words,
    Scratch,
}

/// What a tensor is for, what it holds, its sizes.
type Key = (&'static str, Values, Vec<usize>);

/// Tensors by what they are for, what they hold and their sizes. Each is made once, so that the works of one shape share theirs:
/// eighteen kernels on a map that no cache holds would not fit otherwise.
pub struct Tensors<'a> {
    /// Where they are.
    pub engine: &'a Engine,
    made: RefCell<HashMap<Key, Tensor>>,
}

impl<'a> Tensors<'a> {
    /// None yet.
    pub fn new(engine: &'a Engine) -> Self {
        Self { engine, made: RefCell::default() }
    }

    fn of(
        &self,
        part: &'static str,
        values: Values,
        sizes: &[usize],
        make: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let key = (part, values, sizes.to_vec());
        if let Some(tensor) = self.made.borrow().get(&key) {
            return Ok(tensor.clone());
        }
        let tensor = make()?;
        self.made.borrow_mut().insert(key, tensor.clone());
        Ok(tensor)
    }

    /// Values in [-0.5, 0.5).
    ///
    /// # Errors
    /// When the adapter has no room; so for all of these.
    pub fn noise(&self, part: &'static str, sizes: &[usize]) -> Result<Tensor> {
        self.of(part, Values::Noise, sizes, || noise(self.engine, sizes))
    }

    /// One number in every place.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn same(&self, part: &'static str, sizes: &[usize], value: f32) -> Result<Tensor> {
        self.of(part, Values::Same(value.to_bits()), sizes, || {
            let tensor = self.engine.tensor(part, Shape::new(sizes), DType::F32)?;
            self.engine.write(&tensor, &vec![value; tensor.shape.elements()]);
            Ok(tensor)
        })
    }

    /// Unsigned numbers below `bound`, in no order.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn below(&self, part: &'static str, sizes: &[usize], bound: usize) -> Result<Tensor> {
        self.of(part, Values::Below(bound as u32), sizes, || {
            let tensor = self.engine.tensor(part, Shape::new(sizes), DType::U32)?;
            // A prime, and not the low bits of a product, which repeat soon.
            let values =
                (0..tensor.shape.elements() as u64).map(|i| (((i * 2_654_435_761) >> 8) % bound as u64) as u32);
            self.engine.write(&tensor, &values.collect::<Vec<u32>>());
            Ok(tensor)
        })
    }

    /// The words that `values` makes; a part has one kind of them.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn words(&self, part: &'static str, sizes: &[usize], values: impl FnOnce() -> Vec<u32>) -> Result<Tensor> {
        self.of(part, Values::Words, sizes, || {
            let tensor = self.engine.tensor(part, Shape::new(sizes), DType::U32)?;
            self.engine.write(&tensor, &values());
            Ok(tensor)
        })
    }

    /// Room for what a kernel writes in between.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn scratch(&self, part: &'static str, shape: &Shape) -> Result<Tensor> {
        self.of(part, Values::Scratch, shape.sizes(), || self.engine.tensor(part, shape.clone(), DType::F32))
    }

    /// The words of a training step's settings: its number 1, a rate of 0.001, corrections of 1, and, so that sums of gradients go
    /// on, a micro-batch that is not the first.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn step(&self) -> Result<Tensor> {
        let one = 1f32.to_bits();
        self.words("step", &[8], || vec![1, 0.001f32.to_bits(), one, one, 1, 0, 0, 0])
    }

    /// The draws of a batch from `samples` images `(B, 4)`: each names one in its first word.
    ///
    /// # Errors
    /// When the adapter has no room.
    pub fn draws(&self, batch: usize, samples: usize) -> Result<Tensor> {
        let index = |i: u64| ((i * 2_654_435_761) % samples as u64) as u32;
        self.words("draws", &[batch, 4], || (0..batch as u64).flat_map(|i| [index(i), i as u32, 0, 0]).collect())
    }
}
