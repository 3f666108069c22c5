//! Measured forms of kernels as a file: in the user's cache folder, in a run's folder, or given with `--variants`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::hash::fnv1a;
use crate::base::{Error, Result};
use crate::gpu::recording::HALF;
use crate::gpu::variants::Form;
use crate::gpu::{Engine, Shader, Variants};
use crate::kernels::product::{FORMS, Product, needs, offered};
use crate::kernels::tune::{BUDGET, Measured, Tuner};
use crate::kernels::{REGISTRY, choose, join};
use crate::train::checkpoint::write_atomically;

/// The version of the file's layout.
const FORMAT: u32 = 1;

/// Which forms a command takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Those that were measured before; what a training run asks for and nobody measured is measured.
    Measure,
    /// Those that were measured before.
    Cached,
    /// Those that suit the adapter's kind, nothing measured.
    BuiltIn,
    /// Exactly those of a file.
    File(PathBuf),
}

impl Wish {
    /// `default` is [`Wish::BuiltIn`], `measure` and `cached` are what they say; anything else is a file.
    pub fn of(text: &str) -> Self {
        match text {
            "default" => Self::BuiltIn,
            "measure" => Self::Measure,
            "cached" => Self::Cached,
            file => Self::File(file.into()),
        }
    }
}

/// One form of a class, as it was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The shader.
    pub kernel: String,
    /// Its variant.
    pub form: String,
    /// Median time of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds: Option<f64>,
    /// Why it must not be taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub struck_out: Option<String>,
}

/// A class of shapes with the form to take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassForms {
    /// The shader.
    pub kernel: String,
    /// Its variant.
    pub form: String,
    /// What was tried.
    #[serde(default)]
    pub candidates: Vec<Tried>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantFile {
    format: u32,
    /// What [`version`] says; empty in a file that was written by hand.
    #[serde(default)]
    version: String,
    /// The adapter that it was measured on; empty in a file that was written by hand.
    #[serde(default)]
    pub adapter: String,
    /// Forms for all shapes, by kernel; left out, those that suit the adapter's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<BTreeMap<String, String>>,
    /// Forms for classes of shapes.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassForms>,
    /// Kernels that the adapter got wrong when they were tried (`kernels::trial`), each with what was wrong; left out where
    /// nothing was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<BTreeMap<String, String>>,
}

impl VariantFile {
    /// What holds on a device, nothing measured.
    pub fn built_in(engine: &Engine) -> Self {
        let kernels = choose::built_in(engine).kernels;
        let named = |(name, variant): (&'static str, usize)| {
            let shader = REGISTRY.iter().find(|k| k.shader.name == name)?.shader;
            Some((name.to_owned(), shader.variants[variant].name.to_owned()))
        };
        Self {
            format: FORMAT,
            version: version(),
            adapter: identity(engine),
            kernels: Some(kernels.into_iter().filter_map(named).collect()),
            classes: BTreeMap::new(),
            failed: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let what =
                "cannot read the variants (what stands behind --variants is taken for a file; alone, it comes last)";
            Error::io(what, path, e)
        })?;
        let wrong = |why: String| Error::Config(format!("{}: not a file of kernel variants: {why}", path.display()));
        let file: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if file.format != FORMAT {
            return Err(wrong(format!("its format is {}, this version reads {FORMAT}", file.format)));
        }
        Ok(file)
    }

    /// What was measured elsewhere, if anything was: its times, and so its choice, are of another adapter or version.
    fn foreign(&self, engine: &Engine) -> Option<String> {
        if !self.adapter.is_empty() && self.adapter != identity(engine) {
            return Some(format!("its forms were measured on {}, not on {}", self.adapter, identity(engine)));
        }
        let other = !self.version.is_empty() && self.version != version();
        other.then(|| "its forms were measured by another version of relabel".into())
    }

    /// The file with what one written by hand may leave out, as it holds on a device.
    fn completed(self, engine: &Engine) -> Self {
        let own = Self::built_in(engine);
        Self { kernels: self.kernels.or(own.kernels), classes: self.classes, ..own }
    }

    /// Writes the file, whole or not at all.
    ///
    /// # Errors
    /// When the system fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::io("writing", path, e.into()))?;
        write_atomically(path, |out| writeln!(out, "{text}"))
    }

    /// The forms that it names.
    ///
    /// # Errors
    /// When a kernel, a form or a class does not exist, or the device cannot run a form.
    pub fn variants(&self, engine: &Engine) -> Result<Variants> {
        let mut variants = choose::built_in(engine);
        if let Some(kernels) = &self.kernels {
            variants.kernels.clear();
            for (kernel, form) in kernels {
                let (name, variant) = find(engine, kernel, form)?;
                variants.insert(name, variant);
            }
        }
        for (class, taken) in &self.classes {
            let Some(product) = Product::of_class(class) else {
                return Err(Error::Config(format!(
                    "variants: `{class}` is not a class of shapes; they look like `conv2d 128x32x32x16-16,k3,s1,p1` and \
                     `matmul 128x64x16`"
                )));
            };
            let own = product.class() + if class.ends_with(HALF) { HALF } else { "" };
            if *class != own {
                return Err(Error::Config(format!(
                    "variants: `{class}` is no class of its own: its rows, or all sizes of matrices, are rounded up to powers \
                     of two: `{own}`"
                )));
            }
            let found = find(engine, &taken.kernel, &taken.form)?;
            let forms = FORMS.iter().find(|(plain, _)| plain.name == product.plain().name).map_or(&[][..], |f| f.1);
            if !forms.iter().any(|&(shader, variant)| (shader.name, variant) == found) {
                let names: Vec<String> =
                    forms.iter().map(|(s, v)| format!("{} ({})", s.name, s.variants[*v].name)).collect();
                return Err(Error::Config(format!(
                    "variants: `{class}` has no form {} ({}); there are {}",
                    taken.kernel,
                    taken.form,
                    names.join(", ")
                )));
            }
            variants.classes.insert(class.clone(), found);
        }
        Ok(variants)
    }

    /// Adds what was measured.
    pub fn add(&mut self, measured: &BTreeMap<String, Measured>) {
        for (class, found) in measured {
            let [kernel, form] = names(found.taken);
            let tried = |(form, outcome): &(Form, std::result::Result<f64, String>)| {
                let [kernel, form] = names(*form);
                let milliseconds = outcome.as_ref().ok().map(|s| 1e3 * s);
                Tried { kernel, form, milliseconds, struck_out: outcome.as_ref().err().cloned() }
            };
            let candidates = found.trials.iter().map(tried).collect();
            self.classes.insert(class.clone(), ClassForms { kernel, form, candidates });
        }
    }
}

