//! A compute shader as data: its text, what it binds, and its variants.

use super::elements::can_be_half;
use super::{Tensor, cooperative};
use crate::base::hash::fnv1a;
use crate::base::{DType, Error, Result};

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`, every logical and pad element written, none read before.
    Write,
    /// `var<storage, read_write>`, updated in place.
    ReadWrite,
    /// The same where each element is read before it is written, and by the lane that writes it.
    Update,
    /// `var<uniform>` holding tensor data (at most the adapter's uniform binding size).
    Uniform,
}

/// A named binding; its number is its place in the list plus one (0 is `params`).
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// The WGSL variable's name.
    pub name: &'static str,
    /// How it is used.
    pub access: Access,
}

/// A storage input.
pub const fn read(name: &'static str) -> Binding {
    Binding { name, access: Access::Read }
}

/// A storage output.
pub const fn write(name: &'static str) -> Binding {
    Binding { name, access: Access::Write }
}

/// A storage buffer updated in place.
pub const fn read_write(name: &'static str) -> Binding {
    Binding { name, access: Access::ReadWrite }
}

/// A storage buffer each of whose elements is read once and then written.
pub const fn update(name: &'static str) -> Binding {
    Binding { name, access: Access::Update }
}

/// Tensor data bound as a uniform.
pub const fn uniform(name: &'static str) -> Binding {
    Binding { name, access: Access::Uniform }
}

/// Some of a shader's tensors, by their place among its bindings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Places(u32);

impl Places {
    /// Those for which `chosen` says so, in order.
    pub fn of(chosen: impl IntoIterator<Item = bool>) -> Self {
        Self(chosen.into_iter().enumerate().map(|(i, chosen)| u32::from(chosen) << i).sum())
    }

    /// Those of a dispatch's tensors that are in half precision.
    pub fn halves<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Self {
        Self::of(tensors.into_iter().map(|t| t.dtype == DType::F16))
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this place is one of them.
    pub fn contains(self, place: usize) -> bool {
        self.0 >> place & 1 == 1
    }

    /// Their names.
    pub fn names(self, shader: &Shader) -> Vec<&'static str> {
        let chosen = shader.bindings.iter().enumerate().filter(|(i, _)| self.contains(*i));
        chosen.map(|(_, binding)| binding.name).collect()
    }
}

/// What tells a pipeline from others: shader, variant, tensors in half precision, tensors in textures, constant parameters.
pub type Key = (&'static str, usize, Places, Places, Vec<u8>);

/// What a pipeline is built of.
#[derive(Clone, Debug)]
pub struct Build {
    /// The kernel.
    pub shader: &'static Shader,
    /// Index into `shader.variants`.
    pub variant: usize,
    /// Its tensors in half precision.
    pub halves: Places,
    /// Its tensors that are read from textures ([`texels`](super::texels)).
    pub texels: Places,
    /// The bytes of its parameters where they are constants ([`constants`](super::constants)); else empty.
    pub params: Vec<u8>,
}

impl Build {
    /// A variant with all tensors as the shader declares them.
    pub fn declared(shader: &'static Shader, variant: usize) -> Self {
        Self { shader, variant, halves: Places::default(), texels: Places::default(), params: Vec::new() }
    }

    /// Kernel and variant, `half` and `texels` with the names of such tensors, and `sizes` with a digest of constant parameters,
    /// with dots between. Files are named so: hyphens stand for all between the variant's letters and digits.
    pub fn name(&self) -> String {
        let words = self.shader.variants[self.variant].name.split(|c: char| !c.is_ascii_alphanumeric());
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        let mut name = format!("{}.{}", self.shader.name, words.join("-"));
        for (what, places) in [("half", self.halves), ("texels", self.texels)] {
            if !places.is_empty() {
                name += &format!(".{what}-{}", places.names(self.shader).join("-"));
            }
        }
        if !self.params.is_empty() {
            name += &format!(".sizes-{:016x}", fnv1a(&self.params));
        }
        name
    }

    /// Whether factors are scaled where they are staged as half-precision numbers: those of tensors that are in half precision hold
    /// such numbers already.
    pub fn scales(&self) -> bool {
        let halves = self.halves.names(self.shader);
        !self.shader.bindings.iter().any(|b| b.access == Access::Read && halves.contains(&b.name))
    }

    /// What tells it from others.
    pub fn key(&self) -> Key {
        (self.shader.name, self.variant, self.halves, self.texels, self.params.clone())
    }
}

impl PartialEq for Build {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

/// One way to build a kernel: override constants, and what the adapter must offer for it.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Name in reports and in forced-variant tests.
    pub name: &'static str,
    /// Override constants.
    pub constants: &'static [(&'static str, f64)],
    /// Features the adapter must have.
    pub needs: wgpu::Features,
}

impl Variant {
    /// A variant that runs on every adapter.
    pub const fn base(name: &'static str, constants: &'static [(&'static str, f64)]) -> Self {
        Self::needing(name, constants, wgpu::Features::empty())
    }

    /// A variant that needs features.
    pub const fn needing(name: &'static str, constants: &'static [(&'static str, f64)], needs: wgpu::Features) -> Self {
        Self { name, constants, needs }
    }

    /// A variant that passes values round a subgroup.
    pub const fn subgroup(name: &'static str, constants: &'static [(&'static str, f64)]) -> Self {
        Self::needing(name, constants, wgpu::Features::SUBGROUP)
    }

    /// The value of an override constant as an integer; panics when the variant does not set it.
    pub fn constant(&self, name: &str) -> u32 {
        self.sets(name).unwrap_or_else(|| panic!("variant {} has no constant {name}", self.name))
    }

    /// The value of an override constant as an integer, if the variant sets it.
    pub fn sets(&self, name: &str) -> Option<u32> {
        self.constants.iter().find(|(n, _)| *n == name).map(|(_, value)| *value as u32)
    }

    /// Whether it rounds factors to half precision: on cooperative matrices, unless each factor is kept in two halves.
    pub fn rounds(&self) -> bool {
        self.needs.contains(cooperative::NEEDS) && self.sets("SPLIT").is_none_or(|split| split == 0)
    }
}

/// A kernel's shader: one entry point named like the file, parameters at binding 0, tensors from binding 1.
#[derive(Debug)]
pub struct Shader {
    /// File stem, entry point and registry name.
    pub name: &'static str,
    /// The kernel's own text (`include_str!`).
    pub source: &'static str,
    /// Texts from `shaders/shared`, appended after the kernel's own so that line numbers in errors stay right.
    pub shared: &'static [&'static str],
    /// Size of `Params` in bytes.
    pub params: usize,
    /// Tensors, in order.
    pub bindings: &'static [Binding],
    /// At least one; the first runs everywhere.
    pub variants: &'static [Variant],
}

impl Shader {
    /// Whether all its forms round factors to half precision.
    pub fn rounds(&self) -> bool {
        self.variants[0].rounds()
    }

    /// Checks that tensors can be in half precision.
    ///
    /// # Errors
    /// When the text does not declare one of them as a storage array of floats.
    pub fn check_halves(&self, halves: Places) -> Result<()> {
        let text = if halves.is_empty() { String::new() } else { self.text() };
        match halves.names(self).into_iter().find(|name| !can_be_half(&text, name)) {
            Some(name) => Err(Error::Shape(format!("{}: `{name}` cannot be in half precision", self.name))),
            None => Ok(()),
        }
    }

    /// The kernel's own text, then what it shares.
    pub fn text(&self) -> String {
        let mut text = String::from(self.source);
        for part in self.shared {
            text.push('\n');
            text.push_str(part);
        }
        text
    }
}

/// The variant list of a kernel that has only one form.
pub const PLAIN: &[Variant] = &[Variant::base("plain", &[])];
