//! How kernels that handle a tensor `(…, C)` by columns share it out: tiles of columns, slabs of rows.

use super::sinkhorn_wide::MOST_LOOPS;
use crate::base::Shape;
use crate::gpu::{Shader, Variant, Variants};

/// Vec4 values of a slab, when that leaves enough slabs: 64 KiB.
const SLAB_QUADS: usize = 4096;
/// Rows that a group of fewer lanes than a GPU's adds up itself, where there are tiles for some groups: a second stage takes as long
/// as half of the first there.
const ALONE: usize = 4096;
/// Vec4 values of a tensor up to which they do, 1 MiB: their tiles are narrow, and of what is no longer in a cache whole rows are faster.
const ALONE_QUADS: usize = 65_536;
/// Lanes from which on a group's width is a GPU's: slabs of [`LOADS`] values a lane, so that hundreds of processors get some.
pub const WIDE: u32 = 256;
/// Lanes of a software adapter's groups.
const NARROW: usize = 8;
/// Most tiles of a lane of theirs; with fewer it takes so many more rows a turn (`shared/whole_rows.wgsl`).
const MOST_SETS: usize = 8;
/// Vec4 values that a lane of such a group has under way at once.
const LOADS: usize = 4;
/// Most slabs: the second stage of a reduction is one group a tile. `batch_norm_stats` counts on it.
const MOST_SLABS: usize = 512;
/// Widest tile: 1 KiB of a row.
const WIDEST: usize = 64;
/// Rows that a lane of a kernel without a reduction handles at least, so that its column's constants pay.
const LANE_ROWS: usize = 8;
/// Vec4 values that a group of such a kernel handles at least.
const GROUP_QUADS: usize = 512;

/// Lanes a group. Software adapters take one vector of lanes: then no lane waits for another at a barrier, and a group
/// goes on for long, as beginning one costs them as much as 2 values (docs/performance.md).
pub const WIDTHS: &[Variant] = &[
    Variant::base("64", &[("WIDTH", 64.0)]),
    Variant::base("256", &[("WIDTH", 256.0)]),
    Variant::base("8", &[("WIDTH", 8.0)]),
];

macro_rules! variants {
    ($loads:literal) => { variants!(
        ("64", 64.0, $loads, 1.0), ("256", 256.0, $loads, 1.0), ("8", 8.0, $loads, 1.0), ("256x4", 256.0, 4.0, 1.0),
        ("8 by 2", 8.0, $loads, 2.0), ("8 by 4", 8.0, $loads, 4.0), ("8 by 8", 8.0, $loads, 8.0)
    ) };
    ($(($name:literal, $width:literal, $of:literal, $sets:literal)),+) => { &[$(
        Variant::base($name, &[("WIDTH", $width), ("LOADS", $of), ("SETS", $sets)]),
    )+] };
}

/// Lanes a group of a pass that reduces nothing, rows that a lane loads before it uses the first, and tiles of columns that it takes
/// side by side at most: those of 8 lanes by the shape ([`Columns::fit`]).
pub const PASSES: &[Variant] = variants!(1.0);

/// The same of a reduction.
pub const SUMS: &[Variant] = variants!(2.0);

/// Lanes a group, and tiles of columns that a lane takes side by side at most.
pub const ROWS: &[Variant] = &[
    Variant::base("64", &[("WIDTH", 64.0), ("SETS", 1.0)]),
    Variant::base("256", &[("WIDTH", 256.0), ("SETS", 1.0)]),
    Variant::base("8", &[("WIDTH", 8.0), ("SETS", 1.0)]),
    Variant::base("8 by 2", &[("WIDTH", 8.0), ("SETS", 2.0)]),
    Variant::base("8 by 4", &[("WIDTH", 8.0), ("SETS", 4.0)]),
    Variant::base("8 by 8", &[("WIDTH", 8.0), ("SETS", 8.0)]),
];

/// A tensor as rows of vec4 values.
#[derive(Clone, Copy, Debug)]
pub struct Columns {
    /// Product of all sizes but the last.
    pub rows: usize,
    /// Vec4 values a row.
    pub quads: usize,
}

impl Columns {
    /// Of a tensor.
    pub fn of(shape: &Shape) -> Self {
        Self::new(shape.rows(), shape.stride() / 4)
    }

    /// Of `rows` rows of `quads` vec4 values.
    pub fn new(rows: usize, quads: usize) -> Self {
        Self { rows, quads }
    }

    /// Rows a slab in a two-stage reduction by groups of `width` lanes.
    pub fn slab(&self, width: u32) -> usize {
        let least = if width < WIDE { SLAB_QUADS } else { LOADS * width as usize };
        least.div_ceil(self.quads).max(self.rows.div_ceil(MOST_SLABS)).min(self.rows)
    }

    /// Number of such slabs.
    pub fn slabs(&self, width: u32) -> usize {
        self.rows.div_ceil(self.slab(width))
    }

    /// Columns of a group that adds rows, rows a slab, and slabs: one where narrow tiles make groups enough.
    pub fn sums(&self, width: u32) -> [usize; 3] {
        if width < WIDE && self.rows <= ALONE && self.quads >= 16 && self.rows * self.quads <= ALONE_QUADS {
            return [self.narrow_tile(width), self.rows, 1];
        }
        [self.tile(width), self.slab(width), self.slabs(width)]
    }

