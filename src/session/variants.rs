//! Measured forms of kernels as a file: in the user's cache folder, in a run's folder, or given with `--variants`.

mod cache;
mod forms;
mod on_use;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::cache::{cache_file, keep};
use self::cache::{identity, own, version};
use self::forms::{names, never_taken};
use self::on_use::{OnUse, Outcomes, left_out};
use crate::base::{Error, Result};
use crate::gpu::variants::{Chooser, Form, Trial};
use crate::gpu::{Engine, Variants};
use crate::kernels::tune::{BUDGET, Listener, Measured, Tuner};
use crate::kernels::{self, choose};
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
    /// Time of one run: the least of some samples.
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
    /// The adapter that it was written for; empty in a file that was written by hand.
    #[serde(default)]
    pub adapter: String,
    /// The adapter that its forms were measured on, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured_on: Option<String>,
    /// The version that measured its forms, where that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    measured_by: Option<String>,
    /// Forms for all shapes, by kernel; left out, those that suit the adapter's kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernels: Option<BTreeMap<String, String>>,
    /// Forms for classes of shapes.
    #[serde(default)]
    pub classes: BTreeMap<String, ClassForms>,
    /// Kernels whose forms were tried (`kernels::trial`), each with what was wrong, if anything was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<Outcomes>,
}

