//! Decoding image files in parallel, each cropped and resized once.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use image::imageops::FilterType;
use image::{DynamicImage, ImageFormat, ImageReader};
use rayon::prelude::*;

use super::load::MOST_SIDE;
use super::set::Skipped;
use crate::base::{Error, Result};

/// What a decoder's answer becomes: the reason why an image cannot be used.
type Decoded<T> = std::result::Result<T, String>;

/// Images without labels, all of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    /// H, in pixels.
    pub height: usize,
    /// W, in pixels.
    pub width: usize,
    /// C: 1 or 3.
    pub channels: usize,
    /// `[count, H, W, C]`, 0 to 255.
    pub pixels: Vec<u8>,
    /// The file of each image.
    pub files: Vec<PathBuf>,
    /// Images that could not be decoded and were left out.
    pub skipped: Vec<Skipped>,
    /// Number of files of other types in the folders.
    pub ignored: usize,
}

/// Loads image files, and the images in folders (to any depth, in the order of their names), for prediction.
///
/// `size` is (H, W) and `channels` 1 or 3, as the model wants them: each image's central part of that aspect, resized.
///
/// # Errors
/// [`Error::Data`] for a path that does not exist, a folder without images, no image at all, and an image that cannot
/// be decoded (named) unless `skip_bad`; [`Error::Config`] for a size or channels out of range.
pub fn load_images(paths: &[PathBuf], size: (usize, usize), channels: usize, skip_bad: bool) -> Result<Images> {
    let sides = 1..=MOST_SIDE;
    if !sides.contains(&size.0) || !sides.contains(&size.1) || (channels != 1 && channels != 3) {
        return Err(Error::Config(format!(
            "images of {}x{}x{channels}: sides must be 1 to {MOST_SIDE} pixels and channels 1 or 3",
            size.0, size.1,
        )));
    }
    let (mut files, mut ignored) = (Vec::new(), 0);
    for path in paths {
        if path.is_dir() {
            let found = walk(path)?;
            if found.images.is_empty() {
                return Err(Error::Data(format!("{} holds no .png, .jpg, .jpeg or .webp file", path.display())));
            }
            files.extend(found.images);
            ignored += found.others;
        } else if path.exists() {
            files.push(path.clone());
        } else {
            return Err(Error::Data(format!("{} does not exist", path.display())));
        }
    }
    let mut batch = decode_all(&files, size, Some(channels), skip_bad)?;
    if batch.kept.is_empty() {
        return Err(Error::Data(format!("no image could be decoded ({} skipped)", batch.skipped.len())));
    }
    let files = batch.kept.iter().map(|&i| std::mem::take(&mut files[i])).collect();
    let pixels = std::mem::take(&mut batch.pixels);
    Ok(Images { height: size.0, width: size.1, channels, pixels, files, skipped: batch.skipped, ignored })
}

/// What lies in a folder.
#[derive(Default)]
pub(super) struct Found {
    /// Image files, sorted by path.
    pub images: Vec<PathBuf>,
    /// Number of other files.
    pub others: usize,
}

/// How deep folders are followed: a link to a parent would not end.
const DEEPEST: usize = 8;

/// Whether a file counts as an image: by its ending.
pub(super) fn is_image(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg" | "webp"))
}

/// The entries of a folder, sorted by name.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || std::fs::read_dir(dir)?.map(|e| e.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = read().map_err(|e| Error::io("cannot read the folder", dir, e))?;
    paths.sort();
    Ok(paths)
}

/// All images under a folder.
pub(super) fn walk(dir: &Path) -> Result<Found> {
    fn inner(dir: &Path, depth: usize, found: &mut Found) -> Result<()> {
        for path in entries(dir)? {
            if path.is_dir() {
                if depth < DEEPEST {
                    inner(&path, depth + 1, found)?;
                }
            } else if is_image(&path) {
                found.images.push(path);
            } else {
                found.others += 1;
            }
        }
        Ok(())
    }
    let mut found = Found::default();
    inner(dir, 0, &mut found)?;
    Ok(found)
}

/// Decoded images of one size.
pub(super) struct Batch {
    /// `[kept.len(), H, W, channels]`.
    pub pixels: Vec<u8>,
    /// 1 or 3.
    pub channels: usize,
    /// Which of the given paths are there, in order.
    pub kept: Vec<usize>,
    /// The rest.
    pub skipped: Vec<Skipped>,
}

/// Decodes all `paths` to (H, W). Without `channels`, 1 when every image is grey, else 3.
pub(super) fn decode_all(
    paths: &[PathBuf],
    (height, width): (usize, usize),
    channels: Option<usize>,
    skip_bad: bool,
) -> Result<Batch> {
    let wide = channels.unwrap_or(3);
    let bytes = height * width * wide;
    let total = bytes.checked_mul(paths.len()).filter(|&t| t <= isize::MAX as usize);
    let mut pixels = Vec::new();
    total.and_then(|t| pixels.try_reserve_exact(t).ok()).ok_or_else(|| {
        Error::Memory(format!(
            "no memory for {} images of {height}x{width}x{wide} bytes; set a smaller size",
            paths.len()
        ))
    })?;
    pixels.resize(total.unwrap_or(0), 0);
    let all_grey = AtomicBool::new(true);
    let answers: Vec<Decoded<()>> = pixels
        .par_chunks_mut(bytes)
        .zip(paths)
        .map(|(out, path)| {
            let image = open(path)?;
            write_pixels(&fit(image, height, width), wide, out);
            if wide == 3 && out.as_chunks::<3>().0.iter().any(|&[r, g, b]| r != g || g != b) {
                all_grey.store(false, Ordering::Relaxed);
            }
            Ok(())
        })
        .collect();
    let (kept, skipped) = settle(paths, answers, skip_bad)?;
    for (to, &from) in kept.iter().enumerate() {
        pixels.copy_within(from * bytes..(from + 1) * bytes, to * bytes);
    }
    pixels.truncate(kept.len() * bytes);
    let channels = channels.unwrap_or(if all_grey.into_inner() { 1 } else { 3 });
    if channels < wide {
        pixels = pixels.as_chunks::<3>().0.iter().map(|rgb| rgb[0]).collect();
    }
    Ok(Batch { pixels, channels, kept, skipped })
}

