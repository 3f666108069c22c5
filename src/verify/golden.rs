//! The format of golden files: one safetensors file, `kind`, `config` and `rtol` in its metadata, `in.*` inputs and
//! `out.*` answers, images NCHW and weights as PyTorch has them.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};

use super::Answer;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};
use crate::nn::TorchTensor;

/// The largest size or number that a golden file may name.
const MOST: u64 = 1 << 14;

/// A tensor of a golden file, widened to float64.
#[derive(Clone, Debug)]
pub struct Values {
    /// Sizes as PyTorch has them.
    pub sizes: Vec<usize>,
    /// Row-major.
    pub values: Vec<f64>,
    /// Whole numbers, which must be met exactly.
    pub integer: bool,
}

impl Values {
    /// As float32.
    pub fn f32(&self) -> Vec<f32> {
        self.values.iter().map(|&v| v as f32).collect()
    }

    /// As labels.
    pub fn u32(&self) -> Vec<u32> {
        self.values.iter().map(|&v| v as u32).collect()
    }
}

/// A golden file in memory.
#[derive(Clone, Debug)]
pub struct Golden {
    /// What the file holds.
    pub kind: String,
    /// Bound on the relative error of every answer.
    pub rtol: f64,
    config: serde_json::Value,
    tensors: BTreeMap<String, Values>,
    path: String,
}