fn names((kernel, variant): Form) -> [String; 2] {
    let shader = REGISTRY.iter().find(|k| k.shader.name == kernel).map(|k| k.shader);
    [kernel.to_owned(), shader.map_or("", |s: &Shader| s.variants[variant].name).to_owned()]
}

/// A form by the names of its shader and its variant.
fn find(engine: &Engine, kernel: &str, form: &str) -> Result<Form> {
    let Some(shader) = REGISTRY.iter().map(|k| k.shader).find(|s| s.name == kernel) else {
        return Err(Error::Config(format!("variants: there is no kernel `{kernel}`")));
    };
    let Some(variant) = shader.variants.iter().position(|v| v.name == form) else {
        let all: Vec<&str> = shader.variants.iter().map(|v| v.name).collect();
        return Err(Error::Config(format!("variants: `{kernel}` has no form `{form}`; it has {}", all.join(", "))));
    };
    if !offered(engine, (shader, variant)) {
        return Err(Error::Config(format!(
            "variants: {} cannot run `{kernel}` in the form `{form}`: it needs {}",
            engine.describe(),
            needs((shader, variant))
        )));
    }
    Ok((shader.name, variant))
}

/// relabel's version, and a number for the texts of the forms and of what they are joined with: what was measured of others does not hold for them.
fn version() -> String {
    let forms = FORMS.iter().flat_map(|(_, forms)| *forms).map(|&(shader, _)| shader);
    let texts: String = forms.chain(join::KERNELS).map(Shader::text).collect();
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), fnv1a(&texts))
}

/// What forms are measured for: the adapter with its driver, and whether shaders are checked.
fn identity(engine: &Engine) -> String {
    let checks = if engine.checked() { ", checked shaders" } else { "" };
    format!("{}{checks}", engine.describe())
}

/// The user's folder for what can be made anew.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let own = || match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => variable("HOME").map(|home| home.join("Library/Caches")),
        _ => variable("HOME").map(|home| home.join(".cache")),
    };
    Some(variable("XDG_CACHE_HOME").or_else(own)?.join("relabel"))
}

/// Where the forms of a device are kept: a file for each adapter, driver and version.
pub fn cache_file(engine: &Engine) -> Option<PathBuf> {
    let name: String = identity(engine).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    Some(cache_folder()?.join(format!("variants-{}-{name}.json", env!("CARGO_PKG_VERSION"))))
}

