//! How much of all samples each cluster takes: equal parts, a Gaussian spread as SeLaVi (Asano et al., NeurIPS 2020)
//! draws it, or numbers from a file.

use std::path::Path;

use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};
use crate::data::read_text;

/// How far given masses may be from a sum of one.
pub const SUM_TOLERANCE: f64 = 1e-6;

/// The most bytes that a file of masses may have.
const LARGEST_FILE: u64 = 64 << 20;

/// The masses of the clusters, as a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Marginals {
    /// 1/K each.
    Uniform,
    /// Spread around equal parts; see [`gaussian`].
    Gaussian {
        /// Standard deviation of a cluster's size before inversion, as a share of N/K.
        deviation: f64,
        /// Whether each head has a draw of its own.
        per_head: bool,
    },
    /// These, one for each cluster, checked by [`parse`] or [`check`].
    Given(Vec<f64>),
}

/// What masses are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// N.
    pub samples: usize,
    /// K.
    pub clusters: usize,
    /// The run's seed.
    pub seed: u64,
    /// Which head.
    pub head: usize,
    /// Sum over the samples of each cluster's probability, when it is known: clusters that the network likes less now
    /// get the smaller draws.
    pub column_mass: Option<&'a [f64]>,
}

impl Marginals {
    /// The mass of each cluster: K numbers above 0 whose sum is 1.
    ///
    /// # Errors
    /// [`Error::Config`] when there are no clusters or fewer samples than clusters, the deviation is negative or not
    /// finite, or given masses (or column masses) are not K numbers.
    pub fn masses(&self, request: &Request<'_>) -> Result<Vec<f64>> {
        let &Request { samples, clusters, .. } = request;
        if clusters == 0 || samples < clusters {
            return Err(Error::Config(format!(
                "{samples} samples cannot be shared out over {clusters} clusters: at least one cluster, and at least one \
                 sample for each"
            )));
        }
        match self {
            Self::Uniform => Ok(uniform(clusters)),
            Self::Gaussian { deviation, per_head } => {
                gaussian(*deviation, &Request { head: if *per_head { request.head } else { 0 }, ..*request })
            }
            Self::Given(masses) if masses.len() == clusters => Ok(masses.clone()),
            Self::Given(masses) => Err(wrong_count("the marginals", masses.len(), clusters)),
        }
    }
}

/// 1/K each.
pub fn uniform(clusters: usize) -> Vec<f64> {
    vec![1.0 / clusters as f64; clusters]
}

/// SeLaVi's rule: sizes `s_k = max(1, (1 + deviation · z_k) · N/K)` with `z_k` standard normal; the smallest goes to the
/// cluster with the least column mass, and so on; the masses are `1/s_k`, divided by their sum. The inverse is the
/// official code's: a cluster that the network likes less now is given more. There the sizes of separate heads are not
/// kept at 1 or above, which can give negative masses; here they are.
///
/// # Errors
/// As [`Marginals::masses`].
pub fn gaussian(deviation: f64, request: &Request<'_>) -> Result<Vec<f64>> {
    if !deviation.is_finite() || deviation < 0.0 {
        return Err(Error::Config(format!("Gaussian marginals: a deviation of {deviation}; it is a number from 0")));
    }
    let &Request { samples, clusters, seed, head, column_mass } = request;
    let mut draw = Sequence::new(seed, Stream::Marginals, head as u64);
    let equal = samples as f64 / clusters as f64;
    let mut sizes: Vec<f64> =
        (0..clusters).map(|_| ((1.0 + deviation * f64::from(draw.normal())) * equal).max(1.0)).collect();
    if let Some(mass) = column_mass {
        if mass.len() != clusters || mass.iter().any(|m| m.is_nan()) {
            return Err(Error::Config(format!(
                "{} column masses, some perhaps NaN, for {clusters} clusters",
                mass.len()
            )));
        }
        let mut order: Vec<usize> = (0..clusters).collect();
        order.sort_by(|&a, &b| mass[a].total_cmp(&mass[b]));
        let mut sorted = sizes.clone();
        sorted.sort_by(f64::total_cmp);
        for (size, k) in sorted.into_iter().zip(order) {
            sizes[k] = size;
        }
    }
    let sum: f64 = sizes.iter().map(|s| 1.0 / s).sum();
    Ok(sizes.into_iter().map(|s| 1.0 / s / sum).collect())
}

/// Reads masses from a file: see [`parse`].
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, else as [`parse`].
pub fn read(path: &Path, clusters: usize) -> Result<Vec<f64>> {
    parse(&read_text(path, LARGEST_FILE)?, &path.display().to_string(), clusters)
}

/// Masses in a text: a JSON array, or numbers parted by commas, semicolons, white space or line ends; empty lines and
/// lines that begin with `#` are passed over. `place` names the text in messages. The result's sum is 1 exactly up to
/// rounding.
///
/// # Errors
/// [`Error::Data`] when something is not a number, not finite, or not above 0 (with its line), when there are not
/// `clusters` of them, or when their sum is further from 1 than [`SUM_TOLERANCE`].
pub fn parse(text: &str, place: &str, clusters: usize) -> Result<Vec<f64>> {
    let body = text.trim_start_matches('\u{feff}').trim();
    let masses = if body.starts_with('[') { json(body, place)? } else { lines(text, place)? };
    check(masses, place, clusters)
}

fn lines(text: &str, place: &str) -> Result<Vec<f64>> {
    let mut masses = Vec::new();
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim_start().starts_with('#') {
            continue;
        }
        let words = line.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|w| !w.is_empty());
        for word in words {
            masses.push(word.parse().ok().filter(|m| mass_like(*m)).ok_or_else(|| {
                Error::Data(format!(
                    "{place}, line {}: `{}` is no mass; each cluster takes a finite share above 0",
                    number + 1,
                    word.chars().take(40).collect::<String>()
                ))
            })?);
        }
    }
    Ok(masses)
}

fn json(body: &str, place: &str) -> Result<Vec<f64>> {
    let values: Vec<serde_json::Value> =
        serde_json::from_str(body).map_err(|e| Error::Data(format!("{place}: not a JSON array of numbers: {e}")))?;
    let number = |(k, v): (usize, &serde_json::Value)| {
        v.as_f64().filter(|m| mass_like(*m)).ok_or_else(|| {
            Error::Data(format!("{place}: entry {k} is {v}, no mass; each cluster takes a finite share above 0"))
        })
    };
    values.iter().enumerate().map(number).collect()
}

fn mass_like(mass: f64) -> bool {
    mass.is_finite() && mass > 0.0
}

/// Checks `clusters` masses and divides them by their sum.
///
/// # Errors
/// [`Error::Data`] as [`parse`]; `place` names where they come from.
pub fn check(masses: Vec<f64>, place: &str, clusters: usize) -> Result<Vec<f64>> {
    if masses.len() != clusters {
        return Err(wrong_count(place, masses.len(), clusters));
    }
    if let Some(k) = masses.iter().position(|m| !mass_like(*m)) {
        return Err(Error::Data(format!(
            "{place}: the mass of cluster {k} is {}; each cluster takes a finite share above 0",
            masses[k]
        )));
    }
    let sum: f64 = masses.iter().sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(Error::Data(format!(
            "{place}: the {clusters} masses add up to {sum:.9}, not to 1 (within {SUM_TOLERANCE}); divide each by that"
        )));
    }
    Ok(masses.into_iter().map(|m| m / sum).collect())
}

fn wrong_count(place: &str, found: usize, clusters: usize) -> Error {
    Error::Data(format!("{place}: {found} masses for {clusters} clusters; give one for each"))
}
