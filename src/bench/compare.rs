//! The results of a run as a file, and two of them beside each other.

use serde::{Deserialize, Serialize};

use super::Row;
use crate::base::{Error, Result};
use crate::gpu::Engine;

/// What a run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// relabel's version.
    pub version: String,
    /// Name, kind, backend and driver on one line.
    pub adapter: String,
    /// Whether wgpu's checks were in the shaders.
    pub safe_shaders: bool,
    /// In the order of the run.
    pub rows: Vec<Row>,
    /// What the adapter has no room for, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// One thing that both runs measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As in the rows.
    pub name: String,
    /// As in the rows.
    pub shape: String,
    /// Milliseconds of the earlier run.
    pub before: f64,
    /// Of the later one.
    pub now: f64,
    /// Whether it takes longer than it may.
    pub slower: bool,
}

impl Line {
    /// How many times as long it takes now.
    pub fn ratio(&self) -> f64 {
        self.now / self.before
    }
}

/// Two runs beside each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// In the order of the later run.
    pub lines: Vec<Line>,
    /// Name and shape of what the earlier run alone has measured.
    pub missing: Vec<String>,
    /// Name and shape of what the later run alone has measured.
    pub new: Vec<String>,
}

impl Comparison {
    /// Puts rows of one name and shape beside each other; one is slower when it takes more than `1 + over` times as long.
    /// What counts is [`Row::best_milliseconds`] where both have it, because other work on the machine only ever adds to a
    /// sample; else the medians.
    ///
    /// # Errors
    /// When the adapters or the checks in the shaders differ and `others` does not allow it, or no row meets another.
    pub fn new(before: &Report, now: &Report, over: f64, others: bool) -> Result<Self> {
        if !others && (before.adapter != now.adapter || before.safe_shaders != now.safe_shaders) {
            let checks = |report: &Report| if report.safe_shaders { "checked" } else { "unchecked" };
            return Err(Error::Config(format!(
                "the results are of another adapter: {} with {} shaders, and now {} with {}; --other-adapter compares \
                 nevertheless",
                before.adapter,
                checks(before),
                now.adapter,
                checks(now)
            )));
        }
        let same = |a: &Row, b: &Row| a.name == b.name && a.shape == b.shape;
        let told = |row: &Row| format!("{} {}", row.name, row.shape);
        let (mut lines, mut new) = (Vec::new(), Vec::new());
        let mut left: Vec<&Row> = before.rows.iter().collect();
        for row in &now.rows {
            let Some(place) = left.iter().position(|earlier| same(earlier, row)) else {
                new.push(told(row));
                continue;
            };
            let earlier = left.remove(place);
            let best = earlier.best_milliseconds.zip(row.best_milliseconds);
            let (before, now) = best.unwrap_or((earlier.milliseconds, row.milliseconds));
            let slower = now > before * (1.0 + over);
            lines.push(Line { name: row.name.clone(), shape: row.shape.clone(), before, now, slower });
        }
        if lines.is_empty() {
            return Err(Error::Config(
                "no row of the earlier results has the name and shape of one of this run".into(),
            ));
        }
        Ok(Self { lines, missing: left.into_iter().map(told).collect(), new })
    }

    /// What takes longer than it may.
    pub fn slower(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.slower)
    }
}

/// The name under which an adapter's results are kept: its own name and its driver's version, what stands in brackets left
/// out, such as `llvmpipe-mesa-22.3.6`.
pub fn file_stem(engine: &Engine) -> String {
    stem(&engine.info().name, &engine.info().driver_info)
}

fn stem(name: &str, driver: &str) -> String {
    let plain = |text: &str| text.split('(').next().unwrap_or_default().to_lowercase();
    let text = format!("{} {}", plain(name), plain(driver));
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').collect();
    let parts: Vec<&str> = parts.into_iter().map(|p| p.trim_matches('.')).filter(|p| !p.is_empty()).collect();
    if parts.is_empty() { "adapter".into() } else { parts.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_under_adapter_and_driver() {
        let name = stem("llvmpipe (LLVM 15.0.6, 256 bits)", "Mesa 22.3.6 (LLVM 15.0.6)");
        assert_eq!(name, "llvmpipe-mesa-22.3.6");
        assert_eq!(stem("NVIDIA H200", "570.86.10"), "nvidia-h200-570.86.10");
        assert_eq!(stem("Apple M2/../x", ""), "apple-m2-x");
        assert_eq!(stem("(?)", ""), "adapter");
    }
}
