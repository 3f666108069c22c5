//! Ctrl-C: the first asks the run to stop after its step, the second ends the process.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::{Error, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Whether the user has asked to stop.
#[derive(Clone, Copy, Debug)]
pub struct Interrupt(&'static AtomicBool);

impl Interrupt {
    /// Whether Ctrl-C was pressed (or the process was asked to end) since [`install`].
    pub fn asked(self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The flag itself, for the training loop.
    pub fn flag(self) -> &'static AtomicBool {
        self.0
    }
}

/// Catches SIGINT, SIGTERM and SIGHUP. Once for a process. Where the parent has these signals ignored (`nohup`, a job
/// that a script put into the background) they stay ignored.
///
/// # Errors
/// When the system refuses.
pub fn install() -> Result<Interrupt> {
    let caught = ctrlc::try_set_handler(|| {
        if ASKED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        super::output::tell("\nstopping after this step and writing a checkpoint; once more to end at once");
    });
    match caught {
        Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(Interrupt(&ASKED)),
        Err(e) => Err(Error::io("cannot catch", Path::new("Ctrl-C"), std::io::Error::other(e))),
    }
}
