//! Floor 7: what remains of a run: its directory and its metrics; and sheets of images. Reads events, cannot change a run.

mod font;
pub mod gallery;
mod metrics;
mod run_dir;
mod sheet;
mod time;

pub use metrics::MetricsFiles;
pub use run_dir::{Environment, RunDir, RunResult, Session, VARIANTS};
pub use sheet::write_sheet;
pub use time::utc;
