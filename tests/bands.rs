//! Products on matrix units of factors of any size. Convolutions by bands whose workgroups go through several blocks of images, where
//! each image has values of another size: a workgroup keeps the scale of its factors from block to block; and tiles, which keep it from
//! round to round.

use relabel::base::compare::{Tolerance, compare};
use relabel::base::{Array, DType};
use relabel::gpu::{Engine, Factors, Program, Recording, Shader, Tensor, readback};
use relabel::kernels::conv2d::{Convolution, Geometry};
use relabel::kernels::product::offered;
use relabel::kernels::{
    conv2d, conv2d_halo, conv2d_input_grad, conv2d_input_grad_halo, conv2d_weight_grad, conv2d_weight_grad_halo,
    cooperative, matmul, matmul_coop,
};

use crate::common;

/// More images than an H200 runs workgroups at a time.
const IMAGES: usize = 400;
const SIZES: [usize; 4] = [IMAGES, 16, 16, 16];
const SAME: Convolution = Convolution { stride: 1, padding: 1 };

/// Exponents of what an image's values are multiplied by; none: zeros.
type Exponents = [Option<i32>; 5];

fn exponent(image: usize, exponents: Exponents) -> Option<i32> {
    exponents[image / 37 % exponents.len()]
}

fn uneven(seed: u64, exponents: Exponents) -> Array {
    let plain = Array::normal(&SIZES, 1.0, seed);
    let image = SIZES[1..].iter().product::<usize>();
    let factor = |i: usize| exponent(i / image, exponents).map_or(0.0, |e| f64::from(e).exp2());
    Array::from_fn(&SIZES, |i| f64::from((plain.data[i] * factor(i)) as f32))
}

/// The forms that the adapter has, each with how far it may be off; of a software adapter, which takes a minute for each, the first with
/// split factors and the first with rounded ones.
fn forms(engine: &Engine, shader: &'static Shader) -> Vec<(usize, Tolerance)> {
    let named = |&i: &usize| !shader.variants[i].name.ends_with("by shape") && offered(engine, (shader, i));
    let (mut split, mut rounded): (Vec<usize>, Vec<usize>) =
        (0..shader.variants.len()).filter(named).partition(|&i| !shader.variants[i].rounds());
    if engine.is_software() {
        split.truncate(1);
        rounded.truncate(1);
    }
    let with = |forms: Vec<usize>, tolerance| forms.into_iter().map(move |form| (form, tolerance));
    let found: Vec<_> = with(split, Tolerance::largest(3e-6)).chain(with(rounded, cooperative::ROUNDING)).collect();
    if found.is_empty() {
        eprintln!("{}: not offered by this adapter", shader.name);
    }
    found
}