/// The one size (H, W) that all images share, from their headers; images without a readable one have no say.
pub(super) fn common_size(paths: &[PathBuf]) -> Result<(usize, usize)> {
    let sizes: Vec<Option<(u32, u32)>> = paths.par_iter().map(|p| dimensions(p).ok()).collect();
    let mut first: Option<(usize, (u32, u32))> = None;
    for (i, size) in sizes.into_iter().enumerate() {
        let Some((width, height)) = size else { continue };
        match first {
            None => first = Some((i, (width, height))),
            Some((_, same)) if same == (width, height) => {}
            Some((at, (w, h))) => {
                return Err(Error::Data(format!(
                    "images differ in size: {} is {w}x{h} (width x height), {} is {width}x{height}; set `data.size` \
                     (--size for `data inspect`), the side that all are cropped and resized to",
                    paths[at].display(),
                    paths[i].display(),
                )));
            }
        }
    }
    // Where no header can be read, decoding names the images.
    Ok(first.map_or((1, 1), |(_, (w, h))| (h as usize, w as usize)))
}

/// Separates good images from bad ones; the first bad one is an error unless `skip_bad`.
fn settle(paths: &[PathBuf], answers: Vec<Decoded<()>>, skip_bad: bool) -> Result<(Vec<usize>, Vec<Skipped>)> {
    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for (i, answer) in answers.into_iter().enumerate() {
        match answer {
            Ok(()) => kept.push(i),
            Err(reason) => skipped.push(Skipped { file: paths[i].display().to_string(), reason }),
        }
    }
    match skipped.first() {
        Some(bad) if !skip_bad => Err(Error::Data(format!(
            "{} cannot be decoded: {} ({} of {} images are bad); repair or remove it, or go on without bad images by \
             --skip-bad",
            bad.file,
            bad.reason,
            skipped.len(),
            paths.len(),
        ))),
        _ => Ok((kept, skipped)),
    }
}

/// A decoder's words on one line.
fn reason(error: impl std::fmt::Display) -> String {
    error.to_string().trim().replace('\n', " ")
}

fn dimensions(path: &Path) -> Decoded<(u32, u32)> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format).map_err(reason)?;
    reader.into_dimensions().map_err(reason)
}

fn open(path: &Path) -> Decoded<DynamicImage> {
    let bytes = std::fs::read(path).map_err(reason)?;
    // The content decides, not the ending: many collections hold JPEG under .png. Default limits stop size bombs.
    let reader = ImageReader::new(Cursor::new(&bytes)).with_guessed_format().map_err(reason)?;
    let is_jpeg = reader.format() == Some(ImageFormat::Jpeg);
    let image = reader.decode().map_err(reason)?;
    // The decoder fills the missing part of a truncated JPEG with grey and says nothing.
    if is_jpeg && !jpeg_is_complete(&bytes) {
        return Err(format!("the JPEG data is truncated: {} bytes and no end marker", bytes.len()));
    }
    Ok(image)
}

/// Whether a JPEG's segments reach the end marker. Lengths are followed, so that the end of an embedded preview does
/// not count. Source: ITU-T T.81, annex B.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Within a scan, 0xFF is data when a zero follows, and 0xFF 0xD0 to 0xD7 only mark a restart.
        let marker = loop {
            match bytes.get(at..at + 2) {
                None => return false,
                Some([0xff, code @ (0x01..=0xcf | 0xd8..=0xfe)]) => break *code,
                Some(_) => at += 1,
            }
        };
        if marker == 0xd9 {
            return true;
        }
        let Some(&[high, low]) = bytes.get(at + 2..at + 4) else { return false };
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

/// The central part of the wanted aspect, resized. Cropping first gives the same picture as resizing first, without
/// the huge intermediate image of a very long one.
fn fit(image: DynamicImage, height: usize, width: usize) -> DynamicImage {
    let (w, h) = (u64::from(image.width()), u64::from(image.height()));
    let (to_w, to_h) = (width as u64, height as u64);
    if (w, h) == (to_w, to_h) {
        return image;
    }
    // The largest w' x h' inside w x h with w' : h' = to_w : to_h, to the nearest pixel.
    let (crop_w, crop_h) = if w * to_h > h * to_w {
        (((h * to_w + to_h / 2) / to_h).clamp(1, w), h)
    } else {
        (w, ((w * to_h + to_w / 2) / to_w).clamp(1, h))
    };
    let part = if (crop_w, crop_h) == (w, h) {
        image
    } else {
        image.crop_imm(((w - crop_w) / 2) as u32, ((h - crop_h) / 2) as u32, crop_w as u32, crop_h as u32)
    };
    if (crop_w, crop_h) == (to_w, to_h) {
        return part;
    }
    // Triangle widens with the scale (as PIL's BILINEAR does), so that a reduction averages instead of skipping.
    part.resize_exact(width as u32, height as u32, FilterType::Triangle)
}

/// Writes `[H, W, channels]`; an alpha channel is dropped, 16 bits become 8.
fn write_pixels(image: &DynamicImage, channels: usize, out: &mut [u8]) {
    if channels == 1 {
        out.copy_from_slice(&image.to_luma8());
    } else {
        out.copy_from_slice(&image.to_rgb8());
    }
}
