//! Forms of products that are taken before anybody measured them: each has to give the plain form's answer on small
//! products first, once a device. A driver may build a shader and compute something else; a run must not find out by its loss.

use super::product::{FORMS, Product};
use super::tune;
use crate::base::compare::compare;
use crate::base::{Error, Result};
use crate::gpu::{Engine, Recording, Shader, Variants};

/// Sizes off every tile, with edges, rests and more than one round of the inner dimension; the second of those that forms by
/// bands of lines take.
const CONVOLUTIONS: [&str; 2] = ["3x13x11x20-24,k3,s1,p1", "3x14x14x28-28,k3,s1,p1"];
const MATRICES: [&str; 4] = ["70x50x40", "70x50x40,ta", "70x50x40,tb", "70x50x40,ta,tb"];

/// Those of the named forms that fail, each with what was wrong.
pub fn failures(engine: &Engine, named: &[(&'static Shader, usize)]) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    for (plain, forms) in FORMS {
        let shapes = if plain.name == "matmul" { MATRICES.as_slice() } else { CONVOLUTIONS.as_slice() };
        for &(shader, variant) in named.iter().filter(|(named, _)| forms.iter().any(|(s, _)| s.name == named.name)) {
            let ways: &[bool] = match (shader.rounds(), shader.variants.iter().any(|v| v.rounds())) {
                (true, _) => &[true],
                (false, true) => &[false, true],
                (false, false) => &[false],
            };
            let tried = |&half: &bool| {
                shapes.iter().find_map(|shape| tried(engine, plain, shape, (shader, variant), half).err())
            };
            let failed = ways.iter().find_map(tried);
            found.extend(failed.map(|e| (shader.name, e.to_string())));
        }
    }
    found
}

fn tried(
    engine: &Engine,
    plain: &Shader,
    shape: &str,
    (shader, variant): (&'static Shader, usize),
    half: bool,
) -> Result<()> {
    let product = Product::parse(plain.name, shape)?;
    let product = product.ok_or_else(|| Error::Shape(format!("{} has no shape {shape}", plain.name)))?;
    let mut seed = 0;
    engine.passing(|| {
        let operands = product.operands(engine, product.maps(half), &mut |sizes, dtype| {
            seed += 1;
            tune::random(engine, sizes, dtype, seed)
        })?;
        let answer = |variants: Variants| -> Result<(Recording, Vec<f32>)> {
            let mut recording = Recording::new();
            recording.variants = variants;
            (operands.record)(&mut recording)?;
            let (_, words) = tune::answer(engine, &recording, &operands.output)?;
            Ok((recording, words))
        };
        let (_, expected) = answer(Variants { half, ..Variants::default() })?;
        let (recording, words) =
            answer(Variants { kernels: [(shader.name, variant)].into(), half, ..Variants::default() })?;
        // A form that gives way is not taken for such shapes.
        if recording.dispatches[0].shader.name != shader.name {
            return Ok(());
        }
        let expected: Vec<f64> = expected.into_iter().map(f64::from).collect();
        compare(&words, &expected, tune::tolerance(&product, half))
            .map_err(|text| Error::Device(format!("another answer than {}'s: {text}", plain.name)))
    })
}
