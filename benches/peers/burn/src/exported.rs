//! Files that `relabel bench export` wrote: what a training step starts from, its batches, and the losses that relabel had.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};

/// Sizes and values of a tensor on the host.
#[derive(Clone, Debug)]
pub struct HostTensor {
    /// As PyTorch has them.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Vec<f32>,
}

/// The images of one step.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `(B, C, H, W)`.
    pub shape: [usize; 4],
    /// As the network sees them: mean and deviation of the channels taken out.
    pub images: Vec<f32>,
    /// `(B)`.
    pub labels: Vec<i32>,
    /// `(heads, B)`, for SeLa; else empty.
    pub assigned: Vec<i32>,
}

/// A training step.
#[derive(Clone, Debug)]
pub struct Exported {
    /// Its row's name, such as `step resnet32 sla`.
    pub name: String,
    /// As in the config.
    pub method: String,
    /// Its whole config.
    pub settings: toml::Table,
    /// Weights and running statistics under PyTorch's names.
    pub weights: BTreeMap<String, HostTensor>,
    /// One a step.
    pub batches: Vec<Batch>,
    /// relabel's, one a step.
    pub losses: Vec<f64>,
    /// By how much relabel's weights differ at the end: the root of the sum of squares.
    pub moved: f64,
}

/// The files of a folder, in the order of the names of the rows that they are for.
///
/// # Errors
/// When the folder cannot be read.
pub fn files(folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let told = |e| format!("{}: {e}", folder.display());
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(told)? {
        let path = entry.map_err(told)?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if let (Some((network, method)), true) =
            (stem.split_once('-'), path.extension().is_some_and(|e| e == "safetensors"))
        {
            found.insert(format!("step {network} {method}"), path);
        }
    }
    Ok(found)
}

impl Exported {
    /// The step called `name`, from its file.
    ///
    /// # Errors
    /// When the file cannot be read or is not such a one.
    pub fn read(name: &str, path: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(name, &bytes).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let meta = |key: &str| {
            let value = header.metadata().as_ref().and_then(|m| m.get(key));
            value.ok_or_else(|| format!("its header has no `{key}`"))
        };
        let settings: toml::Table = meta("relabel.config")?.parse().map_err(|e| format!("relabel.config: {e}"))?;
        let numbers = |key: &str| -> Result<Vec<f32>, String> {
            meta(key)?.split(',').map(|v| v.trim().parse().map_err(|e| format!("{key}: {e}"))).collect()
        };
        let [mean, deviation] = [numbers("extra.mean")?, numbers("extra.std")?];

        let mut weights = BTreeMap::new();
        for (name, tensor) in file.iter().filter(|(name, tensor)| tensor.dtype() == Dtype::F32 && !beside(name)) {
            weights
                .insert(name.to_owned(), HostTensor { shape: tensor.shape().to_vec(), values: floats(tensor.data()) });
        }
        let bytes_of = |name: &str, dtype: Dtype| {
            let tensor = file.tensor(name).map_err(|e| format!("{name}: {e}"))?;
            let right = tensor.dtype() == dtype;
            right.then(|| (tensor.shape().to_vec(), tensor.data())).ok_or_else(|| format!("{name} is not {dtype:?}"))
        };
        let numbers = |name: &str| Ok::<_, String>(floats(bytes_of(name, Dtype::F32)?.1).into_iter().map(f64::from));
        let losses: Vec<f64> = numbers("losses")?.collect();

        let (shape, pixels) = bytes_of("batch.images", Dtype::U8)?;
        let &[steps, images, height, width, channels] = &shape[..] else {
            return Err(format!("batch.images has shape {shape:?}, not (S, B, H, W, C)"));
        };
        if [mean.len(), deviation.len()] != [channels; 2] || losses.len() != steps || pixels.is_empty() {
            return Err(format!("{channels} channels in {steps} steps fit neither mean and std nor the losses"));
        }
        let labels = integers(bytes_of("batch.labels", Dtype::I64)?.1);
        let assigned = match file.tensor("batch.assigned") {
            Ok(tensor) => integers(tensor.data()),
            Err(_) => Vec::new(),
        };
        let shape = [images, channels, height, width];
        let batches = pixels.chunks_exact(pixels.len() / steps).enumerate().map(|(step, pixels)| {
            let part = |values: &[i32]| values[values.len() / steps * step..][..values.len() / steps].to_vec();
            let images = planes(pixels, shape, &mean, &deviation);
            Batch { shape, images, labels: part(&labels), assigned: part(&assigned) }
        });
        Ok(Self {
            name: name.into(),
            method: settings.get("method").and_then(toml::Value::as_str).unwrap_or_default().into(),
            batches: batches.collect(),
            settings,
            weights,
            losses,
            moved: numbers("moved")?.next().ok_or("`moved` is empty")?,
        })
    }

    /// A value of the config, such as `("optimizer", "lr")`.
    ///
    /// # Errors
    /// When it is not there.
    pub fn setting(&self, section: &str, key: &str) -> Result<&toml::Value, String> {
        let value = self.settings.get(section).and_then(|section| section.get(key));
        value.ok_or_else(|| format!("the config has no {section}.{key}"))
    }

    /// A number of the config.
    ///
    /// # Errors
    /// When it is not there or is no number.
    pub fn number(&self, section: &str, key: &str) -> Result<f64, String> {
        let value = self.setting(section, key)?;
        let number = value.as_float().or_else(|| value.as_integer().map(|v| v as f64));
        number.ok_or_else(|| format!("{section}.{key} is no number"))
    }
}

/// Whether a tensor is none of the network's.
fn beside(name: &str) -> bool {
    ["labels.", "batch.", "meta."].iter().any(|part| name.starts_with(part)) || ["losses", "moved"].contains(&name)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn integers(bytes: &[u8]) -> Vec<i32> {
    bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as i32).collect()
}

/// Pixels `(B, H, W, C)` as `(B, C, H, W)` of floats in `shape`.
fn planes(pixels: &[u8], shape: [usize; 4], mean: &[f32], deviation: &[f32]) -> Vec<f32> {
    let [images, channels, height, width] = shape;
    let mut planes = Vec::with_capacity(pixels.len());
    for image in 0..images {
        for channel in 0..channels {
            let from = image * height * width * channels + channel;
            let plane = pixels[from..].iter().step_by(channels).take(height * width);
            planes.extend(plane.map(|&p| (f32::from(p) / 255.0 - mean[channel]) / deviation[channel]));
        }
    }
    planes
}
