//! Programs of an assignment that outlive it: an update with the same buffers and settings runs what an earlier one built.

use crate::base::Result;
use crate::gpu::{Engine, Program, Recording};

/// The programs that were run last.
#[derive(Debug)]
pub(super) struct Programs {
    /// The longest unused first.
    kept: Vec<Program>,
    most: usize,
    built: usize,
}

impl Programs {
    /// None yet, later at most so many.
    pub fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, built: 0 }
    }

    /// The program of a recording: one that plays the same is taken again.
    ///
    /// # Errors
    /// When the device rejects it.
    pub fn of(&mut self, engine: &Engine, recording: &Recording) -> Result<Program> {
        let program = match self.kept.iter().position(|program| program.plays(recording)) {
            Some(place) => self.kept.remove(place),
            None => {
                self.built += 1;
                Program::new(engine, recording)?
            }
        };
        if self.kept.len() == self.most {
            self.kept.remove(0);
        }
        self.kept.push(program.clone());
        Ok(program)
    }

    /// Programs built so far.
    pub fn built(&self) -> usize {
        self.built
    }
}
