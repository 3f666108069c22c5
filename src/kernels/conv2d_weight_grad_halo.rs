//! Gradient of a convolution by its weights on cooperative matrices, in single precision by factors in two halves:
//! recorded by [`conv2d_weight_grad::record`] in place of `conv2d_weight_grad.wgsl` where the recording's variants name it and the
//! shape fits.

use super::conv2d::Geometry;
use super::halo::{self, Params, Seen};
use super::{Case, Kernel, conv2d_weight_grad, cooperative, shared};
use crate::base::Array;
use crate::gpu::{self, Shader, Variant, Variants, read, write};

/// The shader.
pub static SHADER: Shader = Shader {
    name: "conv2d_weight_grad_halo",
    source: include_str!("../../shaders/matmul/conv2d_weight_grad_halo.wgsl"),
    shared: &[shared::SCALES, shared::BAND],
    params: size_of::<Params>(),
    bindings: &[read("x"), read("dy"), write("part")],
    variants: VARIANTS,
};

/// The registry's entry.
pub const KERNEL: Kernel = Kernel { shader: &SHADER, fields: halo::FIELDS, cases };

macro_rules! variants {
    ($(($name:literal, $side:literal, $split:literal, $down:literal, $across:literal, $shares:literal, $positions:literal, $tiles:literal, $direct:literal)),+) => { &[$(
        Variant::needing(
            $name,
            &[
                ("SIDE", $side), ("SPLIT", $split), ("DOWN", $down), ("ACROSS", $across), ("SHARES", $shares),
                ("SUBGROUPS", $down * $across * $shares), ("POSITIONS", $positions), ("TILES", $tiles), ("DIRECT", $direct),
            ],
            gpu::cooperative::NEEDS,
        ),
    )+] };
}

/// Forms of one side and one way to keep factors.
const TILES: usize = 5;

/// The form is chosen by the shape, or one is named: by the side of its matrices, its input by its output channels, and where there
/// are two by its subgroups. The last two of a group have room for four planes of the image, at stride 2.
const VARIANTS: &[Variant] = variants!(
    ("16 by shape", 16.0, 1.0, 1.0, 1.0, 8.0, 208.0, 8.0, 0.0),
    ("16 16x16", 16.0, 1.0, 1.0, 1.0, 8.0, 208.0, 8.0, 0.0),
    ("16 32x32", 16.0, 1.0, 2.0, 2.0, 2.0, 120.0, 6.0, 0.0),
    ("16 32x32 of 4", 16.0, 1.0, 2.0, 2.0, 1.0, 120.0, 6.0, 0.0),
    ("16 32x32 wide", 16.0, 1.0, 2.0, 2.0, 1.0, 232.0, 3.0, 0.0),
    ("16 16x32", 16.0, 1.0, 1.0, 2.0, 4.0, 340.0, 4.0, 0.0),
    ("16 16x16 half", 16.0, 0.0, 1.0, 1.0, 4.0, 208.0, 8.0, 0.0),
    // Before its larger fellow: an H200 took 30 instead of 36 µs.
    ("16 32x32 of 4 half", 16.0, 0.0, 2.0, 2.0, 1.0, 108.0, 5.0, 1.0),
    ("16 32x32 half", 16.0, 0.0, 2.0, 2.0, 2.0, 108.0, 5.0, 0.0),
    ("16 32x32 wide half", 16.0, 0.0, 2.0, 2.0, 1.0, 232.0, 3.0, 1.0),
    ("16 16x32 half", 16.0, 0.0, 1.0, 2.0, 4.0, 340.0, 4.0, 0.0),
    ("8 by shape", 8.0, 1.0, 2.0, 2.0, 1.0, 240.0, 8.0, 0.0),
    ("8 16x16", 8.0, 1.0, 2.0, 2.0, 1.0, 240.0, 8.0, 0.0),
    ("8 16x16 of 8", 8.0, 1.0, 2.0, 2.0, 2.0, 240.0, 8.0, 0.0),
    ("8 32x32", 8.0, 1.0, 4.0, 4.0, 1.0, 128.0, 6.0, 0.0),
    ("8 16x32", 8.0, 1.0, 2.0, 4.0, 1.0, 160.0, 6.0, 0.0),
    ("8 8x16", 8.0, 1.0, 1.0, 2.0, 4.0, 340.0, 8.0, 0.0),
    ("8 16x16 of 4 half", 8.0, 0.0, 2.0, 2.0, 1.0, 240.0, 8.0, 1.0),
    ("8 16x16 half", 8.0, 0.0, 2.0, 2.0, 2.0, 240.0, 8.0, 0.0),
    ("8 32x32 half", 8.0, 0.0, 4.0, 4.0, 1.0, 128.0, 6.0, 0.0),
    ("8 16x32 half", 8.0, 0.0, 2.0, 4.0, 1.0, 160.0, 6.0, 1.0),
    ("8 8x16 half", 8.0, 0.0, 1.0, 2.0, 4.0, 340.0, 8.0, 0.0)
);

