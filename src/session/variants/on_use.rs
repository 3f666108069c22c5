//! The trial of forms that nobody measured: each when a recording first takes it, once an adapter, driver and version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{VariantFile, keep};
use crate::base::Error;
use crate::gpu::variants::Trial;
use crate::gpu::{Engine, Recording, Shader};
use crate::kernels::tune::Tuner;
use crate::kernels::{self, choose, trial};

/// What became of the kernels that were tried: nothing, or what was wrong.
pub type Outcomes = BTreeMap<String, Option<String>>;

/// What is told of a kernel that is left out.
pub(super) fn left_out(kernel: &str, why: &str) -> String {
    format!("warning: {kernel} is not used on this adapter: {why}")
}

/// What a process knows of forms.
#[derive(Debug, Default)]
struct Known {
    outcomes: Outcomes,
    /// Those that there was no memory to try: they are left out, but another time they may pass.
    lacking: BTreeSet<String>,
}

/// Tries forms and keeps what became of them in the cache.
#[derive(Debug)]
pub(super) struct OnUse {
    known: Mutex<Known>,
    tuner: Option<Arc<Tuner>>,
    cache: Option<PathBuf>,
    tell: fn(&str),
}

impl OnUse {
    /// With what is known already, who compares forms meanwhile, and where to keep what is found.
    pub fn new(outcomes: Outcomes, tuner: Option<Arc<Tuner>>, cache: Option<PathBuf>, tell: fn(&str)) -> Self {
        Self { known: Mutex::new(Known { outcomes, ..Known::default() }), tuner, cache, tell }
    }

    /// What is known to fail.
    pub fn failures(&self) -> Vec<(&'static str, String)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let failed =
            known.outcomes.iter().filter_map(|(name, why)| Some((kernels::named(name)?.shader.name, why.clone()?)));
        failed.collect()
    }

    /// Tries what is not known yet.
    fn find(&self, engine: &Engine, known: &mut Known, forms: Vec<(&'static Shader, usize)>) {
        let new: Vec<_> = forms.into_iter().filter(|(shader, _)| !known.outcomes.contains_key(shader.name)).collect();
        if new.is_empty() {
            return;
        }
        // A software adapter takes seconds to compile what was compared with the plain forms a moment ago.
        let measured = |shader: &Shader| self.tuner.as_ref().is_some_and(|tuner| tuner.agrees(shader.name));
        let open: Vec<_> = new.iter().copied().filter(|(shader, _)| !measured(shader)).collect();
        let failed: BTreeMap<_, _> = trial::failures(engine, &open).into_iter().collect();
        for (shader, _) in new {
            let why = failed.get(shader.name);
            if let Some(Error::Memory(_)) = why {
                known.lacking.insert(shader.name.to_owned());
            }
            let why = why.map(Error::to_string);
            why.iter().for_each(|why| (self.tell)(&left_out(shader.name, why)));
            known.outcomes.insert(shader.name.to_owned(), why);
        }
        let mut kept = known.outcomes.clone();
        kept.retain(|name, _| !known.lacking.contains(name));
        let found = VariantFile { tried: Some(kept), ..VariantFile::built_in(engine) };
        if let Some(Err(e)) = self.cache.as_ref().map(|path| keep(engine, &found, path)) {
            (self.tell)(&format!("note: which forms this adapter gets right is not kept: {e}"));
        }
    }
}

impl Trial for OnUse {
    fn failing(&self, engine: &Engine, recording: &Recording) -> Vec<(&'static str, String)> {
        let mut taken = choose::tried(engine);
        taken.retain(|(shader, _)| recording.dispatches.iter().any(|dispatch| dispatch.shader.name == shader.name));
        // Whoever comes meanwhile waits for the answer.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.find(engine, &mut known, taken.clone());
        let why = |shader: &Shader| known.outcomes.get(shader.name).cloned().flatten();
        taken.iter().filter_map(|(shader, _)| Some((shader.name, why(shader)?))).collect()
    }
}
