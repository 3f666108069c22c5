//! The safetensors format: eight bytes with the header's length, a JSON header, then the tensors' bytes.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};

use super::atomic::write_atomically;
use crate::base::{Error, Result};

/// Values of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
    /// Bytes.
    U8(Vec<u8>),
}

impl TensorData {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::U8(v) => v.len(),
        }
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type's name in the format.
    pub fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "F32",
            Self::F64(_) => "F64",
            Self::I32(_) => "I32",
            Self::I64(_) => "I64",
            Self::U32(_) => "U32",
            Self::U8(_) => "U8",
        }
    }

    /// Bytes of one value.
    fn width(&self) -> usize {
        match self {
            Self::F64(_) | Self::I64(_) => 8,
            Self::F32(_) | Self::I32(_) | Self::U32(_) => 4,
            Self::U8(_) => 1,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::F32(v) => put(out, v, |x| x.to_le_bytes()),
            Self::F64(v) => put(out, v, |x| x.to_le_bytes()),
            Self::I32(v) => put(out, v, |x| x.to_le_bytes()),
            Self::I64(v) => put(out, v, |x| x.to_le_bytes()),
            Self::U32(v) => put(out, v, |x| x.to_le_bytes()),
            Self::U8(v) => out.write_all(v),
        }
    }

    fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Self::F32(get(bytes, f32::from_le_bytes)),
            Dtype::F64 => Self::F64(get(bytes, f64::from_le_bytes)),
            Dtype::I32 => Self::I32(get(bytes, i32::from_le_bytes)),
            Dtype::I64 => Self::I64(get(bytes, i64::from_le_bytes)),
            Dtype::U32 => Self::U32(get(bytes, u32::from_le_bytes)),
            Dtype::U8 => Self::U8(bytes.to_vec()),
            _ => return None,
        })
    }
}

/// The format is little-endian; a few KiB at a time keeps the calls few.
fn put<T: Copy, const N: usize>(out: &mut dyn Write, values: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(4096 * N);
    for part in values.chunks(4096) {
        buffer.clear();
        part.iter().for_each(|&x| buffer.extend_from_slice(&bytes(x)));
        out.write_all(&buffer)?;
    }
    Ok(())
}

fn get<T, const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|&b| value(b)).collect()
}

/// A tensor with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name; for weights, PyTorch's.
    pub name: String,
    /// Sizes, outermost first; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the product of the sizes.
    pub data: TensorData,
}

impl NamedTensor {
    /// A tensor of 32-bit floats.
    pub fn f32(name: impl Into<String>, shape: &[usize], values: Vec<f32>) -> Self {
        Self { name: name.into(), shape: shape.to_vec(), data: TensorData::F32(values) }
    }

    /// The values as 32-bit floats.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the tensor has another shape or type; the message has both.
    pub fn as_f32(&self, shape: &[usize]) -> Result<&[f32]> {
        match &self.data {
            TensorData::F32(values) if self.shape == shape => Ok(values),
            other => Err(Error::Checkpoint(format!(
                "tensor `{}` is {} {:?}, and F32 {shape:?} is needed",
                self.name,
                other.dtype(),
                self.shape,
            ))),
        }
    }
}

/// A safetensors file in memory.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct TensorFile {
    /// The tensors, in the order of their bytes.
    pub tensors: Vec<NamedTensor>,
    /// The header's `__metadata__`.
    pub metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// The tensor of that name.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is none.
    pub fn get(&self, name: &str) -> Result<&NamedTensor> {
        find(&self.tensors, name)
    }

    /// Writes the file whole or not at all.
    ///
    /// # Errors
    /// As [`super::Checkpoint::write`].
    pub fn write(&self, path: &Path) -> Result<()> {
        write(path, &self.tensors, &self.metadata)
    }

    /// Reads a safetensors file of any origin. No size that the file claims is believed before it is checked against
    /// the file's length.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] for a file that is truncated, damaged or hostile, and for a type of values that is not
    /// known here; [`Error::Io`] when the system fails to read.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_bytes(path)?;
        Self::from_bytes(&bytes).map_err(|problem| Error::Checkpoint(format!("{}: {problem}", path.display())))
    }

    fn from_bytes(bytes: &[u8]) -> std::result::Result<Self, String> {
        let (header, info) = SafeTensors::read_metadata(bytes).map_err(|e| explain(bytes, &e))?;
        let body = &bytes[8 + header..];
        let metadata = info.metadata().clone().unwrap_or_default().into_iter().collect();
        let mut tensors = Vec::new();
        for name in info.offset_keys() {
            let Some(entry) = info.info(&name) else { return Err(format!("tensor `{name}` has no entry")) };
            let values = body.get(entry.data_offsets.0..entry.data_offsets.1);
            let values = values.ok_or_else(|| format!("tensor `{name}` lies outside the file"))?;
            let data = TensorData::from_bytes(entry.dtype, values).ok_or_else(|| {
                format!(
                    "tensor `{name}` has values of type {:?}; F32, F64, I32, I64, U32 and U8 are known",
                    entry.dtype
                )
            })?;
            tensors.push(NamedTensor { name, shape: entry.shape.clone(), data });
        }
        Ok(Self { tensors, metadata })
    }
}

