//! Which form of a kernel a recording takes: one for all shapes, or one measured for a class of shapes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use super::{Engine, Shader, Variant};
use crate::base::Result;

/// A form of a kernel: its shader's name, and the index into the shader's variants.
pub type Form = (&'static str, usize);

/// The forms that recordings take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    /// By the shader's name, for every shape.
    pub kernels: HashMap<&'static str, usize>,
    /// By class of shapes (`kernels::product` says what one looks like); these go before `kernels`.
    pub classes: BTreeMap<String, Form>,
    /// Whether products may round their factors to half precision: forms on cooperative matrices are taken only then.
    pub half: bool,
}

impl Variants {
    /// Names a form for all shapes.
    pub fn insert(&mut self, kernel: &'static str, variant: usize) {
        self.kernels.insert(kernel, variant);
    }

    /// The form that is named for all shapes, if one is.
    pub fn get(&self, shader: &Shader) -> Option<usize> {
        self.kernels.get(shader.name).copied()
    }

    /// Whether a shader's form is named, and may be taken: forms that stand in for another kernel's are taken only then.
    pub fn names(&self, shader: &Shader) -> bool {
        self.kernels.contains_key(shader.name) && (self.half || !shader.rounds())
    }

    /// The first of these shaders that is named.
    pub fn first(&self, shaders: &[&'static Shader]) -> Option<&'static Shader> {
        shaders.iter().copied().find(|shader| self.names(shader))
    }

    /// The index of a shader's form; the first where none is named.
    pub fn index(&self, shader: &Shader) -> usize {
        self.get(shader).unwrap_or(0)
    }

    /// A shader's form; the first where none is named.
    pub fn variant(&self, shader: &Shader) -> &'static Variant {
        &shader.variants[self.index(shader)]
    }

    /// What holds for a class: only its own form where one is known, else what holds for all shapes.
    pub fn of_class(&self, class: &str) -> Self {
        match self.classes.get(class) {
            Some(&form) => Self { kernels: HashMap::from([form]), classes: BTreeMap::new(), half: self.half },
            None => Self { kernels: self.kernels.clone(), classes: BTreeMap::new(), half: self.half },
        }
    }
}

/// Floating-point operations that a recording asks for in each class of shapes.
pub type Asked = BTreeMap<String, u64>;

/// Finds the forms of classes that are not known yet.
pub trait Chooser: Debug + Send + Sync {
    /// Adds to `known` the forms of those asked classes that it can find.
    ///
    /// # Errors
    /// When the device fails.
    fn choose(&self, engine: &Engine, asked: &Asked, known: &Variants) -> Result<Variants>;
}
