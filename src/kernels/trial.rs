//! Forms of products that are taken before anybody measured them: each has to give the plain form's answer on small
//! products first, once a device. A driver may build a shader and compute something else; a run must not find out by its loss.

use super::product::{FORMS, Product};
use super::{batch_norm_running, batch_norm_stats, conv2d, conv2d_halo, conv2d_halo_stats, halo, join, tune};
use crate::base::compare::{Tolerance, compare};
use crate::base::{DType, Error, Result};
use crate::gpu::{Engine, Program, Recording, Shader, Tensor, Variants, readback};

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
    for &(shader, variant) in named.iter().filter(|(shader, _)| shader.name == conv2d_halo_stats::SHADER.name) {
        let failed = [false, true].into_iter().find_map(|half| joined(engine, variant, half).err());
        found.extend(failed.map(|e| (shader.name, e.to_string())));
    }
    found
}

/// What [`join`](super::join::join) makes of a convolution and the statistics of its output, beside one after the other.
fn joined(engine: &Engine, variant: usize, half: bool) -> Result<()> {
    let Some(Product::Convolution(_, g)) = Product::parse("conv2d", CONVOLUTIONS[1])? else {
        return Err(Error::Shape(format!("conv2d has no shape {}", CONVOLUTIONS[1])));
    };
    engine.passing(|| {
        let map = if half { DType::F16 } else { DType::F32 };
        let random = |sizes: &[usize], dtype, seed| tune::random(engine, sizes, dtype, seed);
        let (x, w) = (random(&g.input, map, 1)?, random(&g.weights(), DType::F32, 2)?);
        let y = random(&g.output, map, 3)?;
        let rows = [2, y.shape.last()];
        let (stats, running) = (random(&rows, DType::F32, 4)?, random(&rows, DType::F32, 5)?);
        // Room for the parts of as many workgroups as there may be.
        let parts = random(&[2 * halo::PROCESSORS, 3, y.shape.last()], DType::F32, 6)?;
        let slabs = Tensor { shape: batch_norm_stats::scratch(&y.shape), ..parts };
        let answer = |join: bool| -> Result<Vec<f32>> {
            let mut recording = Recording::new();
            let kernels =
                [&conv2d_halo::SHADER, &conv2d_halo_stats::SHADER].map(|shader| (shader.name, variant)).into();
            recording.variants = Variants { kernels, half, ..Variants::default() };
            conv2d::record(&mut recording, &x, &w, g.convolution, &y)?;
            batch_norm_stats::record(&mut recording, &y, &slabs, &stats)?;
            batch_norm_running::record(&mut recording, &stats, 0.1, y.shape.rows(), &running)?;
            if join {
                join::join(&mut recording)?;
            }
            [&y, &stats].into_iter().for_each(|tensor| engine.fill(tensor, f32::NAN));
            engine.fill(&running, 0.5);
            Program::named(engine, &recording, "measure")?.run(engine, 1)?;
            let read = [&y, &stats, &running].map(|tensor| readback::read_floats(engine, tensor));
            Ok(read.into_iter().collect::<Result<Vec<_>>>()?.concat())
        };
        let expected: Vec<f64> = answer(false)?.into_iter().map(f64::from).collect();
        // Joined, values count as they were before they were rounded to half precision, by at most 2⁻¹¹ of each.
        let tolerance = Tolerance::largest(if half { 5e-4 } else { 1e-5 });
        compare(&answer(true)?, &expected, tolerance)
            .map_err(|text| Error::Device(format!("another answer than in passes of their own: {text}")))
    })
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
