//! What the convolutions by bands on cooperative matrices share: their variants, and how an image is shared out.

use super::conv2d::{Geometry, fold};
use super::{Case, conv2d, conv2d_weight_grad_halo, params};
use crate::base::Result;
use crate::gpu::{Recording, Shader, Tensor, Variant, Variants, cooperative};

params! {
    /// Uniforms of the three forms; of the gradient by the input, sizes are those of the convolution that it is.
    pub struct Params {
        /// R.
        pub rows: u32,
        /// Lines of the source.
        pub height: u32,
        /// Pixels of a line of the source.
        pub width: u32,
        /// Vectors of 4 channels of the source.
        pub channels: u32,
        /// Lines of the output.
        pub out_height: u32,
        /// Pixels of a line of the output.
        pub out_width: u32,
        /// Vectors of 4 channels of the output.
        pub outputs: u32,
        /// kw.
        pub kernel_width: u32,
        /// kh · kw.
        pub taps: u32,
        /// Zeros on each side.
        pub padding: u32,
        /// Positions a line of a plane, borders included.
        pub pitch: u32,
        /// Lines of the output a workgroup.
        pub band: u32,
        /// Bands an image.
        pub bands: u32,
        /// Images a block; 1 unless a band is all of one.
        pub images: u32,
        /// Bands of all images, or blocks of images.
        pub blocks: u32,
        /// Blocks a workgroup, at most.
        pub turns: u32,
        /// Blocks of the gradient by the weights after which sums leave the matrix unit.
        pub run: u32,
        /// Tiles of an image's band.
        pub image_tiles: u32,
        /// Positions a line in tiles: of the output where its lines are whole tiles, else `pitch`.
        pub tile_pitch: u32,
        /// Positions of an image's part, all planes.
        pub image_positions: u32,
        /// Channels of the output, without pads: the weights have values there that must not show.
        pub columns: u32,
        /// Parts of the gradient by the weights; 1 elsewhere.
        pub parts: u32,
        /// Stride of the convolution.
        pub stride: u32,
        /// Pixels of the source from a position to the next: the stride, of the gradient by the input 1.
        pub step: u32,
        /// Positions of a plane; 0 where there is one.
        pub plane: u32,
    }
}

/// Forms of one side and one way to keep factors.
const TILES: usize = 6;
/// Variants of one side: the choice by shape, the forms with split factors, those with rounded ones.
const GROUP: usize = 1 + 2 * TILES;
/// Processors of a large GPU.
pub(super) const PROCESSORS: usize = 132;

macro_rules! halo {
    ($(($name:literal, $side:literal, $split:literal, $steps:literal, $shares:literal, $across:literal, $down:literal, $subgroups:literal, $taps:literal, $ahead:literal, $fetch:literal, $positions:literal)),+
        ; $turned:literal) => { &[$(
        Variant::needing(
            $name,
            &[
                ("SIDE", $side), ("SPLIT", $split), ("STEPS", $steps), ("SHARES", $shares), ("ACROSS", $across), ("DOWN", $down),
                ("SUBGROUPS", $subgroups), ("TAPS", $taps), ("AHEAD", $ahead), ("FETCH", $fetch), ("POSITIONS", $positions), ("TURNED", $turned),
            ],
            cooperative::NEEDS,
        ),
    )+] };
}

