//! Inputs as textures: where a storage load loops over the lanes (software adapters), a texel of a texture costs a fraction of it.
//!
//! Textures are filled by copies between the dispatches. Which copies a program needs and when is worked out once, from which
//! tensors its dispatches read and write: a copy stands after the last write of its tensor, together with others.

use std::collections::HashMap;

use super::elements::arrays;
use super::{Access, Dispatch, Tensor};
use crate::base::DType;

/// Texels in a row of a texture: element `i` of a tensor is the texel of column `i % WIDTH` and row `i / WIDTH`.
pub const WIDTH: u32 = 4096;

/// The number of the binding of the texture that the tensor at place 0 is read from where it is written as a buffer
/// ([`Access::Update`]); the others follow.
pub const UPDATED: u32 = 32;

/// Bytes of the largest tensor that is copied: larger ones are not worth twice their memory.
pub const MOST: u64 = 64 << 20;

/// Bytes of a dispatch's tensors from which on copies are worth their time, about 20 µs each.
pub const LEAST: u64 = 128 << 10;

/// Operations a byte of a dispatch's tensors from which on copies are worth their time where storage loads are no loop.
pub const REUSE: u64 = 8;

/// How a texture holds an array of such elements: as a storage texture that is only read. Sampled ones are looked up at a level of
/// detail for each lane, which takes three times as long.
pub(super) fn format(element: &str, half: bool) -> Option<wgpu::TextureFormat> {
    match (element, half) {
        ("vec4<f32>", false) => Some(wgpu::TextureFormat::Rgba32Float),
        ("vec4<f32>", true) => Some(wgpu::TextureFormat::Rgba16Float),
        ("f32", false) => Some(wgpu::TextureFormat::R32Float),
        ("vec4<u32>", false) => Some(wgpu::TextureFormat::Rgba32Uint),
        _ => None,
    }
}

/// How textures hold the tensors of a dispatch, those that they can hold; at most `most`, and whole numbers from `least` bytes on:
/// fewer are draws and the like, which a group reads once.
pub(super) fn formats(dispatch: &Dispatch, most: usize, least: u64) -> Vec<Option<wgpu::TextureFormat>> {
    let declared = arrays(dispatch.shader.source);
    let formats = dispatch.shader.bindings.iter().zip(&dispatch.tensors).map(|(binding, tensor)| {
        let half = tensor.dtype == DType::F16;
        let read = binding.access == Access::Read || (binding.access == Access::Update && !half);
        // What gathers a few rows reads less than a copy would; costs may leave out pads, three of four values at most.
        let most_is_read = tensor.bytes() / 4 <= dispatch.cost.bytes;
        let worth = most_is_read && (tensor.dtype != DType::U32 || tensor.bytes() >= least);
        let fits = read && worth && tensor.bytes() <= MOST;
        let array = declared.iter().find(|array| fits && array.name == binding.name)?;
        format(&array.element, half)
    });
    let mut left = most;
    let within = |format: Option<wgpu::TextureFormat>| format.filter(|_| left > 0).inspect(|_| left -= 1);
    formats.map(within).collect()
}

/// Bytes of a texture's values.
pub(super) fn bytes(texture: &wgpu::Texture) -> u64 {
    bytes_of(texture.format(), texture.height())
}

/// Bytes of the values of a texture of so many rows.
pub(super) fn bytes_of(format: wgpu::TextureFormat, rows: u32) -> u64 {
    let texel = format.block_copy_size(None).expect("one plane");
    u64::from(WIDTH) * u64::from(rows) * u64::from(texel)
}

/// Where a tensor's values lie, and how a texture holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    buffer: wgpu::Buffer,
    offset: u64,
    bytes: u64,
    /// Of the texture.
    pub format: wgpu::TextureFormat,
}

impl Source {
    fn new(tensor: &Tensor, format: wgpu::TextureFormat) -> Self {
        Self { buffer: tensor.buffer.clone(), offset: tensor.offset, bytes: tensor.bytes(), format }
    }

    fn overlaps(&self, tensor: &Tensor) -> bool {
        let (end, other_end) = (self.offset + self.bytes, tensor.offset + tensor.bytes());
        self.buffer == tensor.buffer && self.offset < other_end && tensor.offset < end
    }

    fn texels(&self) -> u64 {
        self.bytes / u64::from(self.format.block_copy_size(None).expect("one plane"))
    }

    /// Rows of a texture that hold it.
    pub fn rows(&self) -> u32 {
        self.texels().div_ceil(u64::from(WIDTH)) as u32
    }

