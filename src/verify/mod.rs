//! Floor 8: golden files, run through the same kernels and graphs that training uses.

pub mod golden;
mod loss_kinds;
pub mod maxl_kinds;
mod metric_kinds;
mod network_kinds;
mod transport_kinds;

use std::path::Path;

use crate::base::compare::relative_error;
use crate::base::{Error, Result};
use crate::gpu::Engine;

pub use golden::Golden;

/// An answer of ours: the tensor's name after `out.`, and its values in the file's layout.
pub type Answer = (String, Vec<f32>);

/// The verdict on one file.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Verdict {
    /// The file.
    pub file: String,
    /// Its kind.
    pub kind: String,
    /// The worst relative error, `max|a − e| / max(1e-6, max|e|)` over each tensor.
    pub error: f64,
    /// The tensor with that error.
    pub tensor: String,
    /// The file's own bound.
    pub tolerance: f64,
    /// Whether every expected tensor was answered within the bound.
    pub passed: bool,
}

/// The kinds that can be verified.
pub const KINDS: &[&str] = &[
    "sla_loss",
    "multitask_loss",
    "transform",
    "resnet_training",
    "forward_tangent",
    "metrics",
    "sinkhorn",
    "maxl_loss",
    "maxl_meta_gradient",
];

/// Runs one golden file; `None` when it is of a kind that this version does not know.
///
/// # Errors
/// When the file cannot be read, or lacks a tensor or a setting; a wrong answer is no error but a verdict.
pub fn verify(engine: &Engine, path: &Path) -> Result<Option<Verdict>> {
    let golden = Golden::read(path)?;
    let answers = match golden.kind.as_str() {
        "sla_loss" => loss_kinds::sla_loss(engine, &golden)?,
        "multitask_loss" => loss_kinds::multitask_loss(engine, &golden)?,
        "transform" => loss_kinds::transform(engine, &golden)?,
        "resnet_training" => network_kinds::resnet_training(engine, &golden)?,
        "forward_tangent" => network_kinds::forward_tangent(engine, &golden)?,
        "metrics" => metric_kinds::metrics(engine, &golden)?,
        "sinkhorn" => transport_kinds::sinkhorn(engine, &golden)?,
        "maxl_loss" => maxl_kinds::maxl_loss(engine, &golden)?,
        "maxl_meta_gradient" => maxl_kinds::maxl_meta_gradient(engine, &golden)?,
        _ => return Ok(None),
    };
    judge(&golden, path, &answers).map(Some)
}

fn judge(golden: &Golden, path: &Path, answers: &[Answer]) -> Result<Verdict> {
    let (mut worst, mut tensor) = (-1.0, String::new());
    let expected = golden.expected();
    if expected.is_empty() {
        return Err(Error::Data(format!("{}: no `out.` tensor, nothing to verify", path.display())));
    }
    for name in expected {
        let answer = answers.iter().find(|(n, _)| *n == name);
        let known = golden.output(&name)?;
        let error = answer.map_or(f64::INFINITY, |(_, a)| relative_error(a, &known.values));
        // Whole numbers are labels: one that is off by 1 is wrong, however large it is.
        let error = if known.integer && error > 0.0 { f64::INFINITY } else { error };
        if error > worst {
            (worst, tensor) = (error, name);
        }
    }
    Ok(Verdict {
        file: path.display().to_string(),
        kind: golden.kind.clone(),
        error: worst,
        tensor,
        tolerance: golden.rtol,
        passed: worst <= golden.rtol,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> Golden {
        let mut golden = Golden::empty("sla_loss", 1e-3);
        golden.insert("out.a", &[2], vec![1.0, 2.0]);
        golden.insert("out.b", &[1], vec![5.0]);
        golden
    }

    fn verdict(answers: &[Answer]) -> Verdict {
        judge(&golden(), Path::new("x"), answers).expect("has outputs")
    }

    #[test]
    fn wrong_and_missing_answers_fail() {
        let good = || vec![("a".to_owned(), vec![1.0f32, 2.0]), ("b".to_owned(), vec![5.001])];
        assert!(verdict(&good()).passed);
        let mut wrong = good();
        wrong[0].1[1] = 2.01;
        let bad = verdict(&wrong);
        assert!(!bad.passed && bad.tensor == "a" && (bad.error - 0.005).abs() < 1e-6, "{bad:?}");
        assert!(!verdict(&good()[..1]).passed);
        let mut counted = golden();
        counted.insert_integers("out.a", &[2], vec![1.0, 5000.0]);
        let near = [("a".to_owned(), vec![1.0f32, 4999.0]), good().remove(1)];
        assert!(judge(&counted, Path::new("x"), &near).expect("has outputs").error.is_infinite());
        let mut nan = good();
        nan[1].1[0] = f32::NAN;
        assert!(!verdict(&nan).passed);
    }
}
