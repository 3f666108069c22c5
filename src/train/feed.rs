//! Batches on the device: the dataset as bytes when it fits, else each batch's bytes as it comes.

use std::sync::Arc;

use super::IGNORED;
use super::config::Resident;
use super::images::Decode;
use crate::base::{DType, Error, Result, Shape};
use crate::data::{Draw, ImageSet, gather_pixels};
use crate::gpu::{Engine, Tensor};
use crate::graph::{Graph, NodeId};

/// The input tensors of a graph, and the dataset behind them.
#[derive(Debug)]
pub struct Feed {
    set: Arc<ImageSet>,
    resident: bool,
    rows: usize,
    bytes: Tensor,
    draws: Tensor,
    labels: Tensor,
}

/// The leaves of a fed graph.
#[derive(Clone, Copy, Debug)]
pub struct FedLeaves {
    bytes: NodeId,
    /// `(B, 4)`: place in the bound bytes, index of the image, epoch, 0.
    pub draws: NodeId,
    /// `(B)`.
    pub labels: NodeId,
    /// Normalised images `(B, H, W, C)`.
    pub images: NodeId,
}

impl Feed {
    /// Uploads the dataset when it shall and can live on the device. `rows` is the batch of one submission.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn new(engine: &Engine, set: Arc<ImageSet>, rows: usize, residency: Resident) -> Result<Self> {
        let limits = engine.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let fits =
            set.pixels.len() as u64 <= most && engine.memory_left().is_none_or(|m| set.pixels.len() as u64 * 2 <= m);
        if residency == Resident::Device && !fits {
            return Err(Error::Memory(format!(
                "data.resident = \"device\": the images take {} bytes, one binding of {} holds {most}; use \"auto\" or \
                 \"stream\"",
                set.pixels.len(),
                engine.describe()
            )));
        }
        let resident = fits && residency != Resident::Stream;
        let held = if resident { set.pixels.len() } else { rows * set.image_bytes() };
        let bytes = engine.tensor("dataset bytes", Shape::new(&[held.div_ceil(4)]), DType::U32)?;
        if resident {
            write_bytes(engine, &bytes, &set.pixels);
        }
        Ok(Self {
            resident,
            rows,
            bytes,
            draws: engine.tensor("draws", Shape::new(&[rows, 4]), DType::U32)?,
            labels: engine.tensor("labels", Shape::new(&[rows]), DType::U32)?,
            set,
        })
    }

    /// Another feed of `rows` images at once; pixels on the device are shared.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn with_rows(&self, engine: &Engine, rows: usize) -> Result<Self> {
        let words = (rows * self.set.image_bytes()).div_ceil(4);
        Ok(Self {
            set: Arc::clone(&self.set),
            resident: self.resident,
            rows,
            bytes: match self.resident {
                true => self.bytes.clone(),
                false => engine.tensor("dataset bytes", Shape::new(&[words]), DType::U32)?,
            },
            draws: engine.tensor("draws", Shape::new(&[rows, 4]), DType::U32)?,
            labels: engine.tensor("labels", Shape::new(&[rows]), DType::U32)?,
        })
    }

    /// Whether the pixels live on the device.
    pub fn resident(&self) -> bool {
        self.resident
    }

    /// Images at once.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The images behind the feed.
    pub fn set(&self) -> &Arc<ImageSet> {
        &self.set
    }

    /// Appends the input leaves and the decoding to a graph.
    ///
    /// # Errors
    /// When the settings do not fit the images.
    pub fn leaves(&self, graph: &mut Graph, settings: Decode) -> Result<FedLeaves> {
        let bytes = graph.input("dataset bytes", self.bytes.shape.sizes(), DType::U32);
        let draws = graph.input("draws", &[self.rows, 4], DType::U32);
        let labels = graph.input("labels", &[self.rows], DType::U32);
        let images = settings.append(graph, bytes, draws)?;
        Ok(FedLeaves { bytes, draws, labels, images })
    }

    /// The tensors of those leaves, for an executor.
    pub fn place(&self, leaves: &FedLeaves, placed: &mut std::collections::HashMap<NodeId, Tensor>) {
        placed.insert(leaves.bytes, self.bytes.clone());
        placed.insert(leaves.draws, self.draws.clone());
        placed.insert(leaves.labels, self.labels.clone());
    }

    /// Writes one batch; fewer draws than rows leave rows that do not count. `pixels` are the gathered bytes of a
    /// streamed batch; they are gathered here when absent.
    pub fn write(&self, engine: &Engine, draws: &[Draw], pixels: Option<&[u8]>) {
        self.write_counted(engine, draws, draws.len(), pixels);
    }

    /// As [`Feed::write`]; of the draws, only the first `counted` have labels.
    pub fn write_counted(&self, engine: &Engine, draws: &[Draw], counted: usize, pixels: Option<&[u8]>) {
        assert!(!draws.is_empty() && draws.len() <= self.rows, "{} draws for {} rows", draws.len(), self.rows);
        let mut words = Vec::with_capacity(self.rows * 4);
        let mut labels = Vec::with_capacity(self.rows);
        for row in 0..self.rows {
            // A row past the end shows the batch's first image and counts for nothing.
            let draw = draws[if row < draws.len() { row } else { 0 }];
            let position = if self.resident {
                draw.index
            } else if row < draws.len() {
                row as u32
            } else {
                0
            };
            words.extend([position, draw.index, draw.epoch, 0]);
            labels.push(if row < counted.min(draws.len()) { self.set.labels[draw.index as usize] } else { IGNORED });
        }
        if !self.resident {
            match pixels {
                Some(pixels) => write_bytes(engine, &self.bytes, pixels),
                None => write_bytes(engine, &self.bytes, &gather_pixels(&self.set, draws)),
            }
        }
        engine.write_words(&self.draws, &words);
        engine.write(&self.labels, &labels);
    }
}

/// Packs bytes into words; the device writes whole words, so the last one is filled up with zeros.
fn write_bytes(engine: &Engine, tensor: &Tensor, bytes: &[u8]) {
    let whole = bytes.len() / 4 * 4;
    if whole == bytes.len() {
        engine.write_words(tensor, bytes);
    } else {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().next_multiple_of(4), 0);
        engine.write_words(tensor, &padded);
    }
}
