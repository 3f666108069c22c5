//! Forms that are taken before anybody measured them: each has to give the plain form's answer on something small first, once an
//! adapter, driver and version (`session::variants` keeps it). A driver may build a shader and compute something else; a run must not find out by its loss.

use super::assign_labels::{self, Place};
use super::product::{FORMS, Product};
use super::shares::Window;
use super::sinkhorn_pass::{self, Slabs};
use super::{
    batch_norm_running, batch_norm_stats, choose, conv2d, conv2d_halo, conv2d_halo_stats, halo, join, score_rows,
    top_candidates, tune,
};
use crate::base::compare::{Tolerance, compare};
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Factors, Program, Recording, Shader, Tensor, Variants, readback};

/// Sizes off every tile, with edges, rests and more than one round of the inner dimension; the last two of those that forms by
/// bands of lines take.
const CONVOLUTIONS: [&str; 3] = ["3x13x11x20-24,k3,s1,p1", "3x14x14x28-28,k3,s1,p1", "3x15x13x28-30,k3,s2,p1"];
const MATRICES: [&str; 4] = ["70x50x40", "70x50x40,ta", "70x50x40,tb", "70x50x40,ta,tb"];

/// A form's work beside that of the dispatches whose place it takes.
struct Attempt {
    usual: Recording,
    own: Recording,
    /// What both write, and what stands there before.
    outputs: Vec<(Tensor, f32)>,
    tolerance: Tolerance,
    /// How another answer is told.
    other: String,
}

