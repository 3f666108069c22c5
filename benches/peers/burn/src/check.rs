//! Host values and the comparison with float64.

use burn::prelude::*;

/// `count` values in [-1, 1), the same for the same seed (SplitMix64).
pub fn uniform(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// A tensor of host values.
pub fn tensor<const D: usize>(values: &[f32], shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), device)
}

/// The values of a tensor, in its logical order.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().as_slice::<f32>().expect("a tensor of f32").to_vec()
}

/// Whether every value is within what float32 sums of `terms` products in [-1, 1] may differ from float64; says on
/// standard error what is not.
pub fn agrees(what: &str, got: &[f32], want: &[f64], terms: usize) -> bool {
    // A running sum of n such products is about √n/3 and is rounded n times: about 2^-24·n/3 in all; five times that.
    let tolerance = 1e-7 * terms as f64 + 1e-6;
    if got.len() != want.len() {
        eprintln!("{what}: {} values, {} expected", got.len(), want.len());
        return false;
    }
    let error = |i: &usize| (f64::from(got[*i]) - want[*i]).abs();
    // A NaN fails too: it is not within the tolerance.
    let Some(wrong) = (0..got.len()).find(|i| !matches!(error(i).partial_cmp(&tolerance), Some(o) if o.is_le())) else {
        return true;
    };
    let (value, right) = (got[wrong], want[wrong]);
    eprintln!("{what}: value {wrong} is {value}, float64 says {right} (tolerance {tolerance:.1e})");
    false
}
