//! Flat buffers for named tensors: parameters, gradients, momenta, states.

use std::collections::HashMap;

use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Tensor, readback};

/// Each tensor starts at a multiple of this many elements: WebGPU's largest offset alignment.
pub const ALIGN: usize = 64;

/// Named tensors in one buffer, so that an optimizer step is one dispatch.
#[derive(Clone, Debug)]
pub struct Store {
    flat: Tensor,
    slices: HashMap<String, Tensor>,
    names: Vec<String>,
}

impl Store {
    /// Lays the tensors out one after the other, filled with zeros.
    ///
    /// # Errors
    /// When the buffer does not fit the adapter, or a name stands twice.
    pub fn new(engine: &Engine, label: &str, tensors: &[(String, Shape)]) -> Result<Self> {
        let mut total = 0;
        let mut places = Vec::with_capacity(tensors.len());
        for (_, shape) in tensors {
            places.push(total);
            total += shape.physical().next_multiple_of(ALIGN);
        }
        let flat = engine.tensor(label, Shape::new(&[total.max(ALIGN)]), DType::F32)?;
        let mut slices = HashMap::new();
        let mut names = Vec::new();
        for ((name, shape), place) in tensors.iter().zip(places) {
            let window = flat.window(4 * place as u64, shape.clone());
            if slices.insert(name.clone(), window).is_some() {
                return Err(Error::Shape(format!("{label}: two tensors are named `{name}`")));
            }
            names.push(name.clone());
        }
        Ok(Self { flat, slices, names })
    }

    /// Another buffer of the same layout, filled with zeros (gradients, momenta).
    ///
    /// # Errors
    /// When it does not fit.
    pub fn same_layout(&self, engine: &Engine, label: &str) -> Result<Self> {
        let flat = engine.tensor(label, self.flat.shape.clone(), DType::F32)?;
        let moved = |t: &Tensor| Tensor { buffer: flat.buffer.clone(), ..t.clone() };
        let slices = self.slices.iter().map(|(n, t)| (n.clone(), moved(t))).collect();
        Ok(Self { flat, slices, names: self.names.clone() })
    }

    /// The whole buffer as one tensor `(n)`.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Names in the order of the layout.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// One tensor.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.slices.get(name).ok_or_else(|| Error::Shape(format!("no tensor is named `{name}`")))
    }

    /// Writes one tensor's logical values.
    ///
    /// # Errors
    /// When there is none of that name or the number of values is not its shape's.
    pub fn write(&self, engine: &Engine, name: &str, values: &[f32]) -> Result<()> {
        let tensor = self.get(name)?;
        if values.len() != tensor.shape.elements() {
            return Err(Error::Shape(format!("`{name}` {}: {} values", tensor.shape, values.len())));
        }
        engine.write(tensor, values);
        Ok(())
    }

    /// Reads every tensor's logical values, in one wait.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read_all(&self, engine: &Engine) -> Result<HashMap<String, Vec<f32>>> {
        let words = readback::read_words::<f32>(engine, &[&self.flat])?.remove(0);
        let mut out = HashMap::new();
        for name in &self.names {
            let t = &self.slices[name];
            let first = (t.offset - self.flat.offset) as usize / 4;
            out.insert(name.clone(), t.shape.unpad(&words[first..first + t.shape.physical()]));
        }
        Ok(out)
    }
}
