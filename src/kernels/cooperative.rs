//! What the products' forms on cooperative matrices share: their tiles, and cases whose factors are half-precision numbers.

use half::f16;

use super::Case;
use crate::base::Array;
use crate::base::compare::Tolerance;
use crate::gpu::{Factors, Variant, cooperative};

/// Tiles of matrices of side 16 and of side 8, called by side, rows and columns of their outputs: subgroups below and beside one
/// another, and matrices that each has down and across. The first of each side stands for the choice by shape, which goes
/// through the others in order. The last has two rounds under way (`cooperative.wgsl`), for matrix products of halves: what is under
/// way of single-precision numbers leaves too few registers.
macro_rules! matrices {
    ($variants:ident) => {
        $variants!(
            ("16 by shape", 16.0, 2.0, 2.0, 4.0, 4.0, 0.0),
            ("16 256x128", 16.0, 4.0, 2.0, 4.0, 4.0, 0.0),
            ("16 128x128", 16.0, 2.0, 2.0, 4.0, 4.0, 0.0),
            ("16 128x64", 16.0, 4.0, 1.0, 2.0, 4.0, 0.0),
            ("16 64x64", 16.0, 2.0, 2.0, 2.0, 2.0, 0.0),
            ("16 128x32", 16.0, 4.0, 1.0, 2.0, 2.0, 0.0),
            ("16 64x32", 16.0, 4.0, 1.0, 1.0, 2.0, 0.0),
            ("16 128x16", 16.0, 4.0, 1.0, 2.0, 1.0, 0.0),
            ("16 64x16", 16.0, 4.0, 1.0, 1.0, 1.0, 0.0),
            ("16 128x128 twice", 16.0, 2.0, 2.0, 4.0, 4.0, 1.0),
            ("8 by shape", 8.0, 2.0, 2.0, 4.0, 4.0, 0.0),
            ("8 128x64", 8.0, 4.0, 2.0, 4.0, 4.0, 0.0),
            ("8 64x64", 8.0, 2.0, 2.0, 4.0, 4.0, 0.0),
            ("8 64x32", 8.0, 4.0, 1.0, 2.0, 4.0, 0.0),
            ("8 32x32", 8.0, 2.0, 2.0, 2.0, 2.0, 0.0),
            ("8 64x16", 8.0, 4.0, 1.0, 2.0, 2.0, 0.0),
            ("8 32x16", 8.0, 4.0, 1.0, 1.0, 2.0, 0.0),
            ("8 64x8", 8.0, 4.0, 1.0, 2.0, 1.0, 0.0),
            ("8 32x8", 8.0, 4.0, 1.0, 1.0, 1.0, 0.0),
            ("8 64x64 twice", 8.0, 2.0, 2.0, 4.0, 4.0, 1.0)
        )
    };
}
pub(super) use matrices;

macro_rules! variants {
    ($(($name:literal, $side:literal, $below:literal, $beside:literal, $down:literal, $across:literal, $twice:literal)),+) => { &[$(
        Variant::needing(
            $name,
            &[
                ("SIDE", $side), ("BELOW", $below), ("BESIDE", $beside), ("DOWN", $down), ("ACROSS", $across),
                ("TWICE", $twice),
            ],
            cooperative::NEEDS,
        ),
    )+] };
}

/// Variants of the convolutions' forms: the tile is chosen by the shape, or one is named.
pub const VARIANTS: &[Variant] = matrices!(variants);

/// Tiles of one side.
pub const TILES: usize = VARIANTS.len() / 2;

/// Factors are rounded to 11 bits, so a product is at most 2⁻¹⁰ off, and a sum of many is off by no larger share of
/// the largest sum.
pub const ROUNDING: Tolerance = Tolerance::largest(1e-3);

/// Products of half-precision numbers are exact in float32. Matrix units may cut off where float32 would round: the 113
/// matrices of side 16 that make a sum of 1,800 products lose at most 2⁻²³ of it each.
const TOLERANCE: Tolerance = Tolerance::largest(1.4e-5);

/// Values rounded to half precision.
pub(super) fn rounded(x: &Array) -> Array {
    x.map(|v| f16::from_f64(v).to_f64())
}

/// A form's cases where half-precision factors are allowed.
pub(super) fn allowed(case: Case) -> Case {
    let Case { record, mut outputs, .. } = case;
    outputs.iter_mut().for_each(|o| o.tolerance = TOLERANCE);
    Case {
        outputs,
        record: Box::new(move |r, inputs, outputs, scratch| {
            r.variants.factors = Factors::Half;
            record(r, inputs, outputs, scratch)
        }),
        ..case
    }
}