/// Those of the named forms that fail, each with what was wrong.
pub fn failures(engine: &Engine, named: &[(&'static Shader, usize)]) -> Vec<(&'static str, Error)> {
    let all = || {
        let tried: Vec<_> = named.iter().map(|&form| (form.0.name, attempts(engine, form))).collect();
        let made = tried.iter().filter_map(|(_, attempts)| attempts.as_ref().ok()).flatten();
        Program::prepare(engine, made.flat_map(|attempt| [&attempt.usual, &attempt.own]));
        let failed = tried.into_iter().filter_map(|(name, attempts)| {
            let passed = attempts.and_then(|all| all.iter().try_for_each(|attempt| attempt.passes(engine)));
            passed.err().map(|error| (name, error))
        });
        Ok(failed.collect())
    };
    // Nothing is taken untried.
    let none = |error: Error| named.iter().map(|(shader, _)| (shader.name, Error::Device(error.to_string()))).collect();
    engine.passing(all).unwrap_or_else(none)
}

/// What a form is tried on.
fn attempts(engine: &Engine, (shader, variant): (&'static Shader, usize)) -> Result<Vec<Attempt>> {
    if shader.name == conv2d_halo_stats::SHADER.name {
        return Factors::ALL.into_iter().map(|factors| joined(engine, variant, factors)).collect();
    }
    if choose::ASSIGNMENT.iter().any(|own| own.name == shader.name) {
        return Ok(vec![assignment(engine, (shader, variant))?]);
    }
    // A software adapter's driver compiles for a third to a whole second a shader.
    let most = if engine.is_software() { 1 } else { usize::MAX };
    let mut found = Vec::new();
    for (plain, _) in FORMS.iter().filter(|(_, forms)| forms.iter().any(|(form, _)| form.name == shader.name)) {
        let shapes = if plain.name == "matmul" { MATRICES.as_slice() } else { CONVOLUTIONS.as_slice() };
        let ways: &[Factors] = match (shader.rounds(), shader.variants.iter().any(|v| v.rounds())) {
            (true, _) => &[Factors::Tf32, Factors::Half],
            (false, true) => &Factors::ALL,
            (false, false) => &[Factors::Exact],
        };
        let tries = ways.iter().flat_map(|factors| shapes.iter().map(move |shape| (*factors, *shape)));
        let attempts =
            tries.filter_map(|(factors, shape)| alone(engine, plain, shape, (shader, variant), factors).transpose());
        found.extend(attempts.take(most).collect::<Result<Vec<_>>>()?);
    }
    if found.is_empty() {
        return Err(gave_way());
    }
    Ok(found)
}

/// A form of `plain` beside it; nothing where it gives way, as it is not taken for such shapes then.
fn alone(
    engine: &Engine,
    plain: &Shader,
    shape: &str,
    (shader, variant): (&'static Shader, usize),
    factors: Factors,
) -> Result<Option<Attempt>> {
    let product = parsed(plain, shape)?;
    let mut seed = 0;
    let operands = product.operands(engine, product.maps(factors), &mut |sizes, dtype| {
        seed += 1;
        tune::random(engine, sizes, dtype, seed)
    })?;
    let recorded = |variants: Variants| -> Result<Recording> {
        let mut recording = Recording::new();
        recording.variants = variants;
        (operands.record)(&mut recording)?;
        Ok(recording)
    };
    let usual = recorded(Variants { factors, ..Variants::default() })?;
    let own = recorded(Variants { kernels: [(shader.name, variant)].into(), factors, ..Variants::default() })?;
    if own.dispatches[0].shader.name != shader.name {
        return Ok(None);
    }
    let outputs = vec![(operands.output, f32::NAN)];
    let other = format!("another answer than {}'s", plain.name);
    Ok(Some(Attempt { usual, own, outputs, tolerance: tune::tolerance(&product, factors.rounded()), other }))
}

/// What [`join`](super::join::join) makes of a convolution and the statistics of its output, beside one after the other.
fn joined(engine: &Engine, variant: usize, factors: Factors) -> Result<Attempt> {
    let Product::Convolution(_, g) = parsed(&conv2d::SHADER, CONVOLUTIONS[1])? else {
        unreachable!("a convolution's shape");
    };
    let half = factors == Factors::Half;
    let map = if half { DType::F16 } else { DType::F32 };
    let random = |sizes: &[usize], dtype, seed| tune::random(engine, sizes, dtype, seed);
    let (x, w) = (random(&g.input, map, 1)?, random(&g.weights(), DType::F32, 2)?);
    let y = random(&g.output, map, 3)?;
    let rows = [2, y.shape.last()];
    let (stats, running) = (random(&rows, DType::F32, 4)?, random(&rows, DType::F32, 5)?);
    // Room for the parts of as many workgroups as there may be.
    let parts = random(&[2 * halo::PROCESSORS, 3, y.shape.last()], DType::F32, 6)?;
    let slabs = Tensor { shape: batch_norm_stats::scratch(&y.shape), ..parts };
    let recorded = |join: bool| -> Result<Recording> {
        let mut recording = Recording::new();
        let kernels = [&conv2d_halo::SHADER, &conv2d_halo_stats::SHADER].map(|shader| (shader.name, variant)).into();
        recording.variants = Variants { kernels, factors, ..Variants::default() };
        conv2d::record(&mut recording, &x, &w, g.convolution, &y)?;
        batch_norm_stats::record(&mut recording, &y, &slabs, &stats)?;
        batch_norm_running::record(&mut recording, &stats, 0.1, y.shape.rows(), &running)?;
        if join {
            join::join(&mut recording)?;
        }
        Ok(recording)
    };
    Ok(Attempt {
        usual: recorded(false)?,
        own: recorded(true)?,
        // Joined, values count as they were before they were rounded to half precision, by at most 2⁻¹¹ of each.
        tolerance: Tolerance::largest(if half { 5e-4 } else { 1e-5 }),
        other: "another answer than in passes of their own".into(),
        outputs: vec![(y, f32::NAN), (stats, f32::NAN), (running, 0.5)],
    })
}

/// A kernel of the label assignment on subgroups beside the one in workgroup memory.
fn assignment(engine: &Engine, (shader, variant): (&'static Shader, usize)) -> Result<Attempt> {
    // The last slab has a row of its own, the last lane columns that are none.
    let [rows, clusters, slab] = [33, 101, 16];
    let random = |sizes: &[usize], seed| tune::random(engine, sizes, DType::F32, seed);
    let (logits, bias) = (random(&[rows, clusters], 1)?, random(&[clusters], 2)?);
    let (maxima, scalings) = (random(&[rows, 4], 3)?, random(&[4, clusters], 4)?);
    let (values, sums) = (random(&[rows, 4], 5)?, random(&[rows.div_ceil(slab), clusters], 6)?);
    let changed = random(&[rows], 7)?;
    let table = engine.tensor("labels", Shape::new(&[1, rows]), DType::U32)?;
    let places = engine.tensor("candidates", Shape::new(&[rows, 4]), DType::U32)?;
    let plain = shader.name.trim_end_matches("_subgroup");
    let recorded = |kernels| -> Result<Recording> {
        let mut r = Recording::new();
        r.variants = Variants { kernels, ..Variants::default() };
        let window = Window { logits: &logits, bias: &bias, rows: &maxima, used: rows, power: 1.0 };
        let place = Place { head: 0, first: 0, scaling: 0 };
        match plain {
            "score_rows" => score_rows::record(&mut r, &logits, &bias, rows, &values),
            "assign_labels" => assign_labels::record(&mut r, &window, &scalings, place, [&table, &values, &changed]),
            "top_candidates" => top_candidates::record(&mut r, &window, &scalings, 0, &places, &values),
            _ => sinkhorn_pass::record(&mut r, &window, &scalings, Slabs { rows: slab, first: 0 }, &sums),
        }?;
        Ok(r)
    };
    let (usual, own) = (recorded([].into())?, recorded([(shader.name, variant)].into())?);
    if own.dispatches[0].shader.name != shader.name {
        return Err(gave_way());
    }
    Ok(Attempt {
        outputs: match plain {
            "score_rows" | "top_candidates" => vec![(values, f32::NAN)],
            // Labels are zero first: those that are not change. Nothing is written past the last.
            "assign_labels" => vec![(table, 0.0), (values, f32::NAN), (changed, 0.5)],
            _ => vec![(sums, f32::NAN)],
        },
        usual,
        own,
        tolerance: Tolerance::element(6e-5, 6e-5),
        other: format!("another answer than {plain}'s"),
    })
}

fn gave_way() -> Error {
    Error::Shape("it gave way to another form wherever it was tried".into())
}

fn parsed(plain: &Shader, shape: &str) -> Result<Product> {
    Product::parse(plain.name, shape)?.ok_or_else(|| Error::Shape(format!("{} has no shape {shape}", plain.name)))
}

impl Attempt {
    /// Runs both.
    fn passes(&self, engine: &Engine) -> Result<()> {
        let expected: Vec<f64> = self.answer(engine, &self.usual)?.into_iter().map(f64::from).collect();
        compare(&self.answer(engine, &self.own)?, &expected, self.tolerance)
            .map_err(|text| Error::Device(format!("{}: {text}", self.other)))
    }

    fn answer(&self, engine: &Engine, recording: &Recording) -> Result<Vec<f32>> {
        self.outputs.iter().for_each(|(tensor, before)| engine.fill(tensor, *before));
        Program::named(engine, recording, "measure")?.run(engine, 1)?;
        let read = self.outputs.iter().map(|(tensor, _)| readback::read_floats(engine, tensor));
        Ok(read.collect::<Result<Vec<_>>>()?.concat())
    }
}
