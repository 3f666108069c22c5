//! The K largest values of each row and where they are, kept over windows of columns.
//! Shapes: `x (R, N)` → `values (R, K)`, `places (R, K)` unsigned; K at most [`MOST`].

use super::rows::{WIDTHS, row_grid};
use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write};

params! {
    /// Uniforms of `top_k.wgsl`.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// First vec4 of a row that is read.
        pub first: u32,
        /// First vec4 that is not.
        pub end: u32,
        /// N.
        pub columns: u32,
        /// Vec4 values in a row of `x`.
        pub quads: u32,
        /// K.
        pub count: u32,
        /// K padded.
        pub out_stride: u32,
        /// Place of column 0.
        pub base: u32,
        /// 1: the old lists are empty.
        pub fresh: u32,
    }
}

/// The largest K.
pub const MOST: usize = 256;
/// The place of an entry that is not filled yet.
pub const NONE: u32 = u32::MAX;
/// The value of an entry that is not filled yet.
pub const LOWEST: f32 = f32::MIN;

/// The shader.
pub static SHADER: Shader = Shader {
    name: "top_k",
    source: include_str!("../../shaders/search/top_k.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("x"), read_write("values"), read_write("places")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records, in as many dispatches as [`span`] makes of N, the K best of the lists so far and of `x`, whose column 0 has the place `base`: by falling value, of equal
/// values the lower place first. With `fresh` the lists so far are empty. Windows must come in rising order of `base`.
///
/// # Errors
/// When K is above [`MOST`], a place passes 32 bits, or a shape does not fit.
pub fn record(
    recording: &mut Recording,
    x: &Tensor,
    base: usize,
    fresh: bool,
    values: &Tensor,
    places: &Tensor,
) -> Result<()> {
    let [rows, columns] = x.matrix("top_k: x")?;
    let [_, count] = values.matrix("top_k: values")?;
    values.expect("top_k: values (R, K)", &[rows, count])?;
    places.expect("top_k: places (R, K)", &[rows, count])?;
    if count > MOST || base + columns >= NONE as usize {
        return Err(Error::Shape(format!(
            "top_k: the {count} best of {} columns; at most {MOST} of 2^32 - 2",
            base + columns
        )));
    }
    let quads = x.shape.stride() / 4;
    let span = span(recording.variant(&SHADER).constant("WIDTH") as usize, count);
    for first in (0..quads).step_by(span) {
        let p = Params {
            rows: rows as u32,
            first: first as u32,
            end: quads.min(first + span) as u32,
            columns: columns as u32,
            quads: quads as u32,
            count: count as u32,
            out_stride: values.shape.stride() as u32,
            base: base as u32,
            fresh: u32::from(fresh && first == 0),
        };
        recording.dispatch(&SHADER, p, &[x, values, places], row_grid(rows), cost(p))?;
    }
    Ok(())
}

/// Vec4 columns of one dispatch. Mesa's llvmpipe ends all loops of an invocation after 65,535 iterations in total, so
/// that the rest of the columns would be lost without a word. At worst every value is among the best: a round for each
/// `2·width` vec4, each of fewer than `2·count + 20·width + 100` iterations.
fn span(width: usize, count: usize) -> usize {
    2 * width * (50_000 / (2 * count + 20 * width + 100))
}

/// The least work: read and compare each value once, write the lists (and read them when there are any).
pub fn cost(p: Params) -> Cost {
    let values = u64::from(p.rows) * u64::from((4 * p.end).min(p.columns) - 4 * p.first);
    let lists = u64::from(p.rows) * u64::from(p.count) * 2 * u64::from(2 - p.fresh);
    Cost { operations: values, bytes: 4 * (values + lists) }
}

/// [`NONE`] as float32 has it, in which the tests compare.
const UNFILLED: f64 = NONE as f32 as f64;

/// The twin: sorts all. `old` are lists so far.
pub fn reference(x: &Array, base: usize, old: Option<(&Array, &Array)>, count: usize) -> (Array, Array) {
    let (rows, columns) = (x.sizes()[0], x.sizes()[1]);
    let mut values = Array::full(&[rows, count], f64::from(LOWEST));
    let mut places = Array::full(&[rows, count], UNFILLED);
    for r in 0..rows {
        let mut all: Vec<(f64, f64)> = Vec::new();
        if let Some((v, p)) = old {
            all.extend((r * count..(r + 1) * count).map(|i| (v.data[i], p.data[i])));
        }
        all.extend((0..columns).map(|n| (x.data[r * columns + n], (base + n) as f64)));
        all.retain(|(v, p)| v.is_finite() && *p != UNFILLED);
        all.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.total_cmp(&b.1)));
        for (i, (v, p)) in all.into_iter().take(count).enumerate() {
            (values.data[r * count + i], places.data[r * count + i]) = (v, p);
        }
    }
    (values, places)
}

