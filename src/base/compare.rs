//! Numeric policy: `|a − e| ≤ abs + rel·scale`, with both numbers named at the call.

/// How far an answer may lie from its float64 expectation.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Absolute part.
    pub abs: f64,
    /// Relative part.
    pub rel: f64,
    /// What `rel` is relative to.
    pub scale: Scale,
}

/// What a relative tolerance is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Each expected value by itself.
    Element,
    /// The largest expected magnitude: for sums in which cancellation is expected.
    Largest,
}

impl Tolerance {
    /// Equal to the last bit (integers, copies, permutations).
    pub const EXACT: Self = Self { abs: 0.0, rel: 0.0, scale: Scale::Element };

    /// Relative to each expected value, plus an absolute floor.
    pub const fn element(rel: f64, abs: f64) -> Self {
        Self { abs, rel, scale: Scale::Element }
    }

    /// Relative to the largest expected magnitude.
    pub const fn largest(rel: f64) -> Self {
        Self { abs: 0.0, rel, scale: Scale::Largest }
    }
}

/// Compares value by value.
///
/// # Errors
/// A text that names the worst index, both values, the bound and the count of misses: when any value is outside the
/// tolerance or not finite, when the lengths differ, and when an expectation of several values is constant (a test
/// that proves nothing).
pub fn compare(actual: &[f32], expected: &[f64], tolerance: Tolerance) -> Result<(), String> {
    if actual.len() != expected.len() {
        return Err(format!("{} values where {} were expected", actual.len(), expected.len()));
    }
    let largest = expected.iter().fold(0.0f64, |m, e| m.max(e.abs()));
    if expected.len() > 1 && expected.iter().all(|e| *e == expected[0]) {
        return Err(format!("the expectation is constant ({}): this case proves nothing", expected[0]));
    }
    let (mut misses, mut worst, mut at) = (0usize, -1.0f64, 0usize);
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let scale = if tolerance.scale == Scale::Element { e.abs() } else { largest };
        let excess = if a.is_finite() && e.is_finite() {
            (f64::from(a) - e).abs() - (tolerance.abs + tolerance.rel * scale)
        } else {
            f64::INFINITY
        };
        misses += usize::from(excess > 0.0);
        if excess > worst || (i == 0 && excess > 0.0) {
            (worst, at) = (excess, i);
        }
    }
    if misses == 0 {
        return Ok(());
    }
    Err(format!(
        "{misses} of {} values outside {tolerance:?}; worst at {at}: {} where {} was expected (largest expected {largest})",
        actual.len(),
        actual[at],
        expected[at],
    ))
}

/// The error measure of the golden files: `max|a − e| / max(1e-6, max|e|)`; infinite when anything is not finite.
pub fn relative_error(actual: &[f32], expected: &[f64]) -> f64 {
    if actual.len() != expected.len()
        || actual.iter().any(|a| !a.is_finite())
        || expected.iter().any(|e| !e.is_finite())
    {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(1e-6f64, |m, e| m.max(e.abs()));
    actual.iter().zip(expected).fold(0.0f64, |m, (&a, &e)| m.max((f64::from(a) - e).abs())) / largest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slightly_wrong_fails() {
        let expected = [1.0, 2.0, 3.0];
        assert!(compare(&[1.0, 2.0, 3.0], &expected, Tolerance::element(1e-6, 0.0)).is_ok());
        assert!(compare(&[1.0, 2.0, 3.001], &expected, Tolerance::element(1e-4, 0.0)).is_err());
        assert!(compare(&[1.0, 2.0, 3.0001], &expected, Tolerance::EXACT).is_err());
        assert!(compare(&[1.0, 2.0], &expected, Tolerance::element(1.0, 1.0)).is_err());
        assert!(relative_error(&[1.0, 2.0, 3.003], &expected) > 9e-4);
    }

    #[test]
    fn not_finite_and_constant_fail() {
        let loose = Tolerance::element(1.0, 1e9);
        assert!(compare(&[f32::NAN, 1.0], &[0.0, 1.0], loose).is_err());
        assert!(compare(&[0.0, 1.0], &[f64::INFINITY, 1.0], loose).is_err());
        assert!(compare(&[0.0, 0.0], &[0.0, 0.0], loose).is_err());
        assert!(relative_error(&[f32::NAN], &[1.0]).is_infinite());
    }
}
