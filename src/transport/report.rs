//! What a solve says about itself.

use crate::base::{Error, Result};
use crate::kernels::sinkhorn_update::place;

/// Why the iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every cluster's mass is within the tolerance of its share.
    Converged,
    /// The error stopped falling: float32 allows no better, or the problem is too peaked.
    NoProgress,
    /// The cap on iterations.
    Cap,
}

/// How a solve went.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Report {
    /// Iterations done.
    pub iterations: usize,
    /// Why it ended.
    pub outcome: Outcome,
    /// Largest |q/b − 1| over the clusters at the scaling that the labels are made with; rows are exact.
    pub error: f64,
    /// How often momentum was dropped.
    pub restarts: usize,
    /// −(1/N) Σ log P of each sample's label.
    pub label_cost: f64,
    /// −Σ q log P over samples and clusters, q the joint masses.
    pub transport_cost: f64,
    /// Labels that differ from those in the table before.
    pub changed: usize,
    /// Wall time.
    pub seconds: f64,
}

/// A solve's answer; the labels stand in the table.
#[derive(Clone, Debug)]
pub struct Solution {
    /// How it went.
    pub report: Report,
    /// Log scaling of each cluster `(K)`, up to a common constant.
    pub scaling: Vec<f32>,
    /// Mass of each cluster `(K)`, as a part of 1.
    pub mass: Vec<f64>,
}

impl Outcome {
    /// From the state on the device; `None` while it goes on.
    pub(super) fn of(state: &[f32]) -> Option<Self> {
        match state[place::STOPPED] as u32 {
            1 => Some(Self::Converged),
            2 => Some(Self::NoProgress),
            3 => Some(Self::Cap),
            _ => None,
        }
    }
}

/// Refuses numbers that show that the scores were not finite.
pub(super) fn finite(values: &[f32]) -> Result<()> {
    if values.iter().all(|v| v.is_finite()) {
        return Ok(());
    }
    Err(Error::Diverged("the label assignment got logits that are NaN or infinite: the network has diverged".into()))
}
