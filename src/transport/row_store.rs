//! One row of values for each sample, on the device, in windows that fit a binding.

use half::f16;

use crate::base::shape::pad4;
use crate::base::{DType, Error, Result, Shape};
use crate::gpu::{Engine, Tensor, readback};
use crate::kernels::scatter_rows::store_columns;

/// `N` rows of `C` values as float32, or as two float16 a word (the first in the low half).
///
/// Each window is a tensor of its own with the same number of rows; the last one's rest is unused. Samples write their
/// rows with [`crate::graph::Graph::scatter_rows`].
#[derive(Clone, Debug)]
pub struct RowStore {
    windows: Vec<Tensor>,
    rows: usize,
    columns: usize,
    window_rows: usize,
    half: bool,
}

/// Bytes of one row of `columns` values.
pub fn row_bytes(columns: usize, half: bool) -> u64 {
    4 * pad4(store_columns(columns, half)) as u64
}

/// Rows of a window: what one binding holds, at most `most`, at most all.
///
/// # Errors
/// When one row passes a binding.
pub fn window_rows(rows: usize, bytes_a_row: u64, binding: u64, most: Option<usize>) -> Result<usize> {
    // A buffer's size is rounded up to 256 bytes.
    let fit = (binding / 256 * 256 / bytes_a_row) as usize;
    if fit == 0 {
        return Err(Error::Memory(format!(
            "one row takes {bytes_a_row} bytes, one binding of the adapter {binding}: not even one row fits. Use \
             narrower features or fewer clusters"
        )));
    }
    Ok(rows.min(fit).min(most.unwrap_or(usize::MAX).max(1)))
}

/// Bytes that one binding may hold on a device with these limits.
pub fn binding_bytes(limits: &wgpu::Limits) -> u64 {
    limits.max_buffer_size.min(limits.max_storage_buffer_binding_size)
}

impl RowStore {
    /// A store of zeros. `most` bounds the rows of a window (`None`: as many as a binding holds).
    ///
    /// # Errors
    /// When there is nothing to store, one row passes a binding, or memory has run out.
    pub fn new(
        engine: &Engine,
        name: &str,
        rows: usize,
        columns: usize,
        half: bool,
        most: Option<usize>,
    ) -> Result<Self> {
        if rows == 0 || columns == 0 {
            return Err(Error::Shape(format!("{name}: {rows} rows of {columns} values")));
        }
        let window_rows = window_rows(rows, row_bytes(columns, half), binding_bytes(&engine.limits()), most)?;
        let shape = Shape::new(&[window_rows, store_columns(columns, half)]);
        let dtype = if half { DType::U32 } else { DType::F32 };
        let count = rows.div_ceil(window_rows);
        let windows = (0..count)
            .map(|i| engine.tensor(&format!("{name} {} of {count}", i + 1), shape.clone(), dtype))
            .collect::<Result<_>>()?;
        Ok(Self { windows, rows, columns, window_rows, half })
    }

    /// N.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// C.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether values are float16.
    pub fn half(&self) -> bool {
        self.half
    }

    /// Rows of each window, W; row `r` of the store is row `r % W` of window `r / W`.
    pub fn window_rows(&self) -> usize {
        self.window_rows
    }

    /// The windows: floats `(W, C)`, or words `(W, ⌈C / 2⌉)` of two float16.
    pub fn windows(&self) -> &[Tensor] {
        &self.windows
    }

    /// Rows that window `index` really holds.
    pub fn used(&self, index: usize) -> usize {
        self.window_rows.min(self.rows - index * self.window_rows)
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.windows.iter().map(|w| w.shape.bytes()).sum()
    }

    /// Writes all rows `(N, C)`; float16 rounds to the nearest and holds what passes its range at its ends.
    ///
    /// # Errors
    /// When the number of values does not fit.
    pub fn write(&self, engine: &Engine, values: &[f32]) -> Result<()> {
        if values.len() != self.rows * self.columns {
            return Err(Error::Shape(format!("{} values for {} rows of {}", values.len(), self.rows, self.columns)));
        }
        for (window, part) in self.windows.iter().zip(values.chunks(self.window_rows * self.columns)) {
            let used = Shape::new(&[part.len() / self.columns, window.shape.last()]);
            if self.half {
                let words: Vec<u32> = part.chunks_exact(self.columns).flat_map(pack).collect();
                engine.write_words(window, &used.pad(&words));
            } else {
                engine.write_words(window, &used.pad(part));
            }
        }
        Ok(())
    }

    /// Reads all rows `(N, C)`.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn read(&self, engine: &Engine) -> Result<Vec<f32>> {
        let mut out = Vec::with_capacity(self.rows * self.columns);
        for window in &self.windows {
            if self.half {
                let words: Vec<u32> = readback::read(engine, window)?;
                for row in words.chunks_exact(window.shape.last()) {
                    out.extend(row.iter().flat_map(|w| unpack(*w)).take(self.columns));
                }
            } else {
                out.extend(readback::read::<f32>(engine, window)?);
            }
        }
        out.truncate(self.rows * self.columns);
        Ok(out)
    }
}

/// A row as words of two float16.
fn pack(row: &[f32]) -> impl Iterator<Item = u32> + '_ {
    let bits = |v: f32| u32::from(f16::from_f32(v.clamp(-65504.0, 65504.0)).to_bits());
    row.chunks(2).map(move |pair| bits(pair[0]) | pair.get(1).map_or(0, |&v| bits(v)) << 16)
}

fn unpack(word: u32) -> [f32; 2] {
    [word as u16, (word >> 16) as u16].map(|bits| f16::from_bits(bits).to_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_hold_what_a_binding_holds() {
        assert_eq!(row_bytes(2048, false), 8192);
        assert_eq!(row_bytes(2048, true), 4096);
        assert_eq!(row_bytes(5, true), 16, "three words, padded");
        assert_eq!(window_rows(100, 16, 1 << 27, None).unwrap(), 100);
        assert_eq!(window_rows(1_281_167, 8192, 1 << 27, None).unwrap(), 16_384);
        assert_eq!(window_rows(100, 16, 1 << 27, Some(33)).unwrap(), 33);
        assert_eq!(window_rows(100, 48, 1000, None).unwrap(), 16, "768 bytes are a multiple of 256");
        let text = window_rows(100, 8192, 4096, None).unwrap_err().to_string();
        assert!(text.contains("8192") && text.contains("4096"), "{text}");
    }
}
