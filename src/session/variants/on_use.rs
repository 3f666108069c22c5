//! The trial of forms that nobody measured: each when a recording first takes it, once an adapter, driver and version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{VariantFile, keep};
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

/// Tries forms and keeps what became of them in the cache.
#[derive(Debug)]
pub(super) struct OnUse {
    outcomes: Mutex<Outcomes>,
    tuner: Option<Arc<Tuner>>,
    cache: Option<PathBuf>,
    tell: fn(&str),
}

impl OnUse {
    /// With what is known already, who compares forms meanwhile, and where to keep what is found.
    pub fn new(known: Outcomes, tuner: Option<Arc<Tuner>>, cache: Option<PathBuf>, tell: fn(&str)) -> Self {
        Self { outcomes: Mutex::new(known), tuner, cache, tell }
    }

    /// What is known to fail.
    pub fn failures(&self) -> Vec<(&'static str, String)> {
        let known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = known.iter().filter_map(|(name, why)| Some((kernels::named(name)?.shader.name, why.clone()?)));
        failed.collect()
    }

    /// Tries what is not known yet.
    fn find(&self, engine: &Engine, known: &mut Outcomes, forms: Vec<(&'static Shader, usize)>) {
        let new: Vec<_> = forms.into_iter().filter(|(shader, _)| !known.contains_key(shader.name)).collect();
        if new.is_empty() {
            return;
        }
        // A software adapter takes seconds to compile what was compared with the plain forms a moment ago.
        let measured = |shader: &Shader| self.tuner.as_ref().is_some_and(|tuner| tuner.agrees(shader.name));
        let open: Vec<_> = new.iter().copied().filter(|(shader, _)| !measured(shader)).collect();
        let failed: BTreeMap<_, _> = trial::failures(engine, &open).into_iter().collect();
        for (shader, _) in new {
            let why = failed.get(shader.name).cloned();
            why.iter().for_each(|why| (self.tell)(&left_out(shader.name, why)));
            known.insert(shader.name.to_owned(), why);
        }
        let found = VariantFile { tried: Some(known.clone()), ..VariantFile::built_in(engine) };
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
        let mut known = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        self.find(engine, &mut known, taken.clone());
        taken.iter().filter_map(|(shader, _)| Some((shader.name, known.get(shader.name)?.clone()?))).collect()
    }
}
