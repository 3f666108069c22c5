//! Matrix product with either factor transposed. Shapes: `a (M, K)` or `(K, M)`, `b (K, N)` or `(N, K)` → `out (M, N)`.

use super::product::Product;
use super::{
    Case, Kernel, matmul_column, matmul_coop, matmul_rows, matmul_subgroup, matmul_tiled, matmul_wide, params, shared,
    tile,
};
use crate::base::compare::Tolerance;
use crate::base::shape::pad4;
use crate::base::{Array, DType, Error, Result};
use crate::gpu::{Cost, Recording, Shader, Tensor, Variant, read, write};

params! {
    /// Uniforms of `matmul.wgsl` and of its other forms.
    pub struct Params {
        /// M.
        pub rows: u32,
        /// N.
        pub columns: u32,
        /// K.
        pub inner: u32,
        /// Rows of `a` as it lies in memory.
        pub a_rows: u32,
        /// Vectors of 4 in a row of `a`.
        pub a_stride: u32,
        /// Rows of `b` as it lies in memory.
        pub b_rows: u32,
        /// Vectors of 4 in a row of `b`.
        pub b_stride: u32,
    }
}

/// Rows of one tile size for each pair of transposes, in the order that [`form`] counts.
macro_rules! forms {
    ($(($name:literal, $width:literal)),+) => { &[$(
        Variant::base(concat!($name, " nn"), &[("WIDTH", $width), ("TRANSPOSE_A", 0.0), ("TRANSPOSE_B", 0.0)]),
        Variant::base(concat!($name, " nt"), &[("WIDTH", $width), ("TRANSPOSE_A", 0.0), ("TRANSPOSE_B", 1.0)]),
        Variant::base(concat!($name, " tn"), &[("WIDTH", $width), ("TRANSPOSE_A", 1.0), ("TRANSPOSE_B", 0.0)]),
        Variant::base(concat!($name, " tt"), &[("WIDTH", $width), ("TRANSPOSE_A", 1.0), ("TRANSPOSE_B", 1.0)]),
    )+] };
}

/// The shader. Its variants come in fours, one for each pair of transposes: naming any of the four chooses the tile,
/// the transposes of the call choose among them.
pub static SHADER: Shader = Shader {
    name: "matmul",
    source: include_str!("../../shaders/matmul/matmul.wgsl"),
    shared: &[shared::FACTORS, shared::PANEL],
    params: size_of::<Params>(),
    bindings: &[read("a"), read("b"), write("out")],
    variants: forms!(("64", 64.0), ("8", 8.0)),
};

/// Forms on subgroups of 8 lanes that take any number of rows.
const ANY_ROWS: [&Shader; 3] = [&matmul_column::SHADER, &matmul_wide::SHADER, &matmul_subgroup::SHADER];

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: FIELDS, cases };

/// Which of a tile's four variants computes these transposes.
const fn form(transpose_a: bool, transpose_b: bool) -> usize {
    2 * transpose_a as usize + transpose_b as usize
}

/// `[M, K, N]` of a product.
///
/// # Errors
/// When the inner sizes differ by more than padding to a multiple of 4.
pub fn sizes(a: [usize; 2], b: [usize; 2], transpose_a: bool, transpose_b: bool) -> Result<[usize; 3]> {
    let [m, k] = if transpose_a { [a[1], a[0]] } else { a };
    let [other, n] = if transpose_b { [b[1], b[0]] } else { b };
    if pad4(k) != pad4(other) {
        return Err(Error::Shape(format!(
            "matmul: the inner sizes {k} and {other} differ (a {a:?}{}, b {b:?}{})",
            if transpose_a { " transposed" } else { "" },
            if transpose_b { " transposed" } else { "" },
        )));
    }
    Ok([m, k.min(other), n])
}

/// Records `out = A·B`, with `A` = `a` or its transpose and `B` = `b` or its transpose. Sizes agree up to padding to
/// a multiple of 4: what one factor lacks counts as zero, and `out` may have padded rows (zero) or lack padded columns.
///
/// # Errors
/// When the shapes do not fit together.
pub fn record(
    recording: &mut Recording,
    a: &Tensor,
    b: &Tensor,
    transpose_a: bool,
    transpose_b: bool,
    out: &Tensor,
) -> Result<()> {
    let (a_sizes, b_sizes) = (a.matrix("matmul: a")?, b.matrix("matmul: b")?);
    let [m, k, n] = sizes(a_sizes, b_sizes, transpose_a, transpose_b)?;
    let [rows, columns] = out.matrix("matmul: out")?;
    if pad4(rows) != pad4(m) || pad4(columns) != pad4(n) {
        return Err(Error::Shape(format!("matmul: out is ({m}, {n}) up to padding, not {}", out.shape)));
    }
    let p = Params {
        rows: rows as u32,
        columns: columns as u32,
        inner: k as u32,
        a_rows: a_sizes[0] as u32,
        a_stride: (a.shape.stride() / 4) as u32,
        b_rows: b_sizes[0] as u32,
        b_stride: (b.shape.stride() / 4) as u32,
    };
    let form = form(transpose_a, transpose_b);
    let product = Product::Matrices { sizes: [m, k, n], transposed: [transpose_a, transpose_b] };
    let forms = recording.of_class(product.class(), cost(p).operations);
    let subgroup = forms.names(&matmul_subgroup::SHADER);
    let large = m * k * n >= matmul_wide::LARGE;
    let (shader, variant, [down, across]) =
        if let Some(shader) = forms.first(&[&matmul_coop::SHADER, &matmul_tiled::SHADER]) {
            let halves = a.dtype == DType::F16 && b.dtype == DType::F16;
            let tile = tile::choose(shader, forms.index(shader) / 4 * 4 + form, 4, [rows, columns], 1, halves);
            (shader, tile.variant, [tile.rows, tile.columns])
        } else if forms.names(&matmul_rows::SHADER)
            && matmul_rows::fits(transpose_a)
            && (matmul_rows::pays(rows) || forms.first(&ANY_ROWS).is_none())
        {
            let (variant, tile) = matmul_rows::plan(rows, transpose_b);
            (&matmul_rows::SHADER, variant, tile)
        } else if forms.names(&matmul_column::SHADER) {
            (&matmul_column::SHADER, form, matmul_column::TILE)
        } else if forms.names(&matmul_wide::SHADER) && (large || !subgroup) {
            (&matmul_wide::SHADER, form, matmul_wide::TILE)
        } else if subgroup {
            (&matmul_subgroup::SHADER, form, matmul_subgroup::TILE)
        } else {
            // Few rows leave the lanes of a wide group idle.
            let tile = forms.get(&SHADER).map_or(usize::from(rows <= 256), |v| v / 4);
            let variant = 4 * tile + form;
            (&SHADER, variant, [8 * SHADER.variants[variant].constant("WIDTH") as usize, 16])
        };
    let grid = [rows.div_ceil(down) as u32, columns.div_ceil(across) as u32, 1];
    recording.dispatch_variant(shader, variant, p, &[a, b, out], grid, cost(p))
}