/// The forms of both directions, each group's own ones (first with split factors, then with rounded ones; of either side) after them.
macro_rules! variants {
    ($turned:literal; $($split:tt),+; $($half:tt),+; $($small_split:tt),+; $($small_half:tt),+) => {
        halo!(
            ("16 by shape", 16.0, 1.0, 1.0, 1.0, 1.0, 1.0, 8.0, 9.0, $turned, 0.0, 204.0),
            ("16 16x16", 16.0, 1.0, 1.0, 1.0, 1.0, 1.0, 8.0, 9.0, $turned, 0.0, 204.0),
            ("16 16x16 wide", 16.0, 1.0, 1.0, 1.0, 1.0, 2.0, 8.0, 9.0, 0.0, 0.0, 400.0),
            ("16 32x32", 16.0, 1.0, 1.0, 2.0, 2.0, 2.0, 16.0, 3.0, 1.0, 0.0, 184.0),
            ("16 64x64", 16.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 1.0, 0.0, 0.0, 136.0),
            $($split),+,
            ("16 16x16 half", 16.0, 0.0, 1.0, 1.0, 1.0, 1.0, 8.0, 9.0, 1.0, 0.0, 204.0),
            ("16 16x16 wide half", 16.0, 0.0, 1.0, 1.0, 1.0, 2.0, 8.0, 9.0, 1.0, 0.0, 340.0),
            ("16 32x32 half", 16.0, 0.0, 2.0, 1.0, 2.0, 2.0, 8.0, 3.0, 0.0, 1.0, 184.0),
            ("16 64x32 half", 16.0, 0.0, 2.0, 2.0, 2.0, 1.0, 8.0, 3.0, 0.0, 0.0, 104.0),
            $($half),+,
            ("8 by shape", 8.0, 1.0, 1.0, 2.0, 2.0, 2.0, 8.0, 9.0, 0.0, 0.0, 240.0),
            ("8 16x16", 8.0, 1.0, 1.0, 2.0, 2.0, 2.0, 8.0, 9.0, $turned, 0.0, 240.0),
            ("8 16x16 wide", 8.0, 1.0, 1.0, 2.0, 2.0, 2.0, 8.0, 9.0, 0.0, 0.0, 340.0),
            ("8 32x16", 8.0, 1.0, 2.0, 2.0, 2.0, 1.0, 8.0, 3.0, 0.0, 1.0, 184.0),
            ("8 8x16", 8.0, 1.0, 1.0, 1.0, 2.0, 4.0, 8.0, 1.0, 0.0, 0.0, 300.0),
            $($small_split),+,
            ("8 16x16 half", 8.0, 0.0, 1.0, 2.0, 2.0, 2.0, 8.0, 9.0, 1.0, 0.0, 240.0),
            ("8 16x16 wide half", 8.0, 0.0, 1.0, 2.0, 2.0, 2.0, 8.0, 9.0, 0.0, 0.0, 340.0),
            ("8 32x16 half", 8.0, 0.0, 2.0, 2.0, 2.0, 1.0, 8.0, 3.0, 0.0, 1.0, 184.0),
            ("8 8x16 half", 8.0, 0.0, 1.0, 1.0, 2.0, 4.0, 8.0, 1.0, 0.0, 0.0, 300.0),
            $($small_half),+;
            $turned
        )
    };
}

/// Variants of the convolution: the form is chosen by the shape, or one is named. A form is called by the side of its matrices
/// and by its source's channels at a time and its output's. What is loaded ahead is what made an H200 faster (docs/rejected.md has the rest).
/// Those of its own are for stride 2, where outputs are more than channels and a band has four planes.
pub const FORWARD: &[Variant] = variants!(
    0.0;
    ("16 16x32", 16.0, 1.0, 1.0, 1.0, 2.0, 1.0, 8.0, 9.0, 1.0, 0.0, 340.0),
    ("16 32x64", 16.0, 1.0, 2.0, 1.0, 4.0, 1.0, 8.0, 3.0, 0.0, 0.0, 168.0);
    ("16 16x32 half", 16.0, 0.0, 1.0, 1.0, 2.0, 1.0, 8.0, 9.0, 1.0, 0.0, 340.0),
    ("16 32x64 half", 16.0, 0.0, 2.0, 1.0, 4.0, 1.0, 8.0, 3.0, 0.0, 1.0, 168.0);
    ("8 16x32", 8.0, 1.0, 1.0, 2.0, 4.0, 4.0, 8.0, 3.0, 0.0, 0.0, 240.0),
    ("8 32x32", 8.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 3.0, 0.0, 0.0, 160.0);
    ("8 16x32 half", 8.0, 0.0, 1.0, 2.0, 4.0, 4.0, 8.0, 9.0, 1.0, 0.0, 240.0),
    ("8 32x32 half", 8.0, 0.0, 2.0, 2.0, 4.0, 4.0, 8.0, 3.0, 0.0, 1.0, 160.0)
);
/// Variants of the gradient by the input; those of its own are for stride 2 too, where it is the other way round and each subgroup
/// has four sums.
pub const TURNED: &[Variant] = variants!(
    1.0;
    ("16 32x16", 16.0, 1.0, 2.0, 1.0, 1.0, 1.0, 8.0, 9.0, 0.0, 0.0, 160.0),
    ("16 64x32", 16.0, 1.0, 2.0, 2.0, 2.0, 1.0, 8.0, 3.0, 0.0, 0.0, 104.0);
    ("16 32x16 half", 16.0, 0.0, 2.0, 1.0, 1.0, 1.0, 8.0, 9.0, 1.0, 0.0, 160.0),
    ("16 64x32 of 16 half", 16.0, 0.0, 2.0, 2.0, 2.0, 1.0, 16.0, 3.0, 0.0, 0.0, 104.0);
    ("8 16x8", 8.0, 1.0, 1.0, 2.0, 1.0, 1.0, 8.0, 9.0, 1.0, 0.0, 240.0),
    ("8 32x8", 8.0, 1.0, 2.0, 2.0, 1.0, 1.0, 8.0, 9.0, 0.0, 0.0, 160.0);
    ("8 16x8 half", 8.0, 0.0, 1.0, 2.0, 1.0, 1.0, 8.0, 9.0, 1.0, 0.0, 240.0),
    ("8 32x8 half", 8.0, 0.0, 2.0, 2.0, 1.0, 1.0, 8.0, 3.0, 0.0, 1.0, 160.0)
);