/// Matrices that are added one after the other in the matrix unit, which loses up to 1.4e-8 of the sum with each (an H200).
const RUN: u32 = 96;

/// Vectors that a lane loads before it uses the first; see `band.wgsl`.
const MOST_LOADS: usize = 8;

/// Lanes of a large GPU's subgroups.
const GPU_LANES: usize = 32;

/// Bytes of workgroup memory that a variant takes; see the shader.
pub(super) fn memory(variant: &Variant) -> u32 {
    let [side, down, across, subgroups, positions, tiles] =
        ["SIDE", "DOWN", "ACROSS", "SUBGROUPS", "POSITIONS", "TILES"].map(|name| variant.constant(name));
    let image = positions * halo::line(variant, down * side);
    let upstream = tiles * side * halo::line(variant, across * side);
    let sums = if variant.constant("DIRECT") > 0 { 16 } else { 4 * (subgroups + 1) * side * side };
    8 * (image + upstream) + sums + 16
}

/// A form with its parameters and its grid.
pub(super) struct Plan {
    /// Index of the variant.
    pub variant: usize,
    /// Uniforms; `parts` among them.
    pub params: Params,
    /// Workgroups.
    pub grid: [u32; 3],
}

/// The form that is named for a convolution, or where that stands for the choice by shape the one that computes and loads least,
/// with at most `parts` parts. None where none is named or fits.
pub(super) fn plan(forms: &Variants, geometry: &Geometry, parts: usize) -> Option<Plan> {
    if !forms.names(&SHADER) {
        return None;
    }
    let seen = Seen::of(geometry, false)?;
    let asked = forms.index(&SHADER);
    let by_shape = asked.is_multiple_of(1 + 2 * TILES);
    let [_, _, _, channels] = geometry.input;
    let exact = |index: &usize| {
        let sides = ["DOWN", "ACROSS"]
            .map(|name| (VARIANTS[*index].constant(name) * VARIANTS[*index].constant("SIDE")) as usize);
        channels.is_multiple_of(sides[0]) && geometry.output[3].is_multiple_of(sides[1])
    };
    // A form that stores straight away gives way to its fellow after it where channels do not fill its matrices.
    let fitting = halo::candidates(asked, TILES, forms.factors.rounded())
        .map(|index| index + usize::from(VARIANTS[index].constant("DIRECT") > 0 && !exact(&index)));
    let plans = fitting.filter_map(|index| {
        let variant = &VARIANTS[index];
        let [side, down, across, positions, tiles] =
            ["SIDE", "DOWN", "ACROSS", "POSITIONS", "TILES"].map(|name| variant.constant(name) as usize);
        let mut params = seen.shared_out(side, tiles, positions)?;
        let blocks = [
            channels.div_ceil(down * side) * (params.taps as usize).div_ceil(9),
            geometry.output[3].div_ceil(across * side),
        ];
        let groups = params.blocks as usize;
        let all = blocks[0] * blocks[1];
        // Where nobody named or measured it, by what an H200 showed beside the tiles: a block is worth its barriers, at least two
        // fifths of it are pixels, and few channels leave most of a matrix empty.
        let tiled = (params.images * params.image_tiles) as usize;
        let pixels = geometry.output[..3].iter().product::<usize>();
        let least = if geometry.convolution.stride > 1 { 3 } else { 4 };
        let pays = tiled >= least && 5 * pixels >= 2 * params.blocks as usize * tiled * side && params.taps <= 9;
        if by_shape && !(pays && (channels >= 8 || geometry.output[3] <= 16)) {
            return None;
        }
        // As many as run at a time: each begins and ends with what nothing else hides.
        params.parts = parts.min(groups).min(halo::resident(variant).div_ceil(all)) as u32;
        params.turns = params.blocks.div_ceil(params.parts);
        let products = if variant.constant("SPLIT") > 0 { 3 } else { 1 };
        let matrices = (params.images * params.image_tiles).div_ceil(variant.constant("SHARES")) * products;
        let runs = params.turns.div_ceil((RUN / matrices).max(1));
        params.run = params.turns.div_ceil(runs);
        // Matrices, and channels that are staged, which takes about as long as three quarters of a matrix, or twice that with loads that
        // come too late.
        let tiles = groups * (params.images * params.image_tiles) as usize;
        let vectors = (params.images * params.image_positions) as usize * down * side / 4;
        let late = vectors > MOST_LOADS * GPU_LANES * variant.constant("SUBGROUPS") as usize;
        let staged = if late { 6 } else { 3 };
        let work = all * tiles * (4 * down * across + staged * (down + across)) * side * side;
        let grid = [blocks[0] as u32, blocks[1] as u32, params.parts];
        Some((work, Plan { variant: index, params, grid }))
    });
    plans.min_by_key(|(work, plan)| (*work, plan.variant)).map(|(_, plan)| plan)
}

