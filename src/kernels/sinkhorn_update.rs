//! The clusters' half of a Sinkhorn iteration, with momentum, and the stop rule. Shapes: `mass (K)`, `tops (slabs, K)`,
//! `targets (K)`; `clusters (4, K)` and `state (8)` updated.

use super::{Case, Kernel, Output, params};
use crate::base::compare::Tolerance;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, read_write};

params! {
    /// Uniforms of `sinkhorn_update.wgsl`.
    pub struct Params {
        /// Vec4 a row.
        pub quads: u32,
        /// K.
        pub columns: u32,
        /// Rows of the tops that hold something; 0: the pass had none.
        pub slabs: u32,
        /// Most iterations.
        pub cap: u32,
        /// Iterations without a new best.
        pub patience: u32,
        /// N.
        pub samples: f32,
        /// Of the largest |q / b − 1|.
        pub tolerance: f32,
    }
}

/// The shader.
pub static SHADER: Shader = Shader {
    name: "sinkhorn_update",
    source: include_str!("../../shaders/assign/sinkhorn_update.wgsl"),
    shared: &[],
    params: size_of::<Params>(),
    bindings: &[read("mass"), read("tops"), read("targets"), read_write("clusters"), read_write("state")],
    variants: &[
        Variant::base("8", &[("WIDTH", 8.0)]),
        Variant::base("64", &[("WIDTH", 64.0)]),
        Variant::base("256", &[("WIDTH", 256.0)]),
    ],
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// N.
    pub samples: usize,
    /// Most iterations, below 2²⁴.
    pub cap: usize,
    /// Iterations without a new best.
    pub patience: usize,
    /// Of the largest |q / b − 1|.
    pub tolerance: f32,
}

/// Rows of the clusters' table.
pub mod row {
    /// The scaling that the next pass takes.
    pub const CURRENT: usize = 0;
    /// The scaling before momentum.
    pub const STEP: usize = 1;
    /// The scaling with the least error so far.
    pub const BEST: usize = 2;
    /// q / b at that scaling.
    pub const MASS: usize = 3;
}

/// Places in the state.
pub mod place {
    /// Iterations done.
    pub const ITERATIONS: usize = 0;
    /// Steps since momentum was last dropped.
    pub const STEPS: usize = 1;
    /// 0 going on, 1 converged, 2 no progress, 3 cap.
    pub const STOPPED: usize = 2;
    /// 1: some cluster's mass underflowed at the last iteration.
    pub const UNDERFLOW: usize = 3;
    /// The error at the last iteration.
    pub const ERROR: usize = 4;
    /// The least error so far.
    pub const BEST: usize = 5;
    /// Iteration of the last real gain.
    pub const BEST_AT: usize = 6;
    /// How often momentum was dropped.
    pub const RESTARTS: usize = 7;
}

/// Records the update; `slabs` rows of `tops` hold something (0: the pass had none).
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    [mass, tops, targets]: [&Tensor; 3],
    slabs: usize,
    stop: Stop,
    clusters: &Tensor,
    state: &Tensor,
) -> Result<()> {
    let [_, columns] = clusters.matrix("sinkhorn_update: clusters")?;
    clusters.expect("sinkhorn_update: clusters (4, K)", &[4, columns])?;
    mass.expect("sinkhorn_update: mass (K)", &[columns])?;
    targets.expect("sinkhorn_update: targets (K)", &[columns])?;
    state.expect("sinkhorn_update: state (8)", &[8])?;
    let [room, width] = tops.matrix("sinkhorn_update: tops")?;
    if slabs > room || width != columns {
        return Err(Error::Shape(format!("sinkhorn_update: {slabs} slabs in tops {}", tops.shape)));
    }
    let p = Params {
        quads: (clusters.shape.stride() / 4) as u32,
        columns: columns as u32,
        slabs: slabs as u32,
        cap: stop.cap as u32,
        patience: stop.patience as u32,
        samples: stop.samples as f32,
        tolerance: stop.tolerance,
    };
    recording.dispatch(&SHADER, p, &[mass, tops, targets, clusters, state], [1, 1, 1], cost(p))
}

/// The least work: masses and targets read, three rows of the table read and four written.
pub fn cost(p: Params) -> Cost {
    Cost { operations: 12 * u64::from(p.columns), bytes: 36 * u64::from(p.columns) }
}

