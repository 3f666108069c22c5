//! Floor 8: golden files, run through the same kernels and graphs that training uses.

pub mod golden;
mod loss_kinds;
pub mod maxl_kinds;
mod metric_kinds;
mod network_kinds;
mod rounded;
mod transport_kinds;

use std::path::Path;

use crate::base::compare::relative_error;
use crate::base::{Error, Result};
use crate::gpu::Engine;
use crate::kernels::choose;

pub use golden::Golden;
pub use rounded::{not_run, verify_rounded};

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
    /// The file's own bound, or what rounding allows ([`verify_rounded`]).
    pub tolerance: f64,
    /// Whether products rounded their factors to half precision.
    pub half: bool,
    /// Whether every expected tensor was answered within the bound.
    pub passed: bool,
    /// Whether the answers are not the file's, but the direct forms give both for inputs that are a rounding away: something stands
    /// on an edge, such as a rectified unit whose input is zero but for rounding.
    pub edge: bool,
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
    let Some(answers) = answer(engine, &golden)? else { return Ok(None) };
    let verdict = judge(&golden, path, &answers)?;
    if verdict.passed {
        return Ok(Some(verdict));
    }
    // Where no forms are set, the answers are those of the direct ones already.
    let forms = engine.variants();
    if forms.is_some() {
        engine.set_variants(choose::direct_forms(engine));
    }
    let other = on_an_edge(&golden, path, &answers, |inputs| Ok(answer(engine, inputs)?.unwrap_or_default()));
    forms.into_iter().for_each(|forms| engine.set_variants(forms));
    Ok(Some(other?.unwrap_or(verdict)))
}

fn answer(engine: &Engine, golden: &Golden) -> Result<Option<Vec<Answer>>> {
    Ok(Some(match golden.kind.as_str() {
        "sla_loss" => loss_kinds::sla_loss(engine, golden)?,
        "multitask_loss" => loss_kinds::multitask_loss(engine, golden)?,
        "transform" => loss_kinds::transform(engine, golden)?,
        "resnet_training" => network_kinds::resnet_training(engine, golden)?,
        "forward_tangent" => network_kinds::forward_tangent(engine, golden)?,
        "metrics" => metric_kinds::metrics(engine, golden)?,
        "sinkhorn" => transport_kinds::sinkhorn(engine, golden)?,
        "maxl_loss" => maxl_kinds::maxl_loss(engine, golden)?,
        "maxl_meta_gradient" => maxl_kinds::maxl_meta_gradient(engine, golden)?,
        _ => return Ok(None),
    }))
}

/// Inputs that are tried a rounding away: each falls on either side of an edge about as often.
const TRIES: u64 = 16;

/// The verdict on answers that are not the file's where `direct`, within the same bound, gives the file's for the file's inputs
/// or for ones that are a rounding of float32 away, and these answers for others such. No form and no driver can be held to a
/// side of an edge that is nearer than the rounding of any order of its sums. `None` where `direct` does not give both: then
/// nothing says that the file is right, or the adapter.
fn on_an_edge(
    golden: &Golden,
    path: &Path,
    answers: &[Answer],
    direct: impl Fn(&Golden) -> Result<Vec<Answer>>,
) -> Result<Option<Verdict>> {
    let (mut as_file, mut as_these) = (None, None);
    for inputs in
        std::iter::once(golden.clone()).chain((0..TRIES).map(|seed| golden.nudged(seed, f64::from(f32::EPSILON))))
    {
        let found = direct(&inputs)?;
        let passed = |verdict: Verdict| verdict.passed.then_some(verdict);
        as_file = as_file.or(passed(judge(golden, path, &found)?));
        as_these = as_these.or(passed(judge(&golden.with_answers(&found), path, answers)?));
        if let (Some(a), Some(b)) = (&as_file, &as_these) {
            let worse = if a.error > b.error { a } else { b };
            return Ok(Some(Verdict { edge: true, ..worse.clone() }));
        }
    }
    Ok(None)
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
        half: false,
        passed: worst <= golden.rtol,
        edge: false,
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

    /// A unit whose input rounds to either side of zero passes on both; what no nudge brings about does not.
    #[test]
    fn answers_on_the_other_side_of_an_edge_pass() {
        let mut golden = golden();
        golden.insert("in.x", &[2], vec![1.0, -1.0 - 1e-8]);
        golden.insert("out.a", &[2], vec![0.0, 2.0]);
        let unit = |golden: &Golden| {
            let x = golden.input("x")?.f32();
            let step = |v: bool| if v { 1.0 } else { 0.0 };
            Ok(vec![("a".to_owned(), vec![step(x[0] + x[1] > 0.0), 2.0]), ("b".to_owned(), vec![5.0])])
        };
        let edge = |golden: &Golden, answer: f32| {
            let answers = [("a".to_owned(), vec![answer, 2.0]), ("b".to_owned(), vec![5.0])];
            on_an_edge(golden, Path::new("x"), &answers, unit).expect("has outputs")
        };
        assert!(edge(&golden, 1.0).is_some_and(|v| v.passed && v.edge));
        // The same where the file stands on the other side than the direct form.
        golden.insert("out.a", &[2], vec![1.0, 2.0]);
        assert!(edge(&golden, 0.0).is_some_and(|v| v.passed && v.edge));
        assert!(edge(&golden, 0.99).is_none());
        // A file that is wrong by as much as a jump is not made right by it.
        golden.insert("out.a", &[2], vec![0.01, 2.0]);
        assert!(edge(&golden, 1.0).is_none() && edge(&golden, 0.0).is_none());
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
