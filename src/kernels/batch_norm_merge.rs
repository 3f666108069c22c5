//! Mean and biased variance of each channel from those of parts of a batch, and running statistics moved towards them, in
//! place. Shapes: `partial (G, 3, C)` → `stats (2, C)`, `running (2, C)`.
//! Source: Chan, Golub and LeVeque, 1979; PyTorch's `BatchNorm2d`.

use super::columns::{Columns, WIDTHS};
use super::{Case, Kernel, Output, batch_norm_running, batch_norm_stats, params, shared};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, read, read_write, write};

params! {
    /// Uniforms of `batch_norm_merge.wgsl`.
    pub struct Params {
        /// G.
        pub parts: u32,
        /// Vec4 values a row.
        pub quads: u32,
        /// Columns of vec4 a group, a power of two.
        pub tile: u32,
        /// 1 − momentum.
        pub keep: f32,
        /// Weight of the batch.
        pub momentum: f32,
        /// n / (n − 1).
        pub unbias: f32,
        /// n: values of all parts.
        pub values: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "batch_norm_merge",
    source: include_str!("../../shaders/norm/batch_norm_merge.wgsl"),
    shared: &[shared::COLUMNS],
    params: size_of::<Params>(),
    bindings: &[read("partial"), write("stats"), read_write("running")],
    variants: WIDTHS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Records the statistics of `partial (G, 3, C)` (mean, sum of squares about it, number of values of each part, `count` in all), and the
/// update of `running` that `update` describes.
///
/// # Errors
/// When the shapes do not fit.
pub fn record(
    recording: &mut Recording,
    partial: &Tensor,
    count: usize,
    update: batch_norm_running::Params,
    stats: &Tensor,
    running: &Tensor,
) -> Result<()> {
    let channels = partial.shape.last();
    partial.expect("batch_norm_merge: partial (G, 3, C)", &[partial.shape.rows() / 3, 3, channels])?;
    stats.expect("batch_norm_merge: stats", &[2, channels])?;
    running.expect("batch_norm_merge: running", &[2, channels])?;
    let columns = Columns::of(&partial.shape);
    let tile = columns.narrow_tile(recording.variant(&SHADER).constant("WIDTH"));
    let batch_norm_running::Params { keep, momentum, unbias, .. } = update;
    let parts = (columns.rows / 3) as u32;
    let p =
        Params { parts, quads: columns.quads as u32, tile: tile as u32, keep, momentum, unbias, values: count as f32 };
    recording.dispatch_constant(&SHADER, p, &[partial, stats, running], columns.grid(tile, 1, 1), cost(p))
}

/// The least work: three numbers a part and channel read, two statistics written, two running ones read and written.
pub fn cost(p: Params) -> Cost {
    let values = 4 * u64::from(p.quads);
    Cost { operations: 6 * values * u64::from(p.parts), bytes: 4 * values * (3 * u64::from(p.parts) + 6) }
}

/// One part, an empty one, more parts than lanes of every width, channels past a tile, a mean of a hundred deviations. The sums of
/// 130 deviations of about 1 err by 10 roundings; three roundings more of the running statistics.
fn cases() -> Vec<Case> {
    let one = |(parts, channels, mean): (usize, usize, f64)| {
        let rows = |g: usize| if parts > 1 && g + 1 == parts { 0 } else { 1 + g % 5 };
        let all: usize = (0..parts).map(rows).sum();
        let x = Array::normal(&[all, channels], 1.0, 90 + parts as u64).map(|v| f64::from((v + mean) as f32));
        let mut partial = Array::zeros(&[parts, 3, channels]);
        let mut first = 0;
        for g in 0..parts {
            let count = rows(g);
            for c in 0..channels {
                let values: Vec<f64> = (first..first + count).map(|r| x.data[r * channels + c]).collect();
                let mean = f64::from((values.iter().sum::<f64>() / count.max(1) as f64) as f32);
                let squares = values.iter().map(|v| (v - mean).powi(2)).sum();
                for (row, value) in [mean, squares, count as f64].into_iter().enumerate() {
                    partial.data[(3 * g + row) * channels + c] = value;
                }
            }
            first += count;
        }
        let running = Array::normal(&[2, channels], 1.0, 4);
        let stats = batch_norm_stats::reference(&x);
        let moved = batch_norm_running::reference(&stats, 0.1, all, &running);
        let output = |expected, initial, tolerance| Output { expected, initial, dtype: DType::F32, tolerance };
        let update = batch_norm_running::update(0.1, all, channels);
        Case {
            name: format!("{parts} parts of {channels} channels about {mean}"),
            inputs: vec![(partial, DType::F32)],
            outputs: vec![
                output(stats, None, Tolerance::element(3e-6, 6e-7)),
                output(moved, Some(running), Tolerance::largest(1e-6)),
            ],
            scratch: Vec::new(),
            record: Box::new(move |r, i, o, _| record(r, &i[0], all, update, &o[0], &o[1])),
        }
    };
    [(1, 3, 0.5), (2, 5, 0.0), (37, 18, 100.0), (264, 64, 0.5), (130, 261, 0.0)].into_iter().map(one).collect()
}