/// The forms that a command runs with.
#[derive(Debug)]
pub struct Chosen {
    /// All that is known.
    pub file: VariantFile,
    tuner: Option<Arc<Tuner>>,
    cache: Option<PathBuf>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Chosen {
    /// Sets a device's forms. A cache that cannot be used is made anew, with a note.
    ///
    /// # Errors
    /// When a file that the user named cannot be read or names what the device does not have.
    pub fn set(engine: &Engine, wish: &Wish) -> Result<Self> {
        let cache = cache_file(engine);
        let kept = cache.as_ref().filter(|path| path.exists()).map(|path| own(engine, path));
        let failed = kept.as_ref().and_then(|file| file.as_ref().ok()?.failed.clone());
        let failures = choose::known_failures(engine, failed.as_ref());
        let mut chosen = Self { file: VariantFile::built_in(engine), tuner: None, cache: None, notes: Vec::new() };
        for (kernel, why) in failures {
            chosen.notes.push(format!("warning: {kernel} is not used on this adapter: {why}"));
        }
        match wish {
            Wish::BuiltIn => {}
            Wish::File(path) => {
                let file = VariantFile::read(path)?;
                chosen.notes.extend(file.foreign(engine).map(|what| format!("note: {}: {what}", path.display())));
                chosen.file = file.completed(engine);
            }
            Wish::Measure | Wish::Cached => {
                match kept.map(|file| file.and_then(|file| file.variants(engine).map(|_| file))) {
                    Some(Ok(file)) => chosen.file = file.completed(engine),
                    Some(Err(e)) => chosen.notes.push(format!("{e}; its forms are not used")),
                    None => {}
                }
                chosen.cache = cache;
                chosen.file.failed =
                    Some(failures.iter().map(|(kernel, why)| ((*kernel).into(), why.clone())).collect());
                if failed.is_none() && engine.info().device_type != wgpu::DeviceType::Cpu {
                    chosen.keep_trial();
                }
            }
        }
        engine.set_variants(chosen.file.variants(engine)?);
        if *wish == Wish::Measure {
            let tuner = Arc::new(Tuner::new(BUDGET));
            chosen.tuner = Some(Arc::clone(&tuner));
            engine.set_chooser(Some(tuner));
        }
        Ok(chosen)
    }

    /// Keeps what became of the trial, so that the next start need not repeat it.
    fn keep_trial(&mut self) {
        if let Some(Err(e)) = self.cache.as_ref().map(|path| keep(&self.file, path)) {
            self.notes.push(format!("which forms this adapter gets right is not kept: {e}"));
        }
    }

    /// Ends the measuring: keeps what was found, and says so in the notes.
    pub fn settle(&mut self, engine: &Engine) {
        engine.set_chooser(None);
        let Some(tuner) = self.tuner.take() else { return };
        let report = tuner.report();
        for (class, measured) in &report.measured {
            for (form, outcome) in &measured.trials {
                if let Err(text) = outcome {
                    let [kernel, form] = names(*form);
                    self.notes.push(format!("warning: {kernel} ({form}) is not used for {class}: {text}"));
                }
            }
        }
        if report.measured.is_empty() && report.left_out.is_empty() {
            return;
        }
        self.file.add(&report.measured);
        let several = report.measured.values().filter(|found| !found.trials.is_empty()).count();
        let mut text = match several + report.left_out.len() {
            0 => "this adapter has one form of each product".to_owned(),
            _ => format!("measured the forms of {several} products in {:.1} s", report.seconds),
        };
        if !report.left_out.is_empty() {
            text += &format!(
                "; {} keep theirs ({})",
                report.left_out.len(),
                report.left_out.values().next().map_or("", String::as_str)
            );
        }
        let kept = match &self.cache {
            None => "not kept: there is no cache folder (HOME is not set)".to_owned(),
            Some(path) => match keep(&self.file, path) {
                Ok(()) => format!("kept in {}", path.display()),
                Err(e) => format!("not kept: {e}"),
            },
        };
        self.notes.push(format!("{text}; {kept}"));
    }
}

/// A file of this version and adapter.
fn own(engine: &Engine, path: &Path) -> Result<VariantFile> {
    let file = VariantFile::read(path)?;
    if file.version != version() || file.adapter != identity(engine) {
        return Err(Error::Config(format!("{}: it is of another version or adapter", path.display())));
    }
    Ok(file)
}

/// Keeps what was measured alone: what holds without measuring is this program's, not the cache's.
fn keep(file: &VariantFile, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
    VariantFile { kernels: None, ..file.clone() }.write(path)
}

/// The forms of a run's folder, for its resumption; `None` when they are of another adapter or version, whose bits cannot
/// be had here anyway.
pub fn of_run(engine: &Engine, path: &Path) -> Option<Wish> {
    own(engine, path).and_then(|file| file.variants(engine)).ok().map(|_| Wish::File(path.into()))
}
