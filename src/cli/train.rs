//! `relabel train`: from arguments to a run that can begin.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;

use super::settings::{known_sections, load_config};
use super::{install_interrupt, output, progress};
use crate::base::{Error, Result};
use crate::gpu::Engine;
use crate::report::{RunDir, RunResult, Session, VARIANTS};
use crate::session::variants::{Chosen, Wish, of_run};
use crate::session::{self, Trained};
use crate::train::Trainer;
use crate::train::checkpoint::{BEST, Checkpoint, LAST};
use crate::train::config::Config;
use crate::train::events::{Evaluated, Event, Sink};

/// Train a network from a config, with labels or without, or go on with a run.
#[derive(Clone, Debug, Default, Args)]
pub struct TrainArgs {
    /// The TOML file of settings; with --resume, the run's own when not given.
    #[arg(required_unless_present = "resume")]
    pub config: Option<PathBuf>,
    /// Change a setting, such as train.batch=64 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The run directory; without it, runs/NAME with the config file's name.
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub run: Option<PathBuf>,
    /// The same as --set seed=N.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    pub seed: Option<u64>,
    /// Stop with a checkpoint after N steps in all; the schedule stays that of the whole run.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_steps: Option<u64>,
    /// Go on from the last checkpoint of a run directory.
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// The same as --set train.accumulate=N: less memory, the same batch.
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// The same as --set data.skip_bad=true: leave out images that cannot be decoded, and count them.
    #[arg(long)]
    pub skip_bad: bool,
}

/// What a run begins with.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The settings, complete.
    pub config: Config,
    /// The run directory; for a new run it is not made before [`Prepared::open`].
    pub path: PathBuf,
    /// The state to go on from.
    pub checkpoint: Option<Checkpoint>,
    /// What the user should know before it begins.
    pub notes: Vec<String>,
}

impl TrainArgs {
    /// Reads and checks everything that is known before the data is loaded, and makes nothing.
    ///
    /// # Errors
    /// Settings that are refused, an existing run directory, a run that cannot be resumed, or whose method, seed or
    /// network another config would change.
    pub fn prepare(&self, adapter: Option<&str>) -> Result<Prepared> {
        let overrides = self.overrides(adapter);
        let Some(resume) = &self.resume else {
            let Some(file) = &self.config else { return Err(Error::Config("no config file is given".into())) };
            let config = load_config(file, &overrides)?;
            let path = self.run.clone().unwrap_or_else(|| default_run(file));
            RunDir::check_vacant(&path)?;
            return Ok(Prepared { config, path, checkpoint: None, notes: Vec::new() });
        };
        let run = RunDir::open(resume)?;
        let checkpoint = Checkpoint::read(&run.last())?;
        let source = format!("settings in {}", run.last().display());
        let before = Config::parse(&checkpoint.meta.config, &source, &[], &known_sections())?;
        let config = match &self.config {
            Some(file) => load_config(file, &overrides)?,
            None => Config::parse(&checkpoint.meta.config, &source, &overrides, &known_sections())?,
        };
        let changed = config.differences(&before)?;
        let is_fixed = |key: &str| FIXED.contains(&key) || key.starts_with("model.");
        if let Some(fixed) = changed.iter().find(|d| is_fixed(&d.key)) {
            return Err(Error::Config(format!(
                "{} cannot go on with {fixed}; begin a new run with --run instead",
                resume.display(),
            )));
        }
        let notes = changed.iter().map(|d| format!("the run goes on with {d}")).collect();
        Ok(Prepared { config, path: resume.clone(), checkpoint: Some(checkpoint), notes })
    }

    /// All options that stand for a setting, as overrides; `--set` comes first.
    fn overrides(&self, adapter: Option<&str>) -> Vec<String> {
        let mut overrides = self.set.clone();
        overrides.extend(self.seed.map(|n| format!("seed={n}")));
        overrides.extend(self.accumulate.map(|n| format!("train.accumulate={n}")));
        overrides.extend(self.skip_bad.then(|| "data.skip_bad=true".into()));
        overrides.extend(adapter.map(|name| format!("device.adapter={name}")));
        overrides
    }
}