/// Fewer columns than K, one column, around a vec4 and the lanes, many rounds and several dispatches, ties, values in rising order (each new
/// one is among the best), a row of not-finite values; each as a first window and behind another.
fn cases() -> Vec<Case> {
    let rising = |sizes: &[usize]| Array::from_fn(sizes, |i| i as f64 - 500.0);
    let spoiled = |sizes: &[usize]| {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let x = Array::normal(sizes, 1.0, 8);
        Array::from_fn(sizes, |i| if i % 5 < 3 || i < sizes[1] { bad[i % 3] } else { x.data[i] })
    };
    let mut list: Vec<(&str, Array, Array, usize)> = Vec::new();
    for (i, (rows, columns, count)) in
        [(1, 1, 1), (2, 3, 2), (3, 7, 5), (2, 5, 9), (5, 33, 10), (3, 700, 20), (2, 2049, 200), (2, 9000, 256)]
            .into_iter()
            .enumerate()
    {
        let sizes = [rows, columns];
        let before = [rows, 2 * columns + 1];
        let seed = 10 * i as u64;
        list.push(("random", Array::normal(&before, 1.0, seed), Array::normal(&sizes, 1.0, seed + 1), count));
        // A few values fill a list.
        let different = 3 + (6 * columns / count) as u32;
        let ties = |sizes: &[usize], seed| Array::integers(sizes, different, seed);
        list.push(("ties", ties(&before, seed + 2), ties(&sizes, seed + 3), count));
        list.push(("rising", rising(&before), rising(&sizes), count));
    }
    list.push(("not finite", spoiled(&[3, 40]), spoiled(&[3, 90]), 7));
    list.push(("few finite", spoiled(&[3, 6]), spoiled(&[3, 5]), 7));
    let mut cases = Vec::new();
    for (kind, first, second, count) in list {
        let old = reference(&first, 3, None, count);
        let base = 3 + first.sizes()[1];
        let new = reference(&second, base, Some((&old.0, &old.1)), count);
        let name = format!("{kind} {count} of {}", first.shape);
        cases.push(case(name.clone(), first, 3, None, old.clone()));
        cases.push(case(format!("{name} then {}", second.shape), second, base, Some(old), new));
    }
    cases
}

/// Values are copied and compared, so all is exact.
fn case(name: String, x: Array, base: usize, old: Option<(Array, Array)>, expected: (Array, Array)) -> Case {
    let fresh = old.is_none();
    let (values, places) = old.map_or((None, None), |(v, p)| (Some(v), Some(p)));
    let mut case = Case::new(name, vec![x], Array::scalar(0.0), Tolerance::EXACT, move |r, i, o, _| {
        record(r, &i[0], base, fresh, &o[0], &o[1])
    });
    let output = |expected, initial, dtype| Output { expected, initial, dtype, tolerance: Tolerance::EXACT };
    case.outputs = vec![output(expected.0, values, DType::F32), output(expected.1, places, DType::U32)];
    case
}