/// The variants that `asked` stands for, of groups of a choice by shape, `tiles` forms with split factors and their fellows with
/// rounded ones: all forms of one kind where it is the choice by shape, else itself, or its fellow where it may not round.
pub(super) fn candidates(asked: usize, tiles: usize, half: bool) -> impl Iterator<Item = usize> {
    let group = 1 + 2 * tiles;
    let (first, place) = (asked / group * group, asked % group);
    let kind = first + 1 + if half && (place == 0 || place > tiles) { tiles } else { 0 };
    let forms = if place == 0 { 0..tiles } else { (place - 1) % tiles..(place - 1) % tiles + 1 };
    forms.map(move |form| kind + form)
}

/// Bytes of workgroup memory that a variant takes; see `halo.wgsl`.
pub fn memory(variant: &Variant) -> u32 {
    if variant.sets("TURNED").is_none() {
        return conv2d_weight_grad_halo::memory(variant);
    }
    let Form { side, channels, columns, .. } = Form::of(variant);
    let [taps, positions] = ["TAPS", "POSITIONS"].map(|name| variant.constant(name));
    let (lines, across) = if variant.constant("TURNED") > 0 { (columns, channels) } else { (channels, columns) };
    let image = positions * line(variant, channels as u32);
    let weights = taps * lines as u32 * line(variant, across as u32);
    // Sums of each subgroup, or of each lane: 32 of a subgroup.
    let subgroups = variant.constant("SUBGROUPS");
    let sums = (4 * (subgroups + 1) * (side * side) as u32).max(16 * 32 * subgroups);
    8 * image.max(weights) + sums + 16
}

/// Vectors of four halves from one line to the next that holds so many values; see `band.wgsl`.
pub(super) fn line(variant: &Variant, values: u32) -> u32 {
    let kept = if variant.constant("SPLIT") > 0 { 2 } else { 1 };
    kept * values / 4 + 2
}

/// What a workgroup of a form does at a time.
struct Form {
    side: usize,
    /// Channels of a chunk.
    channels: usize,
    /// Columns.
    columns: usize,
    /// Tiles that its subgroups compute side by side.
    below: usize,
    /// Tiles whose sums they can keep.
    kept: usize,
}

impl Form {
    fn of(variant: &Variant) -> Self {
        let [side, steps, shares, across, down, subgroups] =
            ["SIDE", "STEPS", "SHARES", "ACROSS", "DOWN", "SUBGROUPS"].map(|name| variant.constant(name) as usize);
        let below = subgroups / (across * shares);
        Self { side, channels: side * steps * shares, columns: side * across, below, kept: down * below }
    }
}

