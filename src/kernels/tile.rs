//! Tiles of the products' forms for GPUs: their sizes, and which one suits a shape.

use super::cooperative::TILES;
use crate::gpu::{Shader, Variant, cooperative};

/// The sizes of a tile. The first stands for the choice by shape.
macro_rules! tiles {
    ($variants:ident) => {
        $variants!(
            ("by shape", 64.0, 64.0, 128.0, 0.0),
            ("128x64", 128.0, 64.0, 128.0, 1.0),
            ("64x64", 64.0, 64.0, 128.0, 0.0),
            ("128x32", 128.0, 32.0, 128.0, 0.0),
            ("64x32", 64.0, 32.0, 64.0, 0.0),
            ("128x16", 128.0, 16.0, 64.0, 0.0),
            ("64x16", 64.0, 16.0, 32.0, 0.0)
        )
    };
}
pub(super) use tiles;

macro_rules! variants {
    ($(($name:literal, $rows:literal, $columns:literal, $lanes:literal, $wide:literal)),+) => { &[$(
        Variant::base($name, &[("ROWS", $rows), ("COLUMNS", $columns), ("LANES", $lanes), ("WIDE", $wide)]),
    )+] };
}

/// Variants of the convolutions' forms: the tile is chosen by the shape, or one is named.
pub const VARIANTS: &[Variant] = tiles!(variants);

/// Workgroups from which on a GPU has enough to do: about four for each of a large one's 132 processors.
const ENOUGH: usize = 512;

/// Place of the largest square tile on matrices.
const SQUARE: usize = 2;

/// A tile that was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Index into the shader's variants.
    pub variant: usize,
    /// Rows of a workgroup's outputs.
    pub rows: usize,
    /// Columns of a workgroup's outputs.
    pub columns: usize,
}

impl Tile {
    fn of(shader: &Shader, variant: usize) -> Self {
        let chosen = &shader.variants[variant];
        let constant = |name| chosen.constant(name) as usize;
        let [rows, columns] = if shader.rounds() {
            cooperative::sizes(chosen).map(|n| n as usize)
        } else {
            ["ROWS", "COLUMNS"].map(constant)
        };
        Self { variant, rows, columns }
    }

    fn groups(self, [rows, columns]: [usize; 2], sums: usize) -> usize {
        rows.div_ceil(self.rows) * columns.div_ceil(self.columns) * sums
    }

    /// Outputs that are computed, those past the edges included.
    fn outputs(self, sizes: [usize; 2], sums: usize) -> usize {
        self.groups(sizes, sums) * self.rows * self.columns
    }
}

/// The tile of `sums` matrices of rows by columns: variant `asked`, or where that stands for the choice by shape the
/// one that suits it. Variants come in groups of `forms`, one for each pair of transposes; `halves` where both factors are
/// kept in half precision.
///
/// As few columns as hold all, since columns past the last are lanes in vain; the larger tile, which shares each load
/// among more sums, where it fills a GPU and leaves no more rows idle.
pub fn choose(shader: &Shader, asked: usize, forms: usize, sizes: [usize; 2], sums: usize, halves: bool) -> Tile {
    let own = asked % forms;
    let tile = |place: usize| Tile::of(shader, place * forms + own);
    let place = asked / forms;
    if shader.rounds() {
        let first = place / TILES * TILES;
        if place > first {
            return tile(place);
        }
        // In twos of one width, the widest first; what the third does not hold takes it or the wider two.
        let pair = [7, 5, 3].into_iter().find(|&i| sizes[1] <= tile(first + i).columns);
        // The widest of all loads fewer bytes for each product, which halves do not need (an H200: 169 instead of 189 TFLOP/s,
        // in single precision 180 instead of 167).
        let places = pair.map_or(1 + usize::from(halves)..5, |i| i..i + 2);
        let smallest = tile(first + places.end - 1);
        let suits = |t: &Tile| {
            let least = smallest.outputs(sizes, sums);
            t.groups(sizes, sums) >= ENOUGH / 2 && t.outputs(sizes, sums) <= least + least / 8
        };
        let found = places.map(|i| tile(first + i)).find(suits).unwrap_or(smallest);
        // As large, with two rounds under way.
        return if halves && found == tile(first + SQUARE) { tile(first + TILES - 1) } else { found };
    }
    if place > 0 {
        return tile(place);
    }
    let high = match sizes[1] {
        0..=16 => 5,
        17..=32 => 3,
        _ => 1,
    };
    let idle = 2 * sizes[0].div_ceil(128) > sizes[0].div_ceil(64);
    if idle || tile(high).groups(sizes, sums) < ENOUGH { tile(high + 1) } else { tile(high) }
}