/// What is wrong, with the numbers that the library's own words lack.
fn explain(bytes: &[u8], error: &safetensors::SafeTensorError) -> String {
    use safetensors::SafeTensorError as E;
    let length = bytes.len();
    let claimed = bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b));
    match error {
        E::HeaderTooSmall => format!("{length} bytes are too few for a safetensors file: truncated"),
        E::InvalidHeaderLength | E::HeaderTooLarge => {
            format!("its header claims {claimed} bytes, and the file has {length}: truncated, or no safetensors file",)
        }
        E::InvalidHeader(_) | E::InvalidHeaderDeserialization(_) => {
            format!("its header of {claimed} bytes is damaged ({error}), or it is no safetensors file")
        }
        E::MetadataIncompleteBuffer => {
            let header = bytes.get(8..8 + claimed as usize).unwrap_or_default();
            let expected = body_length(header).map_or_else(|| "another number of".into(), |n| n.to_string());
            let body = length as u64 - 8 - claimed;
            format!("its header describes {expected} bytes of tensors, and {body} follow it: truncated or damaged")
        }
        E::InvalidOffset(name) => {
            format!("the bytes of tensor `{name}` overlap others, leave a gap, or end before they begin")
        }
        E::TensorInvalidInfo => "a tensor's shape and type do not fit its number of bytes".into(),
        E::ValidationOverflow => "a tensor's shape is too large for any file".into(),
        other => other.to_string(),
    }
}

/// The largest end of a tensor in a header.
fn body_length(header: &[u8]) -> Option<u64> {
    let header: Map<String, Value> = serde_json::from_slice(header).ok()?;
    header.values().filter_map(|v| v.get("data_offsets")?.get(1)?.as_u64()).max()
}

/// All bytes of a regular file; memory is taken for what the file really has.
fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let cannot = |e| Error::io("cannot read", path, e);
    let mut file = File::open(path).map_err(cannot)?;
    let about = file.metadata().map_err(cannot)?;
    if !about.is_file() {
        return Err(Error::Checkpoint(format!("{} is not a file", path.display())));
    }
    let mut bytes = Vec::new();
    usize::try_from(about.len())
        .map_err(|e| e.to_string())
        .and_then(|n| bytes.try_reserve_exact(n).map_err(|e| e.to_string()))
        .map_err(|e| Error::Checkpoint(format!("{}: no memory for its {} bytes: {e}", path.display(), about.len())))?;
    file.read_to_end(&mut bytes).map_err(cannot)?;
    Ok(bytes)
}

pub(super) fn find<'a>(tensors: &'a [NamedTensor], name: &str) -> Result<&'a NamedTensor> {
    tensors
        .iter()
        .find(|t| t.name == name)
        .ok_or_else(|| Error::Checkpoint(format!("there is no tensor `{name}`; it belongs to another architecture")))
}

/// Writes the file whole or not at all.
pub(super) fn write(path: &Path, tensors: &[NamedTensor], metadata: &BTreeMap<String, String>) -> Result<()> {
    let (header, order) = layout(tensors, metadata)
        .map_err(|problem| Error::Checkpoint(format!("{} cannot be written: {problem}", path.display())))?;
    write_atomically(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        order.iter().try_for_each(|t| t.data.write(out))
    })
}

/// The header, and the tensors in the order of their bytes: the widest values first, so that all are aligned.
fn layout<'a>(
    tensors: &'a [NamedTensor],
    metadata: &BTreeMap<String, String>,
) -> std::result::Result<(Vec<u8>, Vec<&'a NamedTensor>), String> {
    let mut order: Vec<&NamedTensor> = tensors.iter().collect();
    order.sort_by_key(|t| std::cmp::Reverse(t.data.width()));
    let (mut header, mut names, mut end) = (Map::new(), HashSet::new(), 0);
    header.insert("__metadata__".into(), json!(metadata));
    for tensor in &order {
        let (name, values) = (&tensor.name, tensor.data.len());
        if name == "__metadata__" || !names.insert(name) {
            return Err(format!("two tensors are named `{name}`"));
        }
        if tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)) != Some(values) {
            return Err(format!("tensor `{name}` has shape {:?} and {values} values", tensor.shape));
        }
        let start = end;
        end += values * tensor.data.width();
        let entry = json!({ "dtype": tensor.data.dtype(), "shape": tensor.shape, "data_offsets": [start, end] });
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header).map_err(|e| e.to_string())?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok((header, order))
}