/// A convolution, as the kernels see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    rows: usize,
    source: [usize; 3], // lines, pixels, channels
    output: [usize; 3],
    kernel: [usize; 2],
    padding: usize,
    stride: usize,
    /// Whether it is a gradient by the input: then a position stands for `stride` by `stride` outputs, else it is one.
    turned: bool,
}

impl Seen {
    /// Of a convolution, or with `turned` of its gradient by the input; none for borders that the turned convolution would not have,
    /// and with `turned` for strides above 1 but the four phases of 3 by 3 taps.
    pub fn of(g: &Geometry, turned: bool) -> Option<Self> {
        let [rows, h, w, c] = g.input;
        let [_, oh, ow, n] = g.output;
        let conv2d::Convolution { stride, padding } = g.convolution;
        let (kernel, source, output) = (g.kernel, [h, w, c], [oh, ow, n]);
        if !turned {
            return Some(Self { rows, source, output, kernel, padding, stride, turned });
        }
        let padding = match stride {
            1 => (kernel[0] - 1).checked_sub(padding).filter(|_| kernel[0] == kernel[1])?,
            // Even places meet the middle tap, odd ones that before and that after it.
            2 if kernel == [3, 3] && padding == 1 => 0,
            _ => return None,
        };
        Some(Self { rows, source: output, output: source, kernel, padding, stride, turned })
    }

    /// Lines and pixels of positions.
    fn grid(&self) -> [usize; 2] {
        let apart = if self.turned { self.stride } else { 1 };
        [0, 1].map(|i| self.output[i].div_ceil(apart))
    }

    /// How a workgroup with room for `tiles` tiles of `side` outputs and for `positions` of the source takes it; none when a line
    /// does not fit.
    pub fn shared_out(&self, side: usize, tiles: usize, positions: usize) -> Option<Params> {
        let ([height, width, channels], [out_height, out_width, outputs]) = (self.source, self.output);
        let ([kh, kw], [lines, pixels]) = (self.kernel, self.grid());
        // How far taps lie apart in a plane, and how many planes there are.
        let reach = self.kernel.map(|k| (k - 1) / self.stride);
        let step = if self.turned { 1 } else { self.stride };
        let planes = self.kernel.map(|k| k.min(step)).iter().product::<usize>();
        let pitch = pixels + reach[1];
        let line_tiles = if pixels.is_multiple_of(side) { pixels / side } else { 0 };
        let of_band = |band: usize| {
            let tiles = if line_tiles > 0 { band * line_tiles } else { ((band - 1) * pitch + pixels).div_ceil(side) };
            let last = if line_tiles > 0 { (band - 1) * pitch + pixels - side } else { (tiles - 1) * side };
            let read = last + side + reach[0] * pitch + reach[1];
            (tiles, read.max((band + reach[0]) * pitch))
        };
        let fits = |band: &usize| {
            let (own, read) = of_band(*band);
            own <= tiles && planes * read <= positions
        };
        let most = (1..=lines.min(tiles * side)).rev().find(fits)?;
        let bands = lines.div_ceil(most);
        let band = lines.div_ceil(bands);
        let (image_tiles, plane) = of_band(band);
        let image_positions = planes * plane;
        let images = if bands > 1 { 1 } else { (tiles / image_tiles).min(positions / image_positions).min(self.rows) };
        let tile_pitch = if line_tiles > 0 { pixels } else { pitch };
        Some(Params {
            rows: self.rows as u32,
            height: height as u32,
            width: width as u32,
            channels: channels.div_ceil(4) as u32,
            out_height: out_height as u32,
            out_width: out_width as u32,
            outputs: outputs.div_ceil(4) as u32,
            kernel_width: kw as u32,
            taps: (kh * kw) as u32,
            padding: self.padding as u32,
            pitch: pitch as u32,
            band: band as u32,
            bands: bands as u32,
            images: images as u32,
            blocks: (self.rows.div_ceil(images) * bands) as u32,
            turns: 1,
            run: 1,
            image_tiles: image_tiles as u32,
            tile_pitch: tile_pitch as u32,
            image_positions: image_positions as u32,
            columns: outputs as u32,
            parts: 1,
            stride: self.stride as u32,
            step: step as u32,
            plane: if planes > 1 { plane as u32 } else { 0 },
        })
    }
}

