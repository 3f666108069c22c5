//! How well scores tell two groups apart.

use crate::base::{Error, Result};

/// Area under the receiver operating characteristic: the chance that a random positive score is above a random
/// negative one, ties counting half (Mann–Whitney). Exact up to one division.
///
/// # Errors
/// When a group is empty or a score is NaN.
pub fn auroc(positive: &[f64], negative: &[f64]) -> Result<f64> {
    if positive.is_empty() || negative.is_empty() {
        return Err(Error::Data(format!(
            "AUROC compares two groups of scores: {} positive and {} negative ones",
            positive.len(),
            negative.len()
        )));
    }
    let mut all: Vec<(f64, bool)> =
        positive.iter().map(|&s| (s, true)).chain(negative.iter().map(|&s| (s, false))).collect();
    if let Some(place) = all.iter().position(|(s, _)| s.is_nan()) {
        return Err(Error::Data(format!("AUROC: score {place} of {} is NaN", all.len())));
    }
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Twice the number of (positive, negative) pairs in the right order; `==` joins −0 and 0, which lie side by side.
    let (mut twice, mut below) = (0u128, 0u128);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let above = tied.iter().filter(|(_, p)| *p).count() as u128;
        let here = tied.len() as u128 - above;
        twice += above * (2 * below + here);
        below += here;
    }
    Ok(twice as f64 / (2.0 * positive.len() as f64 * negative.len() as f64))
}