impl VariantFile {
    /// What holds on a device, nothing measured.
    pub fn built_in(engine: &Engine) -> Self {
        let kernels = choose::built_in(engine).kernels;
        let named = |(name, variant): (&'static str, usize)| {
            let shader = kernels::named(name)?.shader;
            Some((name.to_owned(), shader.variants[variant].name.to_owned()))
        };
        Self {
            format: FORMAT,
            version: version(),
            adapter: identity(engine),
            measured_on: None,
            measured_by: None,
            kernels: Some(kernels.into_iter().filter_map(named).collect()),
            classes: BTreeMap::new(),
            tried: None,
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read the variants", path, e))?;
        let wrong = |why: String| Error::Config(format!("{}: not a file of kernel variants: {why}", path.display()));
        let text = String::from_utf8(bytes).map_err(|e| wrong(format!("its bytes are not UTF-8: {e}")))?;
        let file: Self = serde_json::from_str(&text).map_err(|e| {
            let what = if e.is_data() { "a value is not what it must be" } else { "it is not JSON" };
            wrong(format!("{what}: {e}; it looks like {{\"format\": 1, \"kernels\": {{\"conv2d\": \"32\"}}}}"))
        })?;
        if file.format != FORMAT {
            return Err(wrong(format!("its format is {}, this version reads {FORMAT}", file.format)));
        }
        let times = |(class, forms): (&String, &ClassForms)| {
            let all = forms.candidates.iter().filter_map(|tried| tried.milliseconds);
            all.into_iter().find(|ms| *ms <= 0.0).map(|ms| wrong(format!("`{class}` has a time of {ms} ms")))
        };
        file.classes.iter().find_map(times).map_or(Ok(file), Err)
    }

    /// The adapter and the version that measured its forms, empty where it was written by hand.
    fn origin(&self) -> [&String; 2] {
        [self.measured_on.as_ref().unwrap_or(&self.adapter), self.measured_by.as_ref().unwrap_or(&self.version)]
    }

    /// What was measured elsewhere, if anything was: its times, and so its choice, are of another adapter or version.
    fn foreign(&self, engine: &Engine) -> Option<String> {
        let [adapter, measured_by] = self.origin();
        if !adapter.is_empty() && *adapter != identity(engine) {
            return Some(format!("its forms were measured on {adapter}, not on {}", identity(engine)));
        }
        let other = !measured_by.is_empty() && *measured_by != version();
        other.then(|| "its forms were measured by another version of relabel".into())
    }

    /// The file with what one written by hand may leave out, as it holds on a device; where its forms come from stays.
    fn completed(self, engine: &Engine) -> Self {
        let own = Self::built_in(engine);
        let other = |origin: &String, here: &String| (!origin.is_empty() && origin != here).then(|| origin.clone());
        let [adapter, measured_by] = self.origin();
        Self {
            measured_on: other(adapter, &own.adapter),
            measured_by: other(measured_by, &own.version),
            kernels: self.kernels.or(own.kernels),
            classes: self.classes,
            ..own
        }
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
        forms::named(engine, self)
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

/// Says that forms are being measured, and keeps each that was, so that who ends the program meanwhile does not lose it.
#[derive(Debug)]
struct Keeper {
    cache: Option<PathBuf>,
    tell: fn(&str),
}

impl Listener for Keeper {
    fn begins(&self, budget: Duration) {
        let seconds = budget.as_secs();
        (self.tell)(&format!(
            "measuring which forms of kernels are fastest here for this network: at most {seconds} s, kept for other runs"
        ));
    }

    fn measured(&self, engine: &Engine, class: &str, measured: &Measured) {
        let mut found = VariantFile::built_in(engine);
        found.add(&BTreeMap::from([(class.to_owned(), measured.clone())]));
        // What cannot be kept is told when all is.
        let _ = self.cache.as_ref().map(|path| keep(engine, &found, path));
    }
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
    /// Sets a device's forms. A cache that cannot be used is made anew, with a note. Forms that nobody measured are tried when a
    /// recording first takes them; those that fail are told with `tell`.
    ///
    /// # Errors
    /// When a file that the user named cannot be read or names what the device does not have.
    pub fn set(engine: &Engine, wish: &Wish, tell: fn(&str)) -> Result<Self> {
        let cache = cache_file(engine);
        let kept = cache.as_ref().filter(|path| path.exists()).map(|path| own(engine, path));
        let given = match wish {
            Wish::File(path) => Some((path, VariantFile::read(path).map_err(asked_for)?)),
            _ => None,
        };
        let known = kept.as_ref().and_then(|file| file.as_ref().ok()?.tried.clone()).unwrap_or_default();
        let own = given.as_ref().is_some_and(|(_, file)| file.kernels.is_some());
        let keeper = Keeper { cache: cache.clone(), tell };
        let tuner = (*wish == Wish::Measure).then(|| Arc::new(Tuner::new(BUDGET, Some(Box::new(keeper)))));
        let trial = OnUse::new(known, tuner.clone(), cache.clone(), tell);
        trial.failures().iter().for_each(|(kernel, why)| engine.strike_out(kernel, why));
        // Forms that a file names are taken as they are.
        engine.set_trial((!own).then(|| Arc::new(trial) as Arc<dyn Trial>));
        let mut chosen = Self { file: VariantFile::built_in(engine), tuner, cache: None, notes: Vec::new() };
        for (kernel, why) in engine.failures() {
            chosen.notes.push(left_out(kernel, &why));
        }
        if let Some((path, file)) = given {
            let foreign = file.foreign(engine);
            if let Err(e) = file.variants(engine) {
                let measured = foreign.map_or(String::new(), |what| format!("; {what}"));
                let way = "mend the file, or leave --variants out";
                return Err(Error::Config(format!("{}: {e}{measured}; {way}", path.display())));
            }
            chosen.notes.extend(foreign.map(|what| format!("note: {}: {what}", path.display())));
            chosen.file = file.completed(engine);
            for (class, form) in never_taken(engine, &chosen.file.variants(engine)?) {
                let [kernel, form] = names(form);
                let what = format!("`{class}` never takes {kernel} ({form}), which its shape does not fit");
                chosen.notes.push(format!("note: {}: {what}", path.display()));
            }
        }
        if matches!(wish, Wish::Measure | Wish::Cached) {
            let again = |path: &Path, e: Error| {
                let way = "its forms are not used; `relabel train` measures them again and writes it anew";
                match e {
                    // The file stands in the text.
                    Error::Config(text) if text.starts_with(&path.display().to_string()) => format!("{text}; {way}"),
                    e => format!("{}: {e}; {way}", path.display()),
                }
            };
            match kept.zip(cache.as_ref()).map(|(f, at)| (f.and_then(|f| f.variants(engine).map(|_| f)), at)) {
                Some((Ok(file), _)) => chosen.file = file.completed(engine),
                Some((Err(e), path)) => chosen.notes.push(again(path, e)),
                None => {}
            }
            chosen.cache = cache;
        }
        engine.set_variants(chosen.file.variants(engine)?);
        if let Some(tuner) = &chosen.tuner {
            engine.set_chooser(Some(Arc::clone(tuner) as Arc<dyn Chooser>));
        }
        Ok(chosen)
    }

    /// Whether forms are measured until [`Chosen::settle`].
    pub fn measures(&self) -> bool {
        self.tuner.is_some()
    }

    /// Ends the measuring: keeps what was found, and says so in the notes.
    pub fn settle(&mut self, engine: &Engine) {
        engine.set_chooser(None);
        // The run's file is what it runs with.
        let failures = engine.failures();
        self.file
            .kernels
            .iter_mut()
            .for_each(|kernels| kernels.retain(|name, _| !failures.contains_key(name.as_str())));
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
        let mut found = VariantFile { classes: BTreeMap::new(), ..self.file.clone() };
        found.add(&report.measured);
        self.file.classes.extend(found.classes.clone());
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
            Some(path) => match keep(engine, &found, path) {
                Ok(()) => format!("kept in {}", path.display()),
                Err(e) => format!("not kept: {e}"),
            },
        };
        self.notes.push(format!("{text}; {kept}"));
    }
}

/// The error of a file that `--variants` names, or seems to.
fn asked_for(error: Error) -> Error {
    match error {
        Error::Io { context, source } => {
            let context =
                format!("{context} (what stands behind --variants is taken for a file; alone, it comes last)");
            Error::Io { context, source }
        }
        other => other,
    }
}

/// The forms of a run's folder, for its resumption.
///
/// # Errors
/// Why they cannot be taken: missing, damaged, or of another adapter or version, whose bits cannot be had here anyway.
pub fn of_run(engine: &Engine, path: &Path) -> Result<Wish> {
    if !path.exists() {
        return Err(Error::Config(format!("{} is not there", path.display())));
    }
    let file = own(engine, path)?;
    file.variants(engine).map_err(|e| Error::Config(format!("{}: {e}", path.display())))?;
    Ok(Wish::File(path.into()))
}
