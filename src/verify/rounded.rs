//! Forms that round their factors to half precision: golden networks once more with them, within a bound that the direct forms
//! give.

use std::path::Path;

use super::{Answer, Golden, Verdict, answer};
use crate::base::compare::relative_error;
use crate::base::{Error, Result};
use crate::gpu::variants::Form;
use crate::gpu::{Engine, Factors, Variants};
use crate::kernels::{self, choose, matmul};

/// The kinds with products that may round: the others have none, or none that a run in half precision would round.
const KINDS: &[&str] = &["resnet_training", "forward_tangent", "maxl_meta_gradient"];

/// A number is at most this share of itself off when it is rounded to 11 bits.
const ROUNDING: f64 = 1.0 / 2048.0;
/// Inputs that are tried as far off as rounding.
const TRIES: u64 = 4;
/// Rounding may err so many times as much as the worst of these: a try moves one factor of a layer's product, its weights, by up to
/// [`ROUNDING`]; a form rounds both factors of three products (forward, and the gradients by the input and by the weights), which
/// are six such errors of one size, independent: √6 times as much. Twice that, since the largest error of one draw is no bound on
/// another's.
const SHARE: f64 = 5.0;

/// Whether a form is taken only where factors may be rounded.
fn rounds((kernel, variant): Form) -> bool {
    kernels::named(kernel).is_some_and(|k| k.shader.variants[variant].rounds())
}

/// Runs one golden file with the forms that are set, its products rounding their factors where these forms do; `None` when no
/// form rounds, or the file's kind has no product that does. Maps stay in single precision.
///
/// # Errors
/// As [`verify`](super::verify).
pub fn verify_rounded(engine: &Engine, path: &Path) -> Result<Option<Verdict>> {
    let Some(forms) = engine.variants() else { return Ok(None) };
    let named =
        forms.kernels.iter().map(|(&kernel, &variant)| (kernel, variant)).chain(forms.classes.values().copied());
    let golden = Golden::read(path)?;
    if !KINDS.contains(&golden.kind.as_str()) || !named.into_iter().any(rounds) {
        return Ok(None);
    }
    let run = |variants: Variants, golden: &Golden| {
        engine.set_variants(variants);
        Ok(answer(engine, golden)?.unwrap_or_default())
    };
    // Once more for the forms of classes that only half-precision maps ask for.
    let halves = forms.classes.keys().any(|class| Factors::of_class(class).1 == Factors::Half);
    let ways = [Factors::Tf32, Factors::Half].into_iter().filter(|&way| way == Factors::Tf32 || halves);
    let found: Result<Vec<Vec<Answer>>> =
        ways.map(|factors| run(Variants { factors, ..forms.clone() }, &golden)).collect();
    let verdict = found.and_then(|found| judge(&golden, path, &found, |g| run(choose::direct_forms(engine), g)));
    engine.set_variants(forms);
    verdict.map(Some)
}

/// The verdict on runs with rounded factors: each answer may be off by [`SHARE`] times as much as `direct` is for inputs that are off
/// by a rounding, beside the file's own bound.
fn judge(
    golden: &Golden,
    path: &Path,
    runs: &[Vec<Answer>],
    direct: impl Fn(&Golden) -> Result<Vec<Answer>>,
) -> Result<Verdict> {
    let tries: Vec<Vec<Answer>> =
        (0..TRIES).map(|seed| direct(&golden.nudged(seed, ROUNDING))).collect::<Result<_>>()?;
    let mut worst: Option<(f64, Verdict)> = None;
    for tensor in golden.expected() {
        let known = golden.output(&tensor)?;
        let off = |answers: &[Answer]| {
            let own = answers.iter().find(|(name, _)| *name == tensor);
            own.map_or(f64::INFINITY, |(_, values)| relative_error(values, &known.values))
        };
        let largest = |all: &[Vec<Answer>]| all.iter().map(|answers| off(answers)).fold(0.0, f64::max);
        let (error, tolerance) = (largest(runs), golden.rtol + SHARE * largest(&tries));
        if !tolerance.is_finite() {
            return Err(Error::Data(format!("{}: `out.{tensor}` is not answered", path.display())));
        }
        if worst.as_ref().is_none_or(|(share, _)| error / tolerance > *share) {
            let (file, kind) = (path.display().to_string(), golden.kind.clone());
            let passed = error <= tolerance;
            worst = Some((
                error / tolerance,
                Verdict { file, kind, error, tensor, tolerance, half: true, passed, edge: false },
            ));
        }
    }
    let nothing = || Error::Data(format!("{}: no `out.` tensor, nothing to verify", path.display()));
    worst.map(|(_, verdict)| verdict).ok_or_else(nothing)
}

/// Those of the forms that are set which no case ran, as `conv2d_coop (16 64x64)`, with their class where they hold for one: the
/// golden networks have few shapes. Of products, and of others where it is not the built-in form.
pub fn not_run(engine: &Engine) -> Vec<String> {
    let Some(forms) = engine.variants() else { return Vec::new() };
    let built = engine.built();
    let name = |(kernel, variant): Form| {
        let shader = kernels::named(kernel).map(|k| k.shader);
        format!("{kernel} ({})", shader.map_or("", |s| s.variants[variant].name))
    };
    // A call may choose among a form's variants, by the shape or by the transposes.
    let anyhow = |kernel: &str| built.iter().any(|(own, _)| *own == kernel);
    let own = choose::built_in(engine).kernels;
    let product = |kernel: &str| kernel.starts_with("conv2d") || kernel.starts_with(matmul::SHADER.name);
    let mut left: Vec<String> = forms
        .kernels
        .iter()
        .map(|(&kernel, &variant)| (kernel, variant))
        .filter(|(kernel, variant)| product(kernel) || own.get(kernel).copied().unwrap_or(0) != *variant)
        .filter(|(kernel, _)| !anyhow(kernel))
        .map(name)
        .collect();
    left.sort();
    for (class, &(kernel, variant)) in &forms.classes {
        let alike = |own: usize| own == variant || (kernel.starts_with(matmul::SHADER.name) && own / 4 == variant / 4);
        if !built.iter().any(|&(own, form)| own == kernel && alike(form)) {
            let rounded = Factors::of_class(class).1.rounded() || !rounds((kernel, variant));
            let only = if rounded { "" } else { ", only where factors may be rounded" };
            left.push(format!("{}, for {class}{only}", name((kernel, variant))));
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What errs as inputs off by a rounding do passes; a hundredth off does not.
    #[test]
    fn rounded_answers_pass_and_wrong_ones_fail() {
        let mut golden = Golden::empty("resnet_training", 1e-6);
        golden.insert("in.x", &[3], vec![1.0, 2.0, -3.0]);
        golden.insert("out.y", &[3], vec![2.0, 4.0, -6.0]);
        let direct =
            |golden: &Golden| Ok(vec![("y".to_owned(), golden.input("x")?.f32().iter().map(|x| 2.0 * x).collect())]);
        let verdict = |values: [f32; 3]| {
            judge(&golden, Path::new("x"), &[vec![("y".to_owned(), values.to_vec())]], direct).expect("has outputs")
        };
        let rounded = verdict([2.001, 3.998, -6.001]);
        assert!(rounded.passed && rounded.half && rounded.tolerance < 3e-3, "{rounded:?}");
        assert!(!verdict([2.0, 4.0, -6.06]).passed && !verdict([2.0, f32::NAN, -6.0]).passed);
    }
}
