//! Tiles of the products' forms for GPUs: their sizes, and which one suits a shape.

use crate::gpu::Variant;

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

/// A tile's rows and columns.
pub fn size(tile: usize) -> [usize; 2] {
    ["ROWS", "COLUMNS"].map(|name| VARIANTS[tile].constant(name) as usize)
}

/// The tile for `sums` matrices of rows by columns: `asked`, or where that is 0 the one that suits the shape. As few
/// columns as hold all, since columns past the last are lanes in vain; 128 rows, which share each loaded column among
/// more sums, where these fill a GPU and leave no more rows idle than 64 do.
pub fn choose(asked: usize, [rows, columns]: [usize; 2], sums: usize) -> usize {
    if asked > 0 {
        return asked;
    }
    let narrow = match columns {
        0..=16 => 5,
        17..=32 => 3,
        _ => 1,
    };
    let groups = |tile: usize| rows.div_ceil(size(tile)[0]) * columns.div_ceil(size(tile)[1]) * sums;
    let idle = 2 * rows.div_ceil(128) > rows.div_ceil(64);
    if groups(narrow) < ENOUGH || idle { narrow + 1 } else { narrow }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fit_their_lanes_and_memory() {
        for tile in 0..VARIANTS.len() {
            let [rows, columns] = size(tile);
            let name = VARIANTS[tile].name;
            let lanes = VARIANTS[tile].constant("LANES") as usize;
            let wide = VARIANTS[tile].constant("WIDE") as usize;
            assert_eq!(lanes, rows / 8 * columns / (4 + 4 * wide), "{name}");
            assert!(lanes <= 256 && lanes >= columns && 2 * lanes >= rows, "{name}: the loads of a round");
            assert!(16 * 16 * (rows / 4 + 2 + columns / 4 + 2) <= 16 << 10, "{name}: workgroup memory");
            assert!(tile == 0 || name == format!("{rows}x{columns}"), "{name}");
        }
    }

    /// The layers of ResNet-32 at 512 rows: forward, and by the weights with the parts that the kernel makes.
    #[test]
    fn the_shape_chooses_among_tiles() {
        let name = |sizes, sums| VARIANTS[choose(0, sizes, sums)].name;
        assert_eq!(name([512 * 32 * 32, 16], 1), "128x16");
        assert_eq!(name([512 * 16 * 16, 32], 1), "128x32");
        assert_eq!(name([512 * 8 * 8, 64], 1), "64x64", "256 groups of 128 rows do not fill a GPU");
        assert_eq!(name([9 * 16, 16], 1024), "64x16", "two groups of 128 rows would be half idle");
        assert_eq!(name([9 * 64, 64], 64), "64x64");
        assert_eq!(name([4096, 4096], 1), "128x64");
        assert_eq!(VARIANTS[choose(4, [4096, 4096], 1)].name, "64x32", "a tile that is asked for is taken");
    }
}