fn cases() -> Vec<Case> {
    let fits = |g: &Geometry| {
        let seen = Seen::of(g, false);
        seen.is_some_and(|seen| {
            [(8, 5), (16, 3)].iter().all(|&(side, tiles)| seen.shared_out(side, tiles, 108).is_some())
        })
    };
    let rounded = conv2d_weight_grad::cases_of(fits, cooperative::rounded);
    halo::both(conv2d_weight_grad::cases_of(fits, Array::clone), rounded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Factors;
    use crate::kernels::conv2d::of_row;

    #[test]
    fn memory_suffices() {
        for variant in VARIANTS {
            assert!(memory(variant) <= 48 << 10, "{}: {} bytes", variant.name, memory(variant));
            assert!(variant.constant("SIDE") == 16 || memory(variant) <= 32 << 10, "{}", variant.name);
        }
    }

    #[test]
    fn the_shape_chooses_blocks_and_parts() {
        let with = |row, half| {
            let factors = if half { Factors::Half } else { Factors::Exact };
            let forms = Variants { kernels: [(SHADER.name, 0)].into(), factors, ..Variants::default() };
            let plan = plan(&forms, &of_row(row), 1024).unwrap();
            (VARIANTS[plan.variant].name, plan.params.band, plan.grid)
        };
        let of = |row| with(row, false);
        assert_eq!(of([512, 32, 32, 16, 3, 3, 16, 1, 1]), ("16 16x16", 4, [1, 1, 132]));
        assert_eq!(of([512, 16, 16, 32, 3, 3, 32, 1, 1]), ("16 32x32", 4, [1, 1, 132]));
        assert_eq!(of([512, 8, 8, 64, 3, 3, 64, 1, 1]), ("16 32x32", 8, [2, 2, 33]));
        assert_eq!(with([512, 32, 32, 16, 3, 3, 16, 1, 1], true), ("16 16x16 half", 4, [1, 1, 264]));
        assert_eq!(with([512, 16, 16, 32, 3, 3, 32, 1, 1], true), ("16 32x32 of 4 half", 4, [1, 1, 264]));
        // Stride 2: four planes of the image.
        assert_eq!(of([512, 32, 32, 16, 3, 3, 32, 2, 1]), ("16 16x32", 4, [1, 1, 132]));
        assert_eq!(with([512, 16, 16, 32, 3, 3, 64, 2, 1], true), ("16 16x32 half", 4, [2, 2, 33]));
    }
}