/// What a recording of one form leaves in its output.
fn run(
    engine: &Engine,
    (shader, form): (&'static Shader, usize),
    [a, b, output]: [&Array; 3],
    record: &dyn Fn(&mut Recording, [&Tensor; 3]),
) -> Vec<f32> {
    let [a, b] = [a, b].map(|array| engine.upload("factor", array, DType::F32).expect("memory"));
    let output = engine.tensor("output", output.shape.clone(), DType::F32).expect("memory");
    let mut recording = Recording::new();
    recording.variants.insert(shader.name, form);
    if shader.variants[form].rounds() {
        recording.variants.factors = Factors::Tf32;
    }
    record(&mut recording, [&a, &b, &output]);
    let taken = recording.dispatches.iter().find(|d| d.shader.name == shader.name).expect("recorded another kernel");
    assert_eq!(taken.shader.variants[taken.variant].rounds(), shader.variants[form].rounds());
    Program::new(engine, &recording).and_then(|program| program.run(engine, 1)).expect("it runs");
    let words = readback::read_words::<u32>(engine, &[&output]).expect("memory").remove(0);
    output.shape.unpad(&words).iter().map(|&w| f32::from_bits(w)).collect()
}

/// Each image's values against those of the twin, relative to the largest of that image.
fn compare_images(actual: &[f32], expected: &Array, exponents: Exponents, tolerance: Tolerance) -> Result<(), String> {
    let image = SIZES[1..].iter().product::<usize>();
    for (i, (actual, expected)) in actual.chunks(image).zip(expected.data.chunks(image)).enumerate() {
        if exponent(i, exponents).is_some() {
            compare(actual, expected, tolerance).map_err(|e| format!("image {i}: {e}"))?;
        } else if actual.iter().any(|&v| v != 0.0) {
            return Err(format!("image {i} is not zero"));
        }
    }
    Ok(())
}

#[test]
fn images_of_any_size_are_as_exact() {
    let engine = common::unchecked_engine();
    let exponents = [Some(0), Some(-30), None, Some(18), Some(-9)];
    let x = uneven(1, exponents);
    let w = Array::normal(&[3, 3, 16, 16], 0.1, 2).map(|v| f64::from(v as f32));
    let forward = forms(&engine, &conv2d_halo::SHADER);
    if forward.is_empty() {
        return;
    }
    let y = conv2d::reference(&x, &w, SAME);
    for (form, tolerance) in forward {
        let shader = &conv2d_halo::SHADER;
        let found = run(&engine, (shader, form), [&x, &w, &y], &|recording, [x, w, y]| {
            conv2d::record(recording, x, w, SAME, y).expect("shapes");
        });
        compare_images(&found, &y, exponents, tolerance)
            .unwrap_or_else(|e| panic!("{}: {e}", shader.variants[form].name));
    }
    let dx = conv2d_input_grad::reference(&x, &w, SAME, SIZES);
    for (form, tolerance) in forms(&engine, &conv2d_input_grad_halo::SHADER) {
        let shader = &conv2d_input_grad_halo::SHADER;
        let found = run(&engine, (shader, form), [&x, &w, &dx], &|recording, [dy, w, dx]| {
            conv2d_input_grad::record(recording, dy, w, SAME, dx).expect("shapes");
        });
        compare_images(&found, &dx, exponents, tolerance)
            .unwrap_or_else(|e| panic!("{}: {e}", shader.variants[form].name));
    }
}

/// Large images with small gradients and the other way round: all count as much in the sums. The first ones are zero.
#[test]
fn weight_gradients_of_images_of_any_size_are_as_exact() {
    let engine = common::unchecked_engine();
    let shader = &conv2d_weight_grad_halo::SHADER;
    let found = forms(&engine, shader);
    if found.is_empty() {
        return;
    }
    let exponents = [None, Some(-6), Some(0), Some(5), Some(-3)];
    let (x, dy) = (uneven(3, exponents), uneven(4, exponents.map(|e| e.map(|e| -20 - e))));
    let dw = conv2d_weight_grad::reference(&x, &dy, SAME, [3, 3]);
    for (form, tolerance) in found {
        let found = run(&engine, (shader, form), [&x, &dy, &dw], &|recording, [x, dy, dw]| {
            let geometry = Geometry { input: SIZES, kernel: [3, 3], convolution: SAME, output: SIZES };
            let part = engine.tensor("part", conv2d_weight_grad::scratch(&geometry), DType::F32).expect("memory");
            conv2d_weight_grad::record(recording, x, dy, SAME, &part, dw).expect("shapes");
        });
        compare(&found, &dw.data, tolerance).unwrap_or_else(|e| panic!("{}: {e}", shader.variants[form].name));
    }
}

/// Rows and columns of any size, and rounds of the inner dimension whose factors are large where those of the other are small: all
/// count as much in the sums. The first round is zero.
#[test]
fn matrices_of_any_size_are_as_exact() {
    let engine = common::unchecked_engine();
    let shader = &matmul_coop::SHADER;
    // Forms are named by the first of four pairs of transposes; of a software adapter, the smallest tile.
    let named =
        |&i: &usize| i % 4 == 0 && !shader.variants[i].name.contains("by shape") && offered(&engine, (shader, i));
    let mut found: Vec<usize> = (0..shader.variants.len()).filter(named).collect();
    if engine.is_software() {
        found = found.into_iter().rev().skip_while(|&i| shader.variants[i].name.contains("twice")).take(1).collect();
    }
    let [m, k, n] = [70, 150, 40];
    for overall in [-60, -20, 0, 20] {
        let round = |k: usize| [f64::NEG_INFINITY, -6.0, 0.0, 5.0, -3.0][k / 32];
        let single = |v: f64| f64::from(v as f32);
        let plain = [Array::normal(&[m, k], 1.0, 5), Array::normal(&[k, n], 1.0, 6)];
        let a = Array::from_fn(&[m, k], |i| single(plain[0].data[i] * (round(i % k) + f64::from(overall)).exp2()));
        let b = Array::from_fn(&[k, n], |i| single(plain[1].data[i] * (-round(i / n).max(-9.0)).exp2()));
        let expected = matmul::reference(&a, &b, false, false, [m, n]);
        for &form in &found {
            let found = run(&engine, (shader, form), [&a, &b, &expected], &|recording, [a, b, out]| {
                matmul::record(recording, a, b, false, false, out).expect("shapes");
            });
            compare(&found, &expected.data, cooperative::ROUNDING)
                .unwrap_or_else(|e| panic!("{} at 2^{overall}: {e}", shader.variants[form].name));
        }
    }
}