impl Prepared {
    /// Makes the directory of a new run, or opens that of an old one, and writes the settings.
    ///
    /// # Errors
    /// As [`RunDir::create`] and [`RunDir::open`].
    pub fn open(&self) -> Result<RunDir> {
        if self.checkpoint.is_none() {
            return RunDir::create(&self.path, &self.config);
        }
        let run = RunDir::open(&self.path)?;
        run.write_config(&self.config)?;
        Ok(run)
    }

    /// The forms of kernels that the run takes: those that are asked for, else those it began with, else those that were
    /// measured before, and what nobody measured is measured.
    ///
    /// # Errors
    /// As [`Chosen::set`].
    pub fn forms(&self, engine: &Engine, variants: Option<&str>) -> Result<Chosen> {
        let own = self.path.join(VARIANTS);
        let resumed = || self.checkpoint.as_ref().map(|_| of_run(engine, &own));
        let (wish, note) = match (variants.map(Wish::of), resumed) {
            (Some(wish), _) => (wish, None),
            (None, resumed) => match resumed() {
                Some(Ok(wish)) => (wish, None),
                Some(Err(why)) => (Wish::Measure, Some(format!("{why}; the run goes on with other forms of kernels"))),
                None => (Wish::Measure, None),
            },
        };
        let mut chosen = Chosen::set(engine, &wish, output::tell)?;
        chosen.notes.extend(note);
        Ok(chosen)
    }

    /// Steps done before.
    pub fn first_step(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |c| c.meta.step)
    }
}

/// Settings that the tensors of a checkpoint depend on, beside those of the network.
const FIXED: &[&str] = &[
    "method",
    "seed",
    "sela.heads",
    "sela.clusters",
    "maxl.hierarchy",
    "maxl.head",
    "maxl.labels",
    "maxl.features",
    "maxl.latent",
    "maxl.autoencoder_epochs",
];

pub(super) fn run(args: &TrainArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    let prepared = args.prepare(adapter)?;
    let engine = Engine::open(&prepared.config.device.options()?)?;
    let mut forms = prepared.forms(&engine, variants)?;
    let mut trainer = session::trainer(&engine, prepared.config.clone())?;
    forms.settle(&engine);
    if let Some(checkpoint) = &prepared.checkpoint {
        trainer.restore(checkpoint, &prepared.path.join(LAST))?;
    }
    if trainer.step() == trainer.steps() {
        let text = format!("all {} steps are done already; give it more with --set train.steps=N", trainer.steps());
        return progress().event(&Event::Note(text));
    }
    let interrupt = install_interrupt()?;
    // Only now is it certain that the run can begin.
    let folder = prepared.open()?;
    folder.add_session(Session::now(&engine.describe(), prepared.config.seed, prepared.first_step()))?;
    let mut sinks: Vec<Box<dyn Sink>> = vec![progress(), Box::new(folder.metrics(prepared.first_step())?)];
    forms.file.write(&folder.variants_file())?;
    for note in prepared.notes.iter().chain(&forms.notes).chain(&trainer.notes()) {
        sinks.event(&Event::Note(note.clone()))?;
    }
    let outcome = trainer.run(Some(folder.path()), args.max_steps, &mut sinks, &|| interrupt.asked())?;
    let place = folder.path().display();
    if !outcome.complete {
        let way = format!(
            "{} of {} steps are done; go on with: relabel train --resume {place}",
            outcome.step,
            trainer.steps()
        );
        if interrupt.asked() {
            return Err(Error::Interrupted(way));
        }
        return sinks.event(&Event::Note(way));
    }
    let method = trainer.method();
    let chosen = test_of_best(&engine, &trainer, &folder, &mut sinks)?;
    let mut metrics: BTreeMap<String, f64> = chosen.unwrap_or(outcome.metrics).into_iter().collect();
    if let Some(headline) = metrics.get(method.headline()).copied() {
        metrics.insert("accuracy".into(), headline);
    }
    let (name, seconds) = (method.name().to_owned(), trainer.seconds());
    folder.write_result(&RunResult { method: name, seed: prepared.config.seed, seconds, metrics })?;
    sinks.event(&Event::Note(format!("done; the run is in {place}")))
}

