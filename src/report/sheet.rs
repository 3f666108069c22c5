//! Contact sheets: many small images in one PNG.

use std::path::Path;

use image::{ColorType, ImageFormat, save_buffer_with_format};

use crate::base::{Error, Result};

/// Pixels between the tiles.
const GAP: usize = 2;
/// Small images are enlarged by a whole number to at least about this side.
const SIDE: usize = 64;

/// Writes images of one size side by side, `columns` a row, on white. `tiles` is `[count, H, W, C]`, C 1 or 3. Small
/// images are enlarged by repeating their pixels.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written, [`Error::Shape`] when `tiles` is not a list of images.
pub fn write_sheet(path: &Path, tiles: &[u8], size: [usize; 3], columns: usize) -> Result<()> {
    let [height, width, channels] = size;
    let one = height * width * channels;
    if one == 0 || columns == 0 || tiles.is_empty() || !tiles.len().is_multiple_of(one) || ![1, 3].contains(&channels) {
        return Err(Error::Shape(format!("{} bytes are no list of images of {size:?}", tiles.len())));
    }
    let scale = SIDE.div_ceil(height.max(width));
    let count = tiles.len() / one;
    let rows = count.div_ceil(columns);
    let (sheet_height, sheet_width) = (rows * (height * scale + GAP) + GAP, columns * (width * scale + GAP) + GAP);
    let mut sheet = vec![255u8; sheet_height * sheet_width * channels];
    for (i, tile) in tiles.chunks_exact(one).enumerate() {
        let top = i / columns * (height * scale + GAP) + GAP;
        let left = i % columns * (width * scale + GAP) + GAP;
        for y in 0..height * scale {
            for x in 0..width * scale {
                let from = (y / scale * width + x / scale) * channels;
                let to = ((top + y) * sheet_width + left + x) * channels;
                sheet[to..to + channels].copy_from_slice(&tile[from..from + channels]);
            }
        }
    }
    let colour = if channels == 1 { ColorType::L8 } else { ColorType::Rgb8 };
    let (w, h) = (sheet_width as u32, sheet_height as u32);
    save_buffer_with_format(path, &sheet, w, h, colour, ImageFormat::Png).map_err(|e| match e {
        image::ImageError::IoError(e) => Error::io("cannot write the sheet", path, e),
        other => Error::io("cannot write the sheet", path, std::io::Error::other(other)),
    })
}
