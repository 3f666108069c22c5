//! Commands as data: what will be dispatched, with which parameters and tensors, before any of it runs.

use std::iter::Sum;

use super::variants::Asked;
use super::{Access, Build, Places, Shader, Tensor, Variant, Variants};
use crate::base::{Error, Result};

/// The least work a dispatch can do: the profiler's roofline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Floating-point operations (a fused multiply-add counts two).
    pub operations: u64,
    /// Bytes that must be read and written at least once.
    pub bytes: u64,
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, cost| Self {
            operations: sum.operations + cost.operations,
            bytes: sum.bytes + cost.bytes,
        })
    }
}

/// One dispatch.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub shader: &'static Shader,
    /// Index into `shader.variants`.
    pub variant: usize,
    /// The bytes of `Params`.
    pub params: Vec<u8>,
    /// Tensors in the order of `shader.bindings`.
    pub tensors: Vec<Tensor>,
    /// Workgroups in x, y, z.
    pub groups: [u32; 3],
    /// Node name, shown in traces and errors.
    pub label: String,
    /// Least work.
    pub cost: Cost,
    /// Whether the parameters are constants of its pipeline ([`Recording::dispatch_constant`]).
    pub constant: bool,
}

impl Dispatch {
    /// What its pipeline is built of, with the tensors at these places read from textures.
    pub fn build(&self, texels: Places) -> Build {
        let params = if self.constant { self.params.clone() } else { Vec::new() };
        Build { shader: self.shader, variant: self.variant, halves: Places::halves(&self.tensors), texels, params }
    }

    /// Whether both do the same to the same tensors; labels may differ.
    pub fn does(&self, other: &Self) -> bool {
        std::ptr::eq(self.shader, other.shader)
            && (self.variant, self.constant, self.groups) == (other.variant, other.constant, other.groups)
            && self.params == other.params
            && self.tensors == other.tensors
    }
}

/// A list of dispatches, and the variant chosen for each kernel.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// Forced or measured variants; a kernel that is not listed takes its first.
    pub variants: Variants,
    asked: Asked,
    label: String,
}

impl Recording {
    /// An empty recording.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names what is recorded from here on.
    pub fn label(&mut self, label: &str) {
        label.clone_into(&mut self.label);
    }

    /// The variant that this recording uses for a kernel.
    pub fn variant(&self, shader: &'static Shader) -> &'static Variant {
        &shader.variants[self.variants.index(shader)]
    }

    /// The forms for work of a class of shapes; `operations` are those of one call. Where factors may be rounded, classes are
    /// others ([`Factors::suffix`](super::variants::Factors::suffix)).
    pub fn of_class(&mut self, mut class: String, operations: u64) -> Variants {
        class += self.variants.factors.suffix();
        let forms = self.variants.of_class(&class);
        *self.asked.entry(class).or_default() += operations;
        forms
    }

    /// The classes that were asked for, and the operations of each.
    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    /// Appends a dispatch of the variant that this recording uses.
    ///
    /// # Errors
    /// As [`Recording::dispatch_variant`].
    pub fn dispatch<P: bytemuck::Pod>(
        &mut self,
        shader: &'static Shader,
        params: P,
        tensors: &[&Tensor],
        groups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        let variant = self.variants.index(shader);
        self.dispatch_variant(shader, variant, params, tensors, groups, cost)
    }

    /// Appends a dispatch of a variant, for kernels where the call chooses among several.
    ///
    /// # Errors
    /// When the number of tensors is not the shader's, when one buffer would be both read and written, when a tensor
    /// cannot be in half precision, or when a grid dimension passes WebGPU's 65,535.
    pub fn dispatch_variant<P: bytemuck::Pod>(
        &mut self,
        shader: &'static Shader,
        variant: usize,
        params: P,
        tensors: &[&Tensor],
        groups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        let name = shader.name;
        if tensors.len() != shader.bindings.len() {
            return Err(Error::Shape(format!(
                "{name}: {} tensors for {} bindings",
                tensors.len(),
                shader.bindings.len()
            )));
        }
        let reads = |a: Access| matches!(a, Access::Read | Access::Uniform);
        for (i, (a, first)) in shader.bindings.iter().zip(tensors).enumerate() {
            for (b, second) in shader.bindings.iter().zip(tensors).skip(i + 1) {
                if first.buffer == second.buffer && reads(a.access) != reads(b.access) {
                    return Err(Error::Shape(format!(
                        "{name} ({}): `{}` and `{}` lie in one buffer, one read and one written",
                        self.label, a.name, b.name
                    )));
                }
            }
        }
        if groups.iter().any(|&g| g > 65_535) {
            return Err(Error::Shape(format!("{name} ({}): grid {groups:?} passes 65535", self.label)));
        }
        if groups.contains(&0) {
            return Err(Error::Shape(format!("{name} ({}): empty grid {groups:?}", self.label)));
        }
        // Costs count four bytes an element, pads included.
        let spared: u64 = tensors.iter().map(|t| (4 - t.dtype.bytes()) * t.shape.physical() as u64).sum();
        let cost = Cost { bytes: cost.bytes.saturating_sub(spared), ..cost };
        let halves = Places::halves(tensors.iter().copied());
        shader.check_halves(halves)?;
        self.dispatches.push(Dispatch {
            shader,
            variant,
            params: bytemuck::bytes_of(&params).to_vec(),
            tensors: tensors.iter().map(|&t| t.clone()).collect(),
            groups,
            label: self.label.clone(),
            cost,
            constant: false,
        });
        Ok(())
    }

    /// As [`Recording::dispatch`], with the parameters as constants of a pipeline of its own
    /// ([`constants`](super::constants)): for kernels that a driver's compiler makes faster when it knows all sizes.
    ///
    /// # Errors
    /// As [`Recording::dispatch_variant`].
    pub fn dispatch_constant<P: bytemuck::Pod>(
        &mut self,
        shader: &'static Shader,
        params: P,
        tensors: &[&Tensor],
        groups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        let variant = self.variants.index(shader);
        self.dispatch_variant_constant(shader, variant, params, tensors, groups, cost)
    }

    /// [`Recording::dispatch_constant`] of a variant.
    ///
    /// # Errors
    /// As [`Recording::dispatch_variant`].
    pub fn dispatch_variant_constant<P: bytemuck::Pod>(
        &mut self,
        shader: &'static Shader,
        variant: usize,
        params: P,
        tensors: &[&Tensor],
        groups: [u32; 3],
        cost: Cost,
    ) -> Result<()> {
        self.dispatch_variant(shader, variant, params, tensors, groups, cost)?;
        if let Some(appended) = self.dispatches.last_mut() {
            appended.constant = true;
        }
        Ok(())
    }

    /// Appends another recording.
    pub fn append(&mut self, other: &Self) {
        self.dispatches.extend(other.dispatches.iter().cloned());
    }

    /// Sum of the dispatches' costs.
    pub fn cost(&self) -> Cost {
        self.dispatches.iter().map(|d| d.cost).sum()
    }
}

/// A one-dimensional grid of `count` invocations in workgroups of `width`, folded into y past 65,535 groups. The
/// shader finds its index as `(group.x + group.y * groups.x) * width + lane` and guards against the rest.
pub fn grid(count: usize, width: u32) -> [u32; 3] {
    let groups = count.div_ceil(width as usize).max(1) as u64;
    let y = groups.div_ceil(65_535);
    [groups.div_ceil(y) as u32, y as u32, 1]
}
