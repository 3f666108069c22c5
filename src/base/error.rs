//! The one error type: what was wrong, where, and what to do; each kind has its exit code.

use std::path::Path;

/// `std::result::Result` with relabel's error.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong. A message names the thing, the values seen and expected, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A verification ran and did not pass.
    #[error("{0}")]
    Failed(String),
    /// A setting is unknown, of the wrong type or out of range, or two settings contradict.
    #[error("{0}")]
    Config(String),
    /// Input data is missing, truncated, corrupt or does not fit the model.
    #[error("{0}")]
    Data(String),
    /// No adapter, a driver that fails, a lost device, or a rejected shader.
    #[error("{0}")]
    Device(String),
    /// A plan that does not fit the adapter's memory or limits.
    #[error("{0}")]
    Memory(String),
    /// A checkpoint that is corrupt or belongs to another model or run.
    #[error("{0}")]
    Checkpoint(String),
    /// Shapes that do not fit together: an error in how a graph was built.
    #[error("{0}")]
    Shape(String),
    /// The loss became NaN or infinite.
    #[error("{0}")]
    Diverged(String),
    /// Stopped by the user after a checkpoint was written.
    #[error("{0}")]
    Interrupted(String),
    /// Reading or writing a file failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done, with the path.
        context: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl Error {
    /// Wraps a system error with what was being done to which path.
    pub fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { context: format!("{doing} {}", path.display()), source }
    }

    /// The process's exit code for this kind (documented in `docs/guide/exit-codes.md`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Config(_) => 2,
            Self::Data(_) => 3,
            Self::Device(_) => 4,
            Self::Memory(_) => 5,
            Self::Checkpoint(_) => 6,
            Self::Diverged(_) => 7,
            Self::Io { .. } => 8,
            Self::Shape(_) => 9,
            Self::Interrupted(_) => 130,
        }
    }
}