/// The least work: each matrix moved once, with the pads of its rows.
pub fn cost(p: Params) -> Cost {
    let [m, n, k] = [p.rows, p.columns, p.inner].map(u64::from);
    let [a, b] =
        [[p.a_rows, p.a_stride], [p.b_rows, p.b_stride]].map(|[rows, quads]| u64::from(rows) * u64::from(quads));
    Cost { operations: 2 * m * n * k, bytes: 16 * (a + b + m * n.div_ceil(4)) }
}

/// The twin; `out` are the sizes of the answer, which may differ from the product's by padding.
pub fn reference(a: &Array, b: &Array, transpose_a: bool, transpose_b: bool, out: [usize; 2]) -> Array {
    let matrix = |x: &Array| [x.sizes()[0], x.sizes()[1]];
    let [m, k, n] = sizes(matrix(a), matrix(b), transpose_a, transpose_b).expect("checked by the shape rule");
    let mut y = Array::zeros(&out);
    for i in 0..m.min(out[0]) {
        for l in 0..k {
            let left = if transpose_a { a.data[l * a.sizes()[1] + i] } else { a.data[i * a.sizes()[1] + l] };
            for j in 0..n.min(out[1]) {
                let right = if transpose_b { b.data[j * b.sizes()[1] + l] } else { b.data[l * b.sizes()[1] + j] };
                y.data[i * out[1] + j] += left * right;
            }
        }
    }
    y
}

/// Sums of at most 521 products in float32 err by about √521·2⁻²⁴ = 1.4e-6 of the typical sum.
pub(super) const TOLERANCE: Tolerance = Tolerance::largest(2e-6);

/// One value, around a tile (64, 96 and 512 rows, 16 and 64 columns), primes, sizes off the multiples of 4, a classifier's
/// layer, few rows, each with all four transposes; then the three products of a linear layer, whose sizes differ by padding.
pub(super) fn cases() -> Vec<Case> {
    cases_of(|_| true, Array::clone)
}

/// Those of the cases that a special form can compute, by whether the first factor is transposed, with what `round` makes of the
/// factors.
pub(super) fn cases_of(fits: fn(bool) -> bool, round: fn(&Array) -> Array) -> Vec<Case> {
    let case = |a, b, ta, tb, out| case(round, [a, b], ta, tb, out);
    let table = [
        [1, 1, 1],
        [63, 5, 15],
        [65, 7, 17],
        [97, 6, 33],
        [513, 4, 16],
        [13, 521, 11],
        [67, 9, 131],
        [128, 64, 40],
        [3, 37, 131],
        [7, 50, 33],
    ];
    let mut cases = Vec::new();
    for [m, k, n] in table {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)].into_iter().filter(|t| fits(t.0)) {
            let a = if ta { [k, m] } else { [m, k] };
            let b = if tb { [n, k] } else { [k, n] };
            cases.push(case(a, b, ta, tb, [m, n]));
        }
    }
    // x (R, D), w [pad4(D), N]: y, dx, dw.
    cases.push(case([9, 5], [8, 6], false, false, [9, 6]));
    cases.push(case([9, 6], [8, 6], false, true, [9, 5]));
    if fits(true) {
        cases.push(case([9, 5], [9, 6], true, false, [8, 6]));
    }
    // The padded side on the left.
    cases.push(case([9, 8], [5, 6], false, false, [9, 6]));
    cases
}

fn case(round: fn(&Array) -> Array, [a, b]: [[usize; 2]; 2], ta: bool, tb: bool, out: [usize; 2]) -> Case {
    let (x, y) = (round(&Array::normal(&a, 1.0, 1)), round(&Array::normal(&b, 1.0, 2)));
    let expected = reference(&x, &y, ta, tb, out);
    let mark = |t| if t { "ᵀ" } else { "" };
    let name = format!("{a:?}{} by {b:?}{} to {out:?}", mark(ta), mark(tb));
    Case::new(name, vec![x, y], expected, TOLERANCE, move |r, i, o, _| record(r, &i[0], &i[1], ta, tb, &o[0]))
}