/// A form with its parameters, and how long its workgroups take.
struct Plan {
    variant: usize,
    params: Params,
    /// Blocks of columns.
    blocks: usize,
    /// Cycles of a processor that all blocks together take, roughly.
    cycles: usize,
    /// Chunks of channels and of taps.
    parts: usize,
}

/// Most tiles of a block whose sums need not be kept: more have not been tried.
const MOST_TILES: usize = 32;

impl Plan {
    fn of(shader: &Shader, variant: usize, seen: &Seen) -> Option<Self> {
        let chosen = &shader.variants[variant];
        let Form { side, channels, columns, below, kept } = Form::of(chosen);
        let [kh, kw] = seen.kernel;
        let parts = seen.source[2].div_ceil(channels) * (kh * kw).div_ceil(9);
        let phases = if seen.turned { seen.stride * seen.stride } else { 1 };
        let tiles = match (parts, phases) {
            (1, _) => MOST_TILES,
            (_, 1) => kept,
            _ => below,
        };
        let params = seen.shared_out(side, tiles, chosen.constant("POSITIONS") as usize)?;
        let blocks = seen.output[2].div_ceil(columns);
        // What an H200 took for matrices of 16 x 16 x 16 through nine taps, for the staging of 16 positions by 16 channels and of 16 by 16
        // weights, and for storing 16 by 16 outputs.
        let product = if chosen.constant("SPLIT") > 0 { 160 } else { 54 };
        let [staged, stored] = [80, 40];
        let count = (params.images * params.image_tiles) as usize;
        let positions = (params.images * params.image_positions) as usize;
        let matrices = parts * channels * columns;
        let products = matrices * count.next_multiple_of(below) * side * product;
        let weights = if parts > 1 { matrices * 9 * staged * 16 } else { 0 };
        let block = products
            + weights
            + parts * channels * positions * 16 * staged
            + columns * count * phases * side * 16 * stored;
        // A workgroup that is alone on its processor waits more.
        let alone = if resident(chosen) > PROCESSORS { 4 } else { 5 };
        let cycles = params.blocks as usize * blocks * block * alone / (4 * 4096);
        Some(Self { variant, params, blocks, cycles, parts })
    }

    /// Whether it is worth it where nobody named or measured a form, by what an H200 showed beside the tiles: 25 TFLOP/s, or 45 with
    /// rounded factors, of 132 processors at 1.98 GHz, and at stride 2 10 to 20 and 20 to 30. Where weights do not stay in registers
    /// it was no faster than they.
    fn pays(&self, shader: &Shader, seen: &Seen) -> bool {
        let [kh, kw] = seen.kernel;
        let ([height, width], outputs) = (seen.grid(), seen.output[2]);
        let products = seen.rows * height * width * outputs * seen.source[2] * kh * kw;
        let tiles = if shader.variants[self.variant].constant("SPLIT") > 0 { 48 } else { 86 };
        let tiles = if seen.stride > 1 { tiles * 2 / 3 } else { tiles };
        // Few channels leave most of a tile's loads idle too, where there are few columns (3 to 16: 58 µs).
        let few = seen.source[2] <= 4 && seen.output[2] <= 16;
        let products = if few { products / seen.source[2] * 16 } else { products };
        self.parts == 1 && (few || seen.source[2] >= 8) && products >= tiles * self.cycles
    }
}

/// The form that suits a shape: variant `asked`, or where that stands for the choice by shape the one that takes least time. None
/// where no form fits.
fn chosen(shader: &Shader, forms: &Variants, seen: &Seen) -> Option<Plan> {
    let asked = forms.index(shader);
    let by_shape = asked.is_multiple_of(GROUP);
    candidates(asked, TILES, forms.factors.rounded())
        .filter_map(|index| Plan::of(shader, index, seen).filter(|plan| !by_shape || plan.pays(shader, seen)))
        .min_by_key(|plan| (plan.cycles, plan.variant))
}

