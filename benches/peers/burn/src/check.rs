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

/// Products that the host sums for one comparison before it takes a sample of the values.
const PRODUCTS: usize = 300_000_000;

/// Whether values of a tensor of `shape` are within what float32 sums of `terms` products in [-1, 1] may differ from
/// `exact` of their places in memory; says on standard error what is not. All are compared, or those of `sample` where that
/// would take long.
pub fn agrees<const D: usize>(
    what: &str,
    got: &[f32],
    shape: [usize; D],
    exact: impl Fn(usize) -> f64,
    terms: usize,
) -> bool {
    // A running sum of n such products is about √n/3 and is rounded n times: about 2^-24·n/3 in all; five times that.
    let tolerance = 1e-7 * terms as f64 + 1e-6;
    let count = shape.iter().product();
    if got.len() != count {
        eprintln!("{what}: {} values, {count} expected", got.len());
        return false;
    }
    let places = if count * terms > PRODUCTS { sample(shape) } else { (0..count).collect() };
    for place in places {
        let (value, right) = (got[place], exact(place));
        // A NaN fails too: it is not within the tolerance.
        if !matches!((f64::from(value) - right).abs().partial_cmp(&tolerance), Some(o) if o.is_le()) {
            eprintln!("{what}: value {place} is {value}, float64 says {right} (tolerance {tolerance:.1e})");
            return false;
        }
    }
    true
}

/// Places in a tensor of `shape`: the first two, the last two and the middle one of each axis in all combinations, and every
/// so many, a thousand or more in all of a large tensor.
fn sample<const D: usize>(shape: [usize; D]) -> Vec<usize> {
    let mut places = vec![0];
    for size in shape {
        let mut along = vec![0, 1, size / 2, size.saturating_sub(2), size - 1];
        along.retain(|&index| index < size);
        along.sort_unstable();
        along.dedup();
        places = places.iter().flat_map(|place| along.iter().map(move |index| place * size + index)).collect();
    }
    let count: usize = shape.iter().product();
    // Odd, so that sizes that are powers of two do not repeat one column.
    places.extend((0..count).step_by((count / 1000) | 1));
    places.sort_unstable();
    places.dedup();
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_value_is_seen() {
        let exact = |i: usize| i as f64 / 8.0;
        let mut got: Vec<f32> = (0..6).map(|i| exact(i) as f32).collect();
        assert!(agrees("right", &got, [2, 3], exact, 1));
        assert!(!agrees("short", &got[..5], [2, 3], exact, 1));
        got[4] += 1e-3;
        assert!(!agrees("wrong", &got, [2, 3], exact, 1));
        got[4] = f32::NAN;
        assert!(!agrees("no number", &got, [2, 3], exact, 1));
    }

    #[test]
    fn a_sample_has_borders_and_inner_places() {
        let places = sample([4, 64, 112, 112]);
        assert!((1000..3000).contains(&places.len()), "{}", places.len());
        let last = 4 * 64 * 112 * 112 - 1;
        for place in [0, 111, 112, 112 * 112 - 1, last, last - 111, 2 * 64 * 112 * 112 + 32 * 112 * 112 + 56 * 112 + 56]
        {
            assert!(places.contains(&place), "{place}");
        }
        assert!(places.iter().all(|place| *place <= last));
        assert_eq!(sample([1, 2]), [0, 1]);
    }
}