/// The twin: the new table and state.
pub fn reference(x: [&Array; 3], slabs: usize, stop: Stop, clusters: &Array, state: &Array) -> [Array; 2] {
    let [mass, tops, targets] = x;
    let (k, n) = (mass.shape.last(), stop.samples as f64);
    let (mut table, mut s) = (clusters.clone(), state.clone());
    if s.data[place::STOPPED] > 0.0 {
        return [table, s];
    }
    let step = |i: usize| {
        let (q, b) = (mass.data[i] / n, targets.data[i]);
        if q > 1e-15 {
            return (b / q).ln();
        }
        let top = (0..slabs).map(|r| tops.data[r * k + i]).reduce(f64::max).unwrap_or(-40.0);
        b.ln() - (top - n.ln()).min(-34.0)
    };
    let taken = |i: usize| clusters.data[i] + step(i);
    let slope: f64 = (0..k).map(|i| (mass.data[i] / n - targets.data[i]) * (taken(i) - clusters.data[k + i])).sum();
    let error = (0..k).map(|i| (mass.data[i] / n / targets.data[i] - 1.0).abs()).fold(0.0, f64::max);
    let underflow = mass.data.iter().any(|m| m / n <= 1e-15);
    let d = &mut s.data;
    let improved = d[place::ITERATIONS] == 0.0 || error < d[place::BEST];
    d[place::ITERATIONS] += 1.0;
    if d[place::ITERATIONS] == 1.0 || error < 0.98 * d[place::BEST] || underflow {
        d[place::BEST_AT] = d[place::ITERATIONS];
    }
    if improved {
        d[place::BEST] = error;
    }
    if slope > 0.0 || underflow {
        d[place::RESTARTS] += f64::from(u8::from(d[place::STEPS] > 1.0));
        d[place::STEPS] = 0.0;
    }
    d[place::STEPS] += 1.0;
    d[place::UNDERFLOW] = f64::from(u8::from(underflow));
    d[place::ERROR] = error;
    d[place::STOPPED] = if error <= f64::from(stop.tolerance) {
        1.0
    } else if d[place::ITERATIONS] - d[place::BEST_AT] >= stop.patience as f64 {
        2.0
    } else {
        3.0 * f64::from(u8::from(d[place::ITERATIONS] >= stop.cap as f64))
    };
    let momentum = (d[place::STEPS] - 1.0) / (d[place::STEPS] + 2.0);
    for i in 0..k {
        if improved {
            table.data[row::BEST * k + i] = clusters.data[i];
            table.data[row::MASS * k + i] = mass.data[i] / n / targets.data[i];
        }
        table.data[i] = taken(i) + momentum * (taken(i) - clusters.data[k + i]);
        table.data[k + i] = taken(i);
    }
    [table, s]
}

/// The first iteration, one in the middle, uphill, an underflow with and without tops, the three ways to stop, and one
/// after a stop. A logarithm errs by 3 units in the last place or 2⁻²¹ near 1; error and mass are quotients.
fn cases() -> Vec<Case> {
    let tolerance = Tolerance::element(2e-6, 4e-6);
    let mut cases = Vec::new();
    let going = |iterations: f64, best: f64| {
        Array::new(&[8], vec![iterations, 4.0, 0.0, 0.0, 0.5, best, (iterations - 3.0).max(0.0), 1.0])
    };
    let stop = Stop { samples: 40, cap: 100, patience: 20, tolerance: 1e-3 };
    let stopped =
        |reason: f64| going(9.0, 0.1).zip(&Array::from_fn(&[8], |i| if i == 2 { reason } else { 0.0 }), |a, b| a + b);
    let table: Vec<(&str, usize, Array, Stop, f64)> = vec![
        ("first", 5, Array::zeros(&[8]), stop, 0.0),
        ("middle", 70, going(9.0, 0.7), stop, 0.0),
        ("wide", 1030, going(30.0, 1e-4), stop, 0.0),
        ("underflow", 9, going(9.0, 0.7), stop, 1.0),
        ("converged", 6, going(9.0, 5.0), Stop { tolerance: 10.0, ..stop }, 0.0),
        ("no progress", 6, going(29.0, 1e-9), Stop { patience: 4, ..stop }, 0.0),
        ("cap", 6, going(99.0, 0.5), stop, 0.0),
        ("stopped", 6, stopped(2.0), stop, 0.0),
    ];
    for (i, (name, k, state, stop, under)) in table.into_iter().enumerate() {
        for slabs in [0, 3] {
            let seed = 10 * i as u64;
            let uneven = Array::normal(&[k], 0.4, seed).map(|v| f64::from(v.exp() as f32));
            let targets = uneven.map(|v| f64::from((v / uneven.data.iter().sum::<f64>()) as f32));
            let shift = Array::normal(&[k], 0.3, seed + 1);
            let mut mass = targets.zip(&shift, |b, v| f64::from((40.0 * b * v.exp()) as f32));
            if under > 0.0 {
                (mass.data[2], mass.data[k - 1]) = (0.0, 1e-15);
            }
            let tops = Array::normal(&[3, k], 30.0, seed + 2).map(|v| -200.0 + v);
            let clusters = Array::normal(&[4, k], 2.0, seed + 3);
            let [after, new_state] = reference([&mass, &tops, &targets], slabs, stop, &clusters, &state);
            let output = |expected, initial: &Array| Output {
                expected,
                initial: Some(initial.clone()),
                dtype: DType::F32,
                tolerance,
            };
            cases.push(Case {
                name: format!("{name}, {k} clusters, {slabs} slabs"),
                outputs: vec![output(after, &clusters), output(new_state, &state)],
                inputs: vec![(mass, DType::F32), (tops, DType::F32), (targets, DType::F32)],
                scratch: Vec::new(),
                record: Box::new(move |r, i, o, _| record(r, [&i[0], &i[1], &i[2]], slabs, stop, &o[0], &o[1])),
            });
        }
    }
    cases
}
