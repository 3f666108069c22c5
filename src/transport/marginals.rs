//! Checks of the clusters' shares.

use crate::base::{Error, Result};

/// Equal shares 1/K.
pub fn uniform(clusters: usize) -> Vec<f64> {
    vec![1.0 / clusters as f64; clusters]
}

/// Refuses shares that are not `clusters` positive numbers with sum 1.
///
/// # Errors
/// With the number, the sum, or the first share that is not positive.
pub fn check(shares: &[f64], clusters: usize) -> Result<()> {
    if shares.len() != clusters {
        return Err(Error::Config(format!("{} shares for {clusters} clusters", shares.len())));
    }
    if let Some(k) = shares.iter().position(|b| !(b.is_finite() && *b > 0.0)) {
        return Err(Error::Config(format!("the share of cluster {k} is {}; each must be above 0", shares[k])));
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > 1e-6 {
        return Err(Error::Config(format!("the clusters' shares sum to {sum}, not to 1")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_shares_are_refused() {
        assert!(check(&uniform(7), 7).is_ok() && check(&[0.25, 0.75], 2).is_ok());
        for (shares, part) in [
            (vec![0.5, 0.5], "2 shares for 3"),
            (vec![0.5, 0.0, 0.5], "cluster 1 is 0"),
            (vec![0.5, 0.75, -0.25], "cluster 2 is -0.25"),
            (vec![f64::NAN, 0.5, 0.5], "cluster 0 is NaN"),
            (vec![0.5, 0.5, 0.5], "sum to 1.5"),
        ] {
            let text = check(&shares, 3).unwrap_err().to_string();
            assert!(text.contains(part), "{text}");
        }
    }
}