impl Golden {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no safetensors file, or lacks `kind`, `config` or `rtol`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io("reading", path, e))?;
        let bad = |what: String| Error::Data(format!("{}: {what}", path.display()));
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|e| bad(format!("not a safetensors file: {e}")))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(format!("not a safetensors file: {e}")))?;
        let meta = header.metadata().clone().unwrap_or_default();
        let field = |name: &str| meta.get(name).cloned().ok_or_else(|| bad(format!("metadata `{name}` is missing")));
        let config = serde_json::from_str(&field("config")?).map_err(|e| bad(format!("metadata `config`: {e}")))?;
        let rtol = field("rtol")?.parse().map_err(|e| bad(format!("metadata `rtol`: {e}")))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = view.data();
            let values: Vec<f64> = match view.dtype() {
                Dtype::F32 => {
                    data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
                }
                Dtype::I32 => {
                    data.chunks_exact(4).map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
                }
                Dtype::F64 => data
                    .chunks_exact(8)
                    .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                    .collect(),
                other => return Err(bad(format!("`{name}` is {other:?}; golden files hold F32, F64 and I32"))),
            };
            let integer = view.dtype() == Dtype::I32;
            tensors.insert(name, Values { sizes: view.shape().to_vec(), values, integer });
        }
        Ok(Self { kind: field("kind")?, rtol, config, tensors, path: path.display().to_string() })
    }

    #[cfg(test)]
    pub(super) fn empty(kind: &str, rtol: f64) -> Self {
        Self { kind: kind.into(), rtol, config: serde_json::json!({}), tensors: BTreeMap::new(), path: "test".into() }
    }

    #[cfg(test)]
    pub(super) fn insert(&mut self, name: &str, sizes: &[usize], values: Vec<f64>) {
        self.tensors.insert(name.into(), Values { sizes: sizes.to_vec(), values, integer: false });
    }

    #[cfg(test)]
    pub(super) fn insert_integers(&mut self, name: &str, sizes: &[usize], values: Vec<f64>) {
        self.tensors.insert(name.into(), Values { sizes: sizes.to_vec(), values, integer: true });
    }

    fn bad(&self, what: &str) -> Error {
        Error::Data(format!("{}: {what}", self.path))
    }

    fn find(&self, name: &str) -> Result<&Values> {
        self.tensors.get(name).ok_or_else(|| self.bad(&format!("tensor `{name}` is missing")))
    }

    /// `in.NAME`.
    ///
    /// # Errors
    /// When it is missing.
    pub fn input(&self, name: &str) -> Result<&Values> {
        self.find(&format!("in.{name}"))
    }

    /// `out.NAME`.
    ///
    /// # Errors
    /// When it is missing.
    pub fn output(&self, name: &str) -> Result<&Values> {
        self.find(&format!("out.{name}"))
    }

    /// Names of all answers, without `out.`.
    pub fn expected(&self) -> Vec<String> {
        self.tensors.keys().filter_map(|n| n.strip_prefix("out.")).map(str::to_owned).collect()
    }

    /// The same with every input that is no whole number off by at most `share` of itself, by chance.
    pub fn nudged(&self, seed: u64, share: f64) -> Self {
        let mut nudged = self.clone();
        let mut random = Sequence::new(seed, Stream::Test, 0);
        for (name, values) in &mut nudged.tensors {
            if values.integer || !name.starts_with("in.") {
                continue;
            }
            for value in &mut values.values {
                *value *= 1.0 + (2.0 * f64::from(random.unit()) - 1.0) * share;
            }
        }
        nudged
    }

    /// The same with other answers expected, of the same sizes.
    pub fn with_answers(&self, answers: &[Answer]) -> Self {
        let mut changed = self.clone();
        for (name, values) in answers {
            if let Some(expected) = changed.tensors.get_mut(&format!("out.{name}")) {
                expected.values = values.iter().map(|&v| f64::from(v)).collect();
            }
        }
        changed
    }

    /// All inputs under `in.PREFIX`, as PyTorch tensors named without it.
    pub fn torch(&self, prefix: &str) -> std::collections::HashMap<String, TorchTensor> {
        let prefix = format!("in.{prefix}");
        let matching = self.tensors.iter().filter_map(|(n, v)| n.strip_prefix(&prefix).map(|n| (n.to_owned(), v)));
        matching
            .map(|(name, v)| (name.clone(), TorchTensor { name, sizes: v.sizes.clone(), values: v.f32() }))
            .collect()
    }

    /// A whole-number setting, at least 1; what would not fit any device is refused here, where products still fit.
    ///
    /// # Errors
    /// When it is missing or no such number.
    pub fn count(&self, name: &str) -> Result<usize> {
        let value = self.config.get(name).and_then(serde_json::Value::as_u64).filter(|v| (1..=MOST).contains(v));
        value
            .map(|v| v as usize)
            .ok_or_else(|| self.bad(&format!("config `{name}` is no whole number from 1 to {MOST}")))
    }

    /// A list of whole numbers, each at least 1.
    ///
    /// # Errors
    /// When it is missing or no such list.
    pub fn counts(&self, name: &str) -> Result<Vec<usize>> {
        let list = self.config.get(name).and_then(serde_json::Value::as_array);
        list.and_then(|l| {
            l.iter()
                .map(|v| v.as_u64().filter(|v| (1..=MOST).contains(v)).map(|v| v as usize))
                .collect::<Option<Vec<_>>>()
        })
        .filter(|l| !l.is_empty())
        .ok_or_else(|| self.bad(&format!("config `{name}` is no list of whole numbers from 1 to {MOST}")))
    }

    /// A number.
    ///
    /// # Errors
    /// When it is missing or no number.
    pub fn number(&self, name: &str) -> Result<f64> {
        let value = self.config.get(name).and_then(serde_json::Value::as_f64);
        value.ok_or_else(|| self.bad(&format!("config `{name}` is no number")))
    }

    /// A text.
    ///
    /// # Errors
    /// When it is missing or no text.
    pub fn text(&self, name: &str) -> Result<&str> {
        let value = self.config.get(name).and_then(serde_json::Value::as_str);
        value.ok_or_else(|| self.bad(&format!("config `{name}` is no text")))
    }

    /// A nested object, read into a type.
    ///
    /// # Errors
    /// When it is missing or does not fit.
    pub fn object<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = self.config.get(name).cloned().unwrap_or_default();
        serde_json::from_value(value).map_err(|e| self.bad(&format!("config `{name}`: {e}")))
    }
}

/// `(N, C, H, W)` → `(N, H, W, C)`; the outer sizes are taken together.
pub fn nchw_to_nhwc(values: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let area = height * width;
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * area) {
        for p in 0..area {
            out.extend((0..channels).map(|c| image[c * area + p]));
        }
    }
    out
}

/// The inverse of [`nchw_to_nhwc`].
pub fn nhwc_to_nchw(values: &[f32], [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let area = height * width;
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * area) {
        for c in 0..channels {
            out.extend((0..area).map(|p| image[p * channels + c]));
        }
    }
    out
}