/// Where validation images chose the best checkpoint: its metrics on the test images, as the official code of SLA
/// reports them. `None` when there was nothing to choose by, or nothing to test on.
fn test_of_best(
    engine: &Arc<Engine>,
    trainer: &Trainer,
    folder: &RunDir,
    sinks: &mut dyn Sink,
) -> Result<Option<Vec<(String, f64)>>> {
    let best = folder.path().join(BEST);
    let Some(test) = &trainer.datasets().test else { return Ok(None) };
    // What made its own labels is measured by `relabel eval`.
    let supervised = !trainer.method().makes_labels();
    if trainer.evaluation_split() != Some("validation") || !best.exists() || !supervised {
        return Ok(None);
    }
    let start = Instant::now();
    let trained = Trained::open(engine, &best)?;
    let images = test.count();
    let metrics = trained.evaluate(Arc::clone(test), trainer.config().train.micro_batch())?;
    sinks.event(&Event::Note(format!("the best checkpoint, of step {}, on the test images:", trained.step)))?;
    sinks.event(&Event::Evaluated(Evaluated {
        step: trainer.step(),
        epoch: trained.step as f64 * trainer.config().train.batch as f64 / trainer.datasets().train.count() as f64,
        split: "test".into(),
        images,
        seconds: start.elapsed().as_secs_f64(),
        metrics: metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect(),
    }))?;
    Ok(Some(metrics))
}

fn default_run(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or(config.as_os_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::checkpoint::Meta;

    fn checkpoint(config: &Config) -> Checkpoint {
        let meta = Meta { config: config.to_toml().unwrap(), step: 40, ..Meta::default() };
        Checkpoint { tensors: Vec::new(), meta }
    }

    #[test]
    fn a_new_run() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("small.toml");
        std::fs::write(&file, "[train]\nbatch = 8\naccumulate = 2").unwrap();
        let run = dir.path().join("run");
        let set = vec!["seed=3".into(), "train.batch=16".into()];
        let args = TrainArgs { config: Some(file.clone()), set, run: Some(run.clone()), ..TrainArgs::default() };
        let args = TrainArgs { seed: Some(5), accumulate: Some(4), skip_bad: true, ..args };
        let prepared = args.prepare(Some("cpu")).unwrap();
        let config = &prepared.config;
        assert_eq!((config.seed, config.train.batch, config.train.accumulate), (5, 16, 4));
        assert_eq!((config.data.skip_bad, config.device.adapter.as_str()), (true, "cpu"));
        assert!(!run.exists());
        assert_eq!(prepared.first_step(), 0);
        prepared.open().unwrap();
        let error = args.prepare(None).unwrap_err().to_string();
        assert!(error.contains("--run"), "{error}");
        assert_eq!(default_run(&file), Path::new("runs/small"));
    }

    #[test]
    fn resuming_keeps_the_settings() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut config) = (dir.path().join("run"), Config::defaults(&known_sections()).unwrap());
        config.seed = 9;
        let run = RunDir::create(&path, &config).unwrap();
        checkpoint(&config).write(&run.last()).unwrap();
        let args = TrainArgs { resume: Some(path.clone()), ..TrainArgs::default() };
        let prepared = args.prepare(None).unwrap();
        assert_eq!((&prepared.config, prepared.first_step()), (&config, 40));
        assert!(prepared.notes.is_empty());
        let longer = TrainArgs { set: vec!["train.steps=90000".into()], ..args.clone() }.prepare(None).unwrap();
        assert_eq!(longer.notes, ["the run goes on with `train.steps` = 90000 (before: 80000)"]);
        longer.open().unwrap();
        let text = std::fs::read_to_string(run.config_file()).unwrap();
        assert!(text.contains("steps = 90000"), "{text}");
        let error = TrainArgs { seed: Some(1), ..args.clone() }.prepare(None).unwrap_err().to_string();
        assert!(error.contains("`seed` = 1 (before: 9)"), "{error}");
        let set = vec!["model.name=resnet20".into()];
        let error = TrainArgs { set, ..args }.prepare(None).unwrap_err().to_string();
        assert!(error.contains("`model.name`") && error.contains("resnet32"), "{error}");
    }
}
