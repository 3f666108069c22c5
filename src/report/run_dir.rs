//! The directory of a run: settings, environment, metrics, checkpoints.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::metrics::MetricsFiles;
use super::time::utc;
use crate::base::{Error, Result};
use crate::train::checkpoint::{LAST, Rotation, write_atomically};
use crate::train::config::Config;

/// One start or resumption of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// relabel's version.
    pub version: String,
    /// Name, kind, backend and driver of the adapter.
    pub adapter: String,
    /// The run's seed.
    pub seed: u64,
    /// When it began, in UTC.
    pub started: String,
    /// Steps done before.
    pub first_step: u64,
}

impl Session {
    /// A session that begins now.
    pub fn now(adapter: &str, seed: u64, first_step: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            adapter: adapter.into(),
            seed,
            started: utc(SystemTime::now()),
            first_step,
        }
    }
}

/// `environment.json`: what a run was made with.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The start, then each resumption.
    pub sessions: Vec<Session>,
}

/// `result.json`: what a finished run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the method.
    pub method: String,
    /// The run's seed.
    pub seed: u64,
    /// Seconds spent in training and its evaluations, over all sessions.
    pub seconds: f64,
    /// The last evaluation's metrics by name; `accuracy` is the one that stands for the method.
    pub metrics: std::collections::BTreeMap<String, f64>,
}

/// A run's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

const CONFIG: &str = "config.toml";
const ENVIRONMENT: &str = "environment.json";
const RESULT: &str = "result.json";
/// The forms of kernels that a run takes.
pub const VARIANTS: &str = "variants.json";

impl RunDir {
    /// Fails when a new run cannot begin in `path`, without making anything: a check for before the long work.
    ///
    /// # Errors
    /// [`Error::Config`] when it is there and not empty, or is a file.
    pub fn check_vacant(path: &Path) -> Result<()> {
        match fs::read_dir(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(_) if path.is_file() => {
                Err(Error::Config(format!("{} is a file; choose another run directory with --run", path.display())))
            }
            Err(e) => Err(Error::io("cannot list", path, e)),
            Ok(mut entries) => match entries.next() {
                None => Ok(()),
                Some(_) if path.join(LAST).exists() => Err(Error::Config(format!(
                    "the run directory {0} exists and holds a checkpoint; go on with --resume {0}, or choose another \
                     directory with --run",
                    path.display(),
                ))),
                Some(_) => Err(Error::Config(format!(
                    "the run directory {} exists, is not empty and holds no checkpoint to resume from; remove it, or \
                     choose another directory with --run",
                    path.display(),
                ))),
            },
        }
    }

    /// Makes the directory of a new run, and writes its settings.
    ///
    /// # Errors
    /// As [`RunDir::check_vacant`]; [`Error::Io`] when the system fails.
    pub fn create(path: &Path, config: &Config) -> Result<Self> {
        Self::check_vacant(path)?;
        fs::create_dir_all(path).map_err(|e| Error::io("cannot make the run directory", path, e))?;
        let run = Self { path: path.into() };
        run.write_config(config)?;
        Ok(run)
    }

    /// The directory of a run that can go on.
    ///
    /// # Errors
    /// [`Error::Config`] when it holds no checkpoint or no settings.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(Error::Config(format!("{} is not a run directory: there is no such folder", path.display())));
        }
        for name in [LAST, CONFIG] {
            if !path.join(name).is_file() {
                return Err(Error::Config(format!(
                    "{} cannot be resumed: it holds no {name}; --resume takes the directory of a run",
                    path.display(),
                )));
            }
        }
        Ok(Self { path: path.into() })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file of the settings.
    pub fn config_file(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// The file of the forms of kernels.
    pub fn variants_file(&self) -> PathBuf {
        self.path.join(VARIANTS)
    }

    /// The last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.path.join(LAST)
    }

    /// Writes the settings, complete.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails.
    pub fn write_config(&self, config: &Config) -> Result<()> {
        let text = config.to_toml()?;
        write_atomically(&self.config_file(), |out| out.write_all(text.as_bytes()))
    }

    /// Adds a start or a resumption to `environment.json`.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails, [`Error::Config`] when the file is damaged.
    pub fn add_session(&self, session: Session) -> Result<()> {
        let mut environment = self.environment()?;
        environment.sessions.push(session);
        let path = self.path.join(ENVIRONMENT);
        write_atomically(&path, |out| {
            serde_json::to_writer_pretty(&mut *out, &environment)?;
            out.write_all(b"\n")
        })
    }

    /// Writes what the finished run came to.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails.
    pub fn write_result(&self, result: &RunResult) -> Result<()> {
        write_atomically(&self.path.join(RESULT), |out| {
            serde_json::to_writer_pretty(&mut *out, result)?;
            out.write_all(b"\n")
        })
    }

    /// What the run was made with so far; nothing before its start.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails, [`Error::Config`] when the file is damaged.
    pub fn environment(&self) -> Result<Environment> {
        let path = self.path.join(ENVIRONMENT);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|e| Error::Config(format!("{} is damaged ({e}); remove it", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Environment::default()),
            Err(e) => Err(Error::io("cannot read", &path, e)),
        }
    }

    /// The metrics' files, begun anew for `first_step` 0, and else cut after it.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails.
    pub fn metrics(&self, first_step: u64) -> Result<MetricsFiles> {
        if first_step == 0 { MetricsFiles::create(&self.path) } else { MetricsFiles::resume(&self.path, first_step) }
    }

    /// The checkpoints, of which `keep` stay beside the last and the best.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails.
    pub fn checkpoints(&self, keep: usize) -> Result<Rotation> {
        Rotation::new(&self.path, keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn existing_runs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("runs/a");
        let config = Config::default();
        let run = RunDir::create(&path, &config).unwrap();
        let text = fs::read_to_string(run.config_file()).unwrap();
        assert_eq!(Config::parse(&text, "config.toml", &[], &[]).unwrap(), config);
        let refused = |result: Result<RunDir>, parts: &[&str]| {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Config(_)), "{error:?}");
            let text = error.to_string();
            parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text:?}"));
        };
        refused(RunDir::create(&path, &config), &["runs/a", "remove it", "--run"]);
        refused(RunDir::open(&path), &["runs/a", LAST]);
        fs::write(path.join(LAST), b"x").unwrap();
        refused(RunDir::create(&path, &config), &["--resume", "runs/a", "--run"]);
        assert_eq!(RunDir::open(&path).unwrap(), run);
        refused(RunDir::create(&path.join(LAST), &config), &["is a file"]);
        refused(RunDir::open(&dir.path().join("gone")), &["gone"]);
        let empty = dir.path().join("empty");
        fs::create_dir(&empty).unwrap();
        RunDir::create(&empty, &config).unwrap();
    }

    #[test]
    fn every_session_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(&dir.path().join("a"), &Config::default()).unwrap();
        run.add_session(Session::now("llvmpipe", 3, 0)).unwrap();
        run.add_session(Session::now("another", 3, 100)).unwrap();
        let sessions = run.environment().unwrap().sessions;
        assert_eq!(sessions.iter().map(|s| s.first_step).collect::<Vec<_>>(), [0, 100]);
        assert_eq!(
            (sessions[0].adapter.as_str(), sessions[0].version.as_str()),
            ("llvmpipe", env!("CARGO_PKG_VERSION"))
        );
        assert!(sessions[1].started.starts_with("20") && sessions[1].started.ends_with('Z'), "{sessions:?}");
        fs::write(run.path().join(ENVIRONMENT), b"{").unwrap();
        assert!(run.environment().unwrap_err().to_string().contains("damaged"));
    }
}
