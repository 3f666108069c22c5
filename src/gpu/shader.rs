//! A compute shader as data: its text, what it binds, and its variants.

/// How a kernel uses a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`, every logical and pad element written, none read before.
    Write,
    /// `var<storage, read_write>`, updated in place.
    ReadWrite,
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

/// Tensor data bound as a uniform.
pub const fn uniform(name: &'static str) -> Binding {
    Binding { name, access: Access::Uniform }
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
        Self { name, constants, needs: wgpu::Features::empty() }
    }

    /// The value of an override constant as an integer; panics when the variant does not set it.
    pub fn constant(&self, name: &str) -> u32 {
        let found = self.constants.iter().find(|(n, _)| *n == name);
        found.unwrap_or_else(|| panic!("variant {} has no constant {name}", self.name)).1 as u32
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
