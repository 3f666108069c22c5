//! Settings that all methods on transformed views share: the `[sla]` section.

use serde::{Deserialize, Serialize};

use super::config::{Fault, Section, need};
use crate::base::transforms::TransformSet;
use crate::base::{Error, Result, Shape};

/// The `[sla]` section: SLA, SLA + SD, and the baselines on transformed views (`da`, `mt`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ViewSettings {
    /// Set of transformations: rotation, rotation2, color_perm, color_perm3, rot_color_perm6, rot_color_perm12,
    /// rot_color_perm24.
    pub transform: String,
    /// Reduction of the loss over an image's views: "mean" (the paper, and the official default) or "sum" (the
    /// official `--with-large-loss`).
    pub loss: String,
    /// `sla-sd`: temperature T of the distillation, above 0; the term is scaled by T².
    pub temperature: f64,
    /// `sla-sd`: weight β of the single head's cross-entropy, at least 0 (the official code fixes 1).
    pub beta: f64,
}

impl Default for ViewSettings {
    fn default() -> Self {
        Self { transform: "rotation".into(), loss: "mean".into(), temperature: 1.0, beta: 1.0 }
    }
}

impl Section for ViewSettings {
    fn check(&self) -> std::result::Result<(), Fault> {
        let known = self.set().is_ok();
        need(
            known,
            "transform",
            format!("\"{}\"", self.transform),
            TransformSet::ALL.map(TransformSet::name).join(", "),
        )?;
        let loss = self.loss == "mean" || self.loss == "sum";
        need(loss, "loss", format!("\"{}\"", self.loss), "\"mean\" or \"sum\"")?;
        // As the device has them, in 32 bits.
        let (temperature, beta) = (self.temperature as f32, self.beta as f32);
        let allowed = "a number above 0 that 32 bits can hold";
        need(temperature > 0.0 && temperature.is_finite(), "temperature", self.temperature, allowed)?;
        let allowed = "a number of at least 0 that 32 bits can hold";
        need(beta >= 0.0 && beta.is_finite(), "beta", self.beta, allowed)
    }
}

impl ViewSettings {
    /// The set of transformations.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn set(&self) -> Result<TransformSet> {
        self.transform.parse()
    }

    /// 1 for the mean over an image's views, M for the sum.
    ///
    /// # Errors
    /// When `loss` is neither.
    pub fn loss_factor(&self) -> Result<f32> {
        match self.loss.as_str() {
            "mean" => Ok(1.0),
            "sum" => Ok(self.set()?.views() as f32),
            other => Err(Error::Config(format!("sla.loss = \"{other}\": it is \"mean\" or \"sum\""))),
        }
    }
}

/// Refuses images that a set of transformations cannot be applied to. `image` is `(H, W, C)`.
///
/// # Errors
/// Naming the set and the images.
pub fn check(set: TransformSet, image: &Shape) -> Result<()> {
    let &[height, width, channels] = image.sizes() else {
        return Err(Error::Shape(format!("an image is (H, W, C), not {image}")));
    };
    set.check(height, width, channels)
}