/// Records a convolution (`source` is x), or with a shader of [`TURNED`] the gradient by its input (`source` is dy), if a form
/// is named and fits.
///
/// # Errors
/// When the grid is too large.
pub(super) fn record(
    recording: &mut Recording,
    shader: &'static Shader,
    forms: &Variants,
    geometry: &Geometry,
    [source, w, output]: [&Tensor; 3],
) -> Option<Result<()>> {
    if !forms.names(shader) {
        return None;
    }
    let seen = Seen::of(geometry, shader.variants[0].constant("TURNED") > 0)?;
    let Plan { variant, params: mut p, blocks, parts, .. } = chosen(shader, forms, &seen)?;
    // Where weights stay in registers, a workgroup goes on with other blocks, and as many begin as a processor has room for.
    let all = p.blocks as usize;
    let begun = resident(&shader.variants[variant]).div_ceil(blocks);
    let [across, folds] = fold(if parts == 1 { all.min(begun) } else { all });
    p.turns = p.blocks.div_ceil(across * folds);
    let grid = [across, blocks as u32, folds];
    Some(recording.dispatch_variant_constant(shader, variant, p, &[source, w, output], grid, geometry.cost()))
}

/// Workgroups that run at a time on a large GPU: one or two a processor, which leaves them 50 KiB of workgroup memory (an H200).
pub(super) fn resident(variant: &Variant) -> usize {
    PROCESSORS * ((50 << 10) / memory(variant) as usize).clamp(1, 2)
}

/// Whether a form can compute a convolution, or with `turned` its gradient by the input.
pub(super) fn fits(geometry: &Geometry, turned: bool) -> bool {
    Seen::of(geometry, turned).is_some_and(|seen| [8, 16].iter().all(|&side| seen.shared_out(side, 8, 104).is_some()))
}