    /// The variant of a shader with [`PASSES`], [`SUMS`] or [`ROWS`] for tiles of `tile` columns, and its tiles side by side.
    /// Groups of 8 lanes take whole rows where 8, 4 or 2 tiles divide them, or as many tiles of a row: memory that is skipped costs as
    /// much as what is read. The variant "8" stands for any number. A lane goes through `rows` rows.
    pub fn fit(&self, forms: &Variants, shader: &Shader, tile: usize, rows: usize) -> (usize, usize) {
        let (variants, named) = (shader.variants, forms.index(shader));
        let [width, sets] = ["WIDTH", "SETS"].map(|name| variants[named].constant(name) as usize);
        if width != NARROW {
            return (named, 1);
        }
        let most = if sets == 1 { MOST_SETS } else { sets };
        let fits = |variant: &Variant| {
            let [width, sets] = ["WIDTH", "SETS"].map(|name| variant.constant(name) as usize);
            let ends = rows.div_ceil(MOST_SETS / sets) <= MOST_LOOPS;
            let side_by_side = ends && sets <= most && tile == width && self.quads.is_multiple_of(sets * width);
            (width == NARROW && (sets == 1 || side_by_side)).then_some(sets)
        };
        let found = variants.iter().enumerate().filter_map(|(i, variant)| Some((i, fits(variant)?)));
        found.max_by_key(|(_, sets)| *sets).unwrap_or((named, 1))
    }

    /// As many as there are for any width: scratch shapes are independent of the variant.
    pub fn most_slabs(&self) -> usize {
        self.slabs(WIDE)
    }

    /// Columns of a group of `width` lanes: a power of two, no wider than needed.
    pub fn tile(&self, width: u32) -> usize {
        self.quads.next_power_of_two().min(width as usize).min(WIDEST)
    }

    /// Columns of a group that folds slabs: narrow, so that most lanes stand for rows.
    pub fn narrow_tile(&self, width: u32) -> usize {
        self.tile(width).min(if width < WIDE { 4 } else { 2 })
    }

    /// Rows a group of `width` lanes takes where nothing is reduced and a lane loads so many rows at once.
    pub fn stretch(&self, width: u32, loads: u32) -> usize {
        let lanes = width as usize / self.tile(width);
        let rows = if loads > 1 { loads as usize } else { LANE_ROWS.max(GROUP_QUADS / width as usize) };
        (lanes * rows).max(self.rows.div_ceil(65_535))
    }

    /// The groups of `slabs` slabs of each of `images` images. Those of a slab's tiles are neighbours: a software adapter gives
    /// each core half of the groups, and two cores that store each other's neighbouring lines wait for each other.
    pub fn grid(&self, tile: usize, slabs: usize, images: usize) -> [u32; 3] {
        [self.quads.div_ceil(tile) as u32, slabs as u32, images as u32]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::add_bias;

    #[test]
    fn slabs_cover_the_rows_and_grids_stay_within_webgpu() {
        for rows in [1, 63, 4096, 4097, 524_288, 3_211_264, 40_000_000] {
            for quads in [1, 3, 4, 16, 65, 512] {
                let c = Columns::new(rows, quads);
                for width in [8, 64, 128, 256] {
                    let (slab, slabs) = (c.slab(width), c.slabs(width));
                    assert!(slabs <= MOST_SLABS.min(c.most_slabs()) && slab * slabs >= rows, "{c:?} at {width}");
                    assert!(slab * (slabs - 1) < rows, "an empty slab: {c:?} at {width}");
                    let [_, slab, slabs] = c.sums(width);
                    assert!(slab * slabs >= rows && slab * (slabs - 1) < rows && slabs <= c.most_slabs(), "{c:?}");
                    let tile = c.tile(width);
                    assert!(
                        tile.is_power_of_two()
                            && tile <= width as usize
                            && c.grid(tile, slabs, 1)[0] as usize * tile >= quads
                    );
                    for loads in [1, 4] {
                        assert!(rows.div_ceil(c.stretch(width, loads)) <= 65_535, "{c:?} at {width}");
                    }
                }
            }
        }
    }

    #[test]
    fn narrow_groups_take_whole_rows() {
        let shader = &add_bias::SHADER;
        let forms = |name| {
            let named = shader.variants.iter().position(|variant| variant.name == name).unwrap();
            Variants { kernels: [(shader.name, named)].into(), ..Variants::default() }
        };
        let fit = |quads, name, tile| {
            let (found, sets) = Columns::new(100, quads).fit(&forms(name), shader, tile, 100);
            (shader.variants[found].name, sets)
        };
        assert_eq!(fit(4, "8", 4), ("8", 1));
        assert_eq!(fit(8, "8", 8), ("8", 1));
        assert_eq!(fit(16, "8", 8), ("8 by 2", 2));
        assert_eq!(fit(32, "8", 8), ("8 by 4", 4));
        assert_eq!(fit(128, "8", 8), ("8 by 8", 8));
        assert_eq!(fit(128, "8 by 4", 8), ("8 by 4", 4));
        // As many as divide the row: three tiles, five pairs.
        assert_eq!(fit(24, "8", 8), ("8", 1));
        assert_eq!(fit(80, "8", 8), ("8 by 2", 2));
        // Where a group folds rows.
        assert_eq!(fit(128, "8 by 8", 4), ("8", 1));
        assert_eq!(fit(128, "256x4", 64), ("256x4", 1));
        // Rows of one group that would take more turns than loops have.
        assert_eq!(Columns::new(1 << 17, 128).fit(&forms("8"), shader, 8, 1 << 17).1, 2);
    }
}