#[cfg(test)]
mod tests {
    use super::super::{conv2d_coop, conv2d_tiled, matmul_coop, matmul_tiled};
    use super::*;

    #[test]
    fn tiles_fit_their_lanes_and_memory() {
        for (place, variant) in VARIANTS.iter().enumerate() {
            let Tile { rows, columns, .. } = Tile::of(&conv2d_tiled::SHADER, place);
            let name = variant.name;
            let [lanes, wide] = ["LANES", "WIDE"].map(|name| variant.constant(name) as usize);
            assert_eq!(lanes, rows / 8 * columns / (4 + 4 * wide), "{name}");
            assert!(lanes <= 256 && lanes >= columns && 2 * lanes >= rows, "{name}: the loads of a round");
            assert!(16 * 16 * (rows / 4 + 2 + columns / 4 + 2) <= 16 << 10, "{name}: workgroup memory");
            assert!(place == 0 || name == format!("{rows}x{columns}"), "{name}");
        }
        for (place, variant) in conv2d_coop::SHADER.variants.iter().enumerate() {
            let Tile { rows, columns, .. } = Tile::of(&conv2d_coop::SHADER, place);
            let side = variant.constant("SIDE");
            let name = format!("{side} {rows}x{columns}");
            assert!(place % TILES == 0 || variant.name.trim_end_matches(" twice") == name, "{name}");
            let room = if side == 16 { 40 } else { 32 };
            assert!(cooperative::memory(variant) <= room << 10, "{name}: workgroup memory");
        }
    }

    /// The layers of ResNet-32 at 512 rows: forward, and by the weights with the parts that the kernel makes.
    #[test]
    fn the_shape_chooses_among_tiles() {
        let name = |sizes, sums| VARIANTS[choose(&conv2d_tiled::SHADER, 0, 1, sizes, sums, false).variant].name;
        assert_eq!(name([512 * 32 * 32, 16], 1), "128x16");
        assert_eq!(name([512 * 16 * 16, 32], 1), "128x32");
        assert_eq!(name([512 * 8 * 8, 64], 1), "64x64", "256 groups of 128 rows do not fill a GPU");
        assert_eq!(name([9 * 16, 16], 1024), "64x16", "two groups of 128 rows would be half idle");
        assert_eq!(name([9 * 64, 64], 64), "64x64");
        assert_eq!(name([4096, 4096], 1), "128x64");
        let matmul = &matmul_tiled::SHADER;
        assert_eq!(matmul.variants[choose(matmul, 2, 4, [4096, 10], 1, false).variant].name, "64x16 tn");
        assert_eq!(matmul.variants[choose(matmul, 19, 4, [4096, 4096], 1, false).variant].name, "64x32 tt", "as asked");
    }

    #[test]
    fn the_shape_chooses_among_matrices_of_the_side() {
        let shader = &matmul_coop::SHADER;
        let name = |asked, sizes| shader.variants[choose(shader, asked, 4, sizes, 1, false).variant].name;
        assert_eq!(name(1, [4096, 4096]), "16 256x128 nt");
        assert_eq!(name(40, [4096, 4096]), "8 128x64 nn");
        assert_eq!(shader.variants[choose(shader, 0, 4, [4096, 4096], 1, true).variant].name, "16 128x128 twice nn");
        assert_eq!(name(0, [2048, 2048]), "16 128x128 nn", "128 groups of 256 rows do not fill a GPU");
        assert_eq!(name(0, [1024, 1024]), "16 64x64 nn");
        assert_eq!(name(0, [1 << 15, 160]), "16 128x64 nn", "128 columns would compute a third in vain");
        assert_eq!(name(0, [1 << 15, 64]), "16 128x64 nn");
        assert_eq!(name(0, [1 << 14, 64]), "16 64x64 nn");
        assert_eq!(name(0, [1 << 17, 32]), "16 128x32 nn");
        assert_eq!(name(40, [1 << 17, 32]), "8 64x32 nn");
        assert_eq!(name(0, [1 << 17, 10]), "16 128x16 nn");
        assert_eq!(name(40, [100, 10]), "8 32x16 nn", "tiles of 8 columns would do the rows twice");
        assert_eq!(name(12, [1 << 17, 16]), "16 128x64 nn", "as asked");
    }
}
