//! Which form of a kernel a recording takes: one for all shapes, or one measured for a class of shapes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{Engine, Recording, Shader, Variant};
use crate::base::Result;

/// A form of a kernel: its shader's name, and the index into the shader's variants.
pub type Form = (&'static str, usize);

/// What products may do to their factors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Factors {
    /// Nothing: forms that round are not taken.
    #[default]
    Exact,
    /// Round them to 11 bits, as TF32 does; feature maps are single-precision numbers.
    Tf32,
    /// Round them to half precision, in which feature maps are.
    Half,
}

impl Factors {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Tf32, Self::Half];

    /// Whether they may be rounded.
    pub fn rounded(self) -> bool {
        self != Self::Exact
    }

    /// How the classes of shapes end that products with such factors ask for: what is the fastest form there may not be taken
    /// elsewhere.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Exact => "",
            Self::Tf32 => ",tf32",
            Self::Half => ",half",
        }
    }

    /// A class without its ending, and what that says.
    pub fn of_class(class: &str) -> (&str, Self) {
        let ending = |factors: Self| class.strip_suffix(factors.suffix()).map(|plain| (plain, factors));
        [Self::Tf32, Self::Half].into_iter().find_map(ending).unwrap_or((class, Self::Exact))
    }
}

/// The forms that recordings take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variants {
    /// By the shader's name, for every shape.
    pub kernels: HashMap<&'static str, usize>,
    /// By class of shapes (`kernels::product` says what one looks like); these go before `kernels`.
    pub classes: BTreeMap<String, Form>,
    /// What products may do to their factors: some forms on cooperative matrices are taken only where these may be rounded.
    pub factors: Factors,
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
        self.kernels.contains_key(shader.name) && (self.factors.rounded() || !shader.rounds())
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

    /// Names a kernel's forms no longer, for any shape; whether it was named.
    fn leave_out(&mut self, kernel: &str) -> bool {
        let classes = self.classes.len();
        self.classes.retain(|_, form| form.0 != kernel);
        self.kernels.remove(kernel).is_some() || self.classes.len() < classes
    }

    /// What holds for a class: only its own form where one is known, else what holds for all shapes.
    pub fn of_class(&self, class: &str) -> Self {
        match self.classes.get(class) {
            Some(&form) => Self { kernels: HashMap::from([form]), classes: BTreeMap::new(), factors: self.factors },
            None => Self { kernels: self.kernels.clone(), classes: BTreeMap::new(), factors: self.factors },
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

/// Tries forms before they run.
pub trait Trial: Debug + Send + Sync {
    /// Those of a recording's kernels that the device gets wrong, each with what was wrong.
    fn failing(&self, engine: &Engine, recording: &Recording) -> Vec<(&'static str, String)>;
}

/// What was decided about a device's forms.
#[derive(Debug, Default)]
pub(super) struct Choice {
    variants: Option<Variants>,
    chooser: Option<Arc<dyn Chooser>>,
    trial: Option<Arc<dyn Trial>>,
    failures: BTreeMap<&'static str, String>,
}

/// Forms of kernels.
impl Engine {
    fn choice(&self) -> MutexGuard<'_, Choice> {
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The forms that were set for this device; without any, `kernels::choose` takes those that suit its kind.
    pub fn variants(&self) -> Option<Variants> {
        self.choice().variants.clone()
    }

    /// Sets the forms that recordings take from now on.
    pub fn set_variants(&self, variants: Variants) {
        self.choice().variants = Some(variants);
    }

    /// Sets who finds the forms of classes that are not known yet, or that nobody does.
    pub fn set_chooser(&self, chooser: Option<Arc<dyn Chooser>>) {
        self.choice().chooser = chooser;
    }

    /// Sets who tries forms that nobody measured, or that nobody does.
    pub fn set_trial(&self, trial: Option<Arc<dyn Trial>>) {
        self.choice().trial = trial;
    }

    /// Kernels whose forms this device gets wrong, each with what was wrong, as far as that is known.
    pub fn failures(&self) -> BTreeMap<&'static str, String> {
        self.choice().failures.clone()
    }

    /// Leaves a kernel's forms out from now on.
    pub fn strike_out(&self, kernel: &'static str, why: &str) {
        let mut choice = self.choice();
        choice.failures.insert(kernel, why.to_owned());
        if let Some(variants) = &mut choice.variants {
            variants.leave_out(kernel);
        }
    }

    /// What `record` makes with these forms: with those of the asked classes added as far as the chooser finds them, and
    /// without those that fail their trial.
    ///
    /// # Errors
    /// Those of `record`, or when the device fails.
    pub fn settled(&self, variants: &Variants, record: impl Fn(&Variants) -> Result<Recording>) -> Result<Recording> {
        let mut variants = variants.clone();
        let mut recording = record(&variants)?;
        if let Some(better) = self.chosen(recording.asked(), &variants)? {
            variants = better;
            recording = record(&variants)?;
        }
        let trial = self.choice().trial.clone();
        // Each turn leaves out a form, or is the last.
        while let Some(trial) = &trial {
            let failing = trial.failing(self, &recording);
            if failing.iter().filter(|(kernel, _)| variants.leave_out(kernel)).count() == 0 {
                break;
            }
            failing.iter().for_each(|(kernel, why)| self.strike_out(kernel, why));
            recording = record(&variants)?;
        }
        Ok(recording)
    }

    /// The forms with those of the asked classes added, as far as the chooser finds them; `None` without a chooser.
    ///
    /// # Errors
    /// When the device fails.
    pub fn chosen(&self, asked: &Asked, known: &Variants) -> Result<Option<Variants>> {
        let chooser = self.choice().chooser.clone();
        let Some(chooser) = chooser.filter(|_| !asked.is_empty()) else { return Ok(None) };
        let variants = chooser.choose(self, asked, known)?;
        // Rounded factors are a recording's wish, not the device's.
        self.set_variants(Variants { factors: Factors::Exact, ..variants.clone() });
        Ok(Some(variants))
    }
}