    /// Records the copy: whole rows, then what is left of the last.
    pub fn copy(&self, encoder: &mut wgpu::CommandEncoder, texture: &wgpu::Texture) {
        let size = self.format.block_copy_size(None).expect("one plane");
        let (whole, rest) = ((self.texels() / u64::from(WIDTH)) as u32, (self.texels() % u64::from(WIDTH)) as u32);
        for (row, width, height) in [(0, WIDTH, whole), (whole, rest, 1)] {
            if width * height == 0 {
                continue;
            }
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo {
                    buffer: &self.buffer,
                    layout: wgpu::TexelCopyBufferLayout {
                        offset: self.offset + u64::from(row) * u64::from(WIDTH * size),
                        bytes_per_row: (height > 1).then_some(WIDTH * size),
                        rows_per_image: None,
                    },
                },
                wgpu::TexelCopyTextureInfo {
                    texture,
                    mip_level: 0,
                    origin: wgpu::Origin3d { x: 0, y: row, z: 0 },
                    aspect: wgpu::TextureAspect::All,
                },
                wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            );
        }
    }
}

/// A copy of a tensor into a texture.
#[derive(Clone, Debug)]
pub(super) struct Copy {
    /// What is copied.
    pub source: Source,
    /// Before which dispatch.
    pub at: usize,
    /// The last dispatch that reads it.
    pub last: usize,
    /// Index into [`Plan::slots`].
    pub slot: usize,
}

/// The textures of a program, and when they are filled.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// In order of `at`.
    pub copies: Vec<Copy>,
    /// Format and rows of each texture.
    pub slots: Vec<(wgpu::TextureFormat, u32)>,
    /// The copy that a dispatch reads at a place among its bindings.
    pub read: HashMap<(usize, usize), usize>,
}

impl Plan {
    /// `formats`: how textures hold the tensors of each dispatch.
    pub fn new(dispatches: &[Dispatch], formats: &[Vec<Option<wgpu::TextureFormat>>]) -> Self {
        let mut plan = Self::default();
        let mut current: Vec<(Source, usize)> = Vec::new();
        // Each tensor's last write as far as it is known: the first dispatch that may read it.
        let mut written: Vec<(&Tensor, usize)> = Vec::new();
        let mut stop = 0; // The last dispatch before which anything is copied.
        for (i, (d, formats)) in dispatches.iter().zip(formats).enumerate() {
            for (place, (tensor, format)) in d.tensors.iter().zip(formats).enumerate() {
                let &Some(format) = format else { continue };
                let source = Source::new(tensor, format);
                let known = current.iter().find(|(of, _)| *of == source).map(|(_, copy)| *copy);
                let copy = known.unwrap_or_else(|| {
                    current.push((source.clone(), plan.copies.len()));
                    let ready = written.iter().filter(|(t, _)| source.overlaps(t)).map(|(_, i)| *i).max().unwrap_or(0);
                    // As late as it can be, but with an earlier one where that is not too early.
                    if ready > stop || plan.copies.is_empty() {
                        stop = i;
                    }
                    plan.copies.push(Copy { source, at: stop, last: i, slot: 0 });
                    plan.copies.len() - 1
                });
                plan.copies[copy].last = i;
                plan.read.insert((i, place), copy);
            }
            for (binding, tensor) in d.shader.bindings.iter().zip(&d.tensors) {
                if matches!(binding.access, Access::Write | Access::ReadWrite | Access::Update) {
                    current.retain(|(source, _)| !source.overlaps(tensor));
                    written.push((tensor, i + 1));
                }
            }
        }
        plan.place();
        plan
    }

    /// The copies that stand before a dispatch; all that it and later ones need, where it is the `first` that is played.
    pub fn copies_before(&self, at: usize, first: bool) -> Vec<&Copy> {
        let due = self.copies.partition_point(|copy| copy.at < at);
        let earlier = self.copies[..due].iter().filter(|copy| first && copy.last >= at);
        earlier.chain(self.copies[due..].iter().take_while(|copy| copy.at == at)).collect()
    }

    /// Gives each copy a texture that no other needs meanwhile: the smallest that fits, or a new one.
    fn place(&mut self) {
        let mut free_from: Vec<usize> = Vec::new();
        for copy in &mut self.copies {
            let (format, rows) = (copy.source.format, copy.source.rows());
            let fits = |slot: &usize| {
                let (of, room) = self.slots[*slot];
                of == format && room >= rows && room <= 2 * rows && free_from[*slot] <= copy.at
            };
            let found = (0..self.slots.len()).filter(fits).min_by_key(|slot| self.slots[*slot].1);
            copy.slot = found.unwrap_or_else(|| {
                self.slots.push((format, rows));
                free_from.push(0);
                self.slots.len() - 1
            });
            free_from[copy.slot] = copy.last + 1;
        }
    }
}