/// The cases of factors as they are, where none may be rounded, and those of rounded ones, where they may.
pub(super) fn both(exact: Vec<Case>, rounded: Vec<Case>) -> Vec<Case> {
    exact.into_iter().chain(rounded.into_iter().map(super::cooperative::allowed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Factors;
    use crate::kernels::conv2d::of_row;
    use crate::kernels::{conv2d_halo, conv2d_input_grad_halo};

    fn factors(half: bool) -> Factors {
        if half { Factors::Half } else { Factors::Exact }
    }

    #[test]
    fn memory_and_lanes_suffice() {
        for variant in FORWARD.iter().chain(TURNED) {
            assert!(memory(variant) <= 48 << 10, "{}: {} bytes", variant.name, memory(variant));
            let side = variant.constant("SIDE");
            assert!(side == 16 || memory(variant) <= 32 << 10, "{}", variant.name);
            assert!(variant.constant("SUBGROUPS") <= cooperative::subgroups(side), "{}: lanes", variant.name);
        }
    }

    /// The layers of ResNet-32 and of ResNet-18: how many tiles, images and lines a workgroup has.
    #[test]
    fn the_shape_chooses_tiles_bands_and_images() {
        let of = |row, half| {
            let forms =
                Variants { kernels: [("conv2d_halo", 0)].into(), factors: factors(half), ..Variants::default() };
            let seen = Seen::of(&of_row(row), false).unwrap();
            let found = chosen(&conv2d_halo::SHADER, &forms, &seen);
            found
                .map(|plan| (FORWARD[plan.variant].name, plan.params.images, plan.params.band, plan.params.image_tiles))
        };
        assert_eq!(of([512, 32, 32, 16, 3, 3, 16, 1, 1], false), Some(("16 16x16", 1, 4, 8)));
        assert_eq!(of([512, 16, 16, 32, 3, 3, 32, 1, 1], true), Some(("16 32x32 half", 1, 8, 8)));
        assert_eq!(of([512, 8, 8, 64, 3, 3, 64, 1, 1], false), Some(("16 64x64", 1, 8, 5)));
        assert_eq!(of([512, 8, 8, 64, 3, 3, 64, 1, 1], true), Some(("16 64x32 half", 1, 8, 5)), "two groups at a time");
        assert_eq!(of([512, 32, 32, 16, 3, 3, 16, 1, 1], true), Some(("16 16x16 wide half", 1, 8, 16)));
        for (row, names) in [
            ([512, 32, 32, 16, 3, 3, 16, 1, 1], ["16 16x16", "16 16x16 wide half"]),
            ([512, 16, 16, 32, 3, 3, 32, 1, 1], ["16 32x32", "16 32x32 half"]),
            ([512, 8, 8, 64, 3, 3, 64, 1, 1], ["16 64x64", "16 64x32 half"]),
        ] {
            let shader = &conv2d_input_grad_halo::SHADER;
            let found = [false, true].map(|half| {
                let forms =
                    Variants { kernels: [(shader.name, 0)].into(), factors: factors(half), ..Variants::default() };
                let plan = chosen(shader, &forms, &Seen::of(&of_row(row), true).unwrap()).unwrap();
                TURNED[plan.variant].name
            });
            assert_eq!(found, names);
        }
        assert_eq!(of([64, 56, 56, 64, 3, 3, 64, 1, 1], false), None, "no line of 56 pixels by 64 channels has room");
        assert_eq!(of([64, 14, 14, 256, 3, 3, 256, 1, 1], true), None, "weights of all channels have no room");
        assert_eq!(
            of([64, 32, 32, 3, 3, 3, 64, 1, 1], false),
            None,
            "three of four channels of a vector, of sixteen of a matrix"
        );
        assert_eq!(of([512, 32, 32, 3, 3, 3, 16, 1, 1], false), Some(("16 16x16", 1, 4, 8)), "a tile is as idle");
    }

    /// A workgroup has four planes of the image; of the gradient by the input, four times as many outputs as positions.
    #[test]
    fn stride_2_takes_planes_and_phases() {
        let of = |row, half, turned: bool| {
            let shader = if turned { &conv2d_input_grad_halo::SHADER } else { &conv2d_halo::SHADER };
            let forms = Variants { kernels: [(shader.name, 0)].into(), factors: factors(half), ..Variants::default() };
            let plan = chosen(shader, &forms, &Seen::of(&of_row(row), turned)?)?;
            let Params { band, image_tiles, image_positions, plane, .. } = plan.params;
            Some((shader.variants[plan.variant].name, band, image_tiles, image_positions, plane))
        };
        let [first, second] = [[512, 32, 32, 16, 3, 3, 32, 2, 1], [512, 16, 16, 32, 3, 3, 64, 2, 1]];
        assert_eq!(of(first, false, false), Some(("16 16x32", 4, 4, 340, 85)));
        assert_eq!(of(second, true, false), Some(("16 32x64 half", 3, 2, 168, 42)));
        assert_eq!(of(first, true, true), Some(("16 32x16 half", 8, 8, 153, 0)));
        assert_eq!(of(second, false, true), Some(("16 64x32", 8, 5, 90, 0)));
        assert_eq!(of([512, 16, 16, 32, 2, 2, 32, 2, 0], false, true), None, "phases of other kernels");
    }

    /// The last shapes of the trial are there for these forms: the choice by shape must take them, on either side of matrices.
    #[test]
    fn the_trial_tries_them() {
        for (asked, half, turned) in [0, GROUP]
            .into_iter()
            .flat_map(|g| [(g, false, false), (g, true, false), (g, false, true), (g, true, true)])
        {
            let shader = if turned { &conv2d_input_grad_halo::SHADER } else { &conv2d_halo::SHADER };
            let forms =
                Variants { kernels: [(shader.name, asked)].into(), factors: factors(half), ..Variants::default() };
            for row in [[3, 14, 14, 28, 3, 3, 28, 1, 1], [3, 15, 13, 28, 3, 3, 30, 2, 1]] {
                let seen = Seen::of(&of_row(row), turned).unwrap();
                assert!(chosen(shader, &forms, &seen).is_some(), "{asked} {half} {turned} {row:?}");
            }
        }
    }

    #[test]
    fn an_asked_form_stands_for_its_kind() {
        let of = |asked, half| candidates(asked, 4, half).collect::<Vec<_>>();
        assert_eq!([of(0, false), of(0, true)], [[1, 2, 3, 4], [5, 6, 7, 8]]);
        assert_eq!([of(2, false), of(2, true), of(6, false), of(6, true)], [[2], [2], [2], [6]]);
        assert_eq!(of(9, true), [14, 15, 16, 17]);
    }
}
