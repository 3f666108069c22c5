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
    /// The processor's name, where the system tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<String>,
    /// When the newest rows were measured, in UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub date: String,
    /// What `--variants` asked for, if it was given: of all rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variants: Option<String>,
    /// Whether wgpu's checks were in the shaders.
    pub safe_shaders: bool,
    /// In the order of the run.
    pub rows: Vec<Row>,
    /// What the adapter has no room for, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

impl Report {
    /// Checks that all times that are compared are such.
    ///
    /// # Errors
    /// When one is not above 0 and finite: which.
    pub fn expect_times(&self) -> Result<()> {
        for row in &self.rows {
            // Processor time counts for its presence alone.
            let all = [("milliseconds", Some(row.milliseconds)), ("best_milliseconds", row.best_milliseconds)];
            let wrong =
                all.into_iter().find_map(|(name, time)| Some((name, time.filter(|t| !(t.is_finite() && *t > 0.0))?)));
            if let Some((name, time)) = wrong {
                return Err(Error::Data(format!("the row `{}` has {name} of {time}, which is no time", told(row))));
            }
        }
        Ok(())
    }

    /// Checks that this version of relabel measured the rows: another may call other work by one name.
    ///
    /// # Errors
    /// When another one did.
    pub fn expect_version(&self, version: &str) -> Result<()> {
        if self.version == version {
            return Ok(());
        }
        let text = format!("the earlier results are of relabel {}, and this is {version}", self.version);
        Err(Error::Config(text))
    }

    /// Checks that a run with rows of these names, and shapes that begin so, can meet one of these.
    ///
    /// # Errors
    /// When it cannot: a row that is there, and one of the run's.
    pub fn expect_any(&self, foreseen: &[(String, String)]) -> Result<()> {
        let Some(first) = self.rows.first() else {
            return Err(Error::Config("it holds no rows".into()));
        };
        let named = |row: &&Row| foreseen.iter().any(|(name, _)| *name == row.name);
        let meets = |row: &Row| foreseen.iter().any(|(name, shape)| *name == row.name && row.shape.starts_with(shape));
        if self.rows.iter().any(meets) {
            return Ok(());
        }
        let there = self.rows.iter().find(named).unwrap_or(first);
        let here = foreseen.iter().find(|(name, _)| *name == there.name).or(foreseen.first());
        let here = here.map_or(String::new(), |(name, shape)| {
            format!(", and this run `{}`", format!("{name} {shape}").trim_end())
        });
        Err(Error::Config(format!("{NOTHING_IN_COMMON}; it has `{}`{here}", told(there))))
    }

    /// Checks that the rows were measured on `adapter`, with wgpu's checks in the shaders or without, as `checked` says.
    ///
    /// # Errors
    /// When they were not: what differs.
    pub fn expect(&self, adapter: &str, checked: bool) -> Result<()> {
        if self.adapter != adapter {
            return Err(Error::Config(format!(
                "the earlier results are of another adapter: {}, and now {adapter}",
                self.adapter
            )));
        }
        if self.safe_shaders != checked {
            let with = |checked| if checked { "with wgpu's checks in the shaders" } else { "without checks" };
            return Err(Error::Config(format!(
                "the earlier results were measured {}, and now {}",
                with(self.safe_shaders),
                with(checked)
            )));
        }
        Ok(())
    }

    /// Checks that the rows were measured with what `--variants` says.
    ///
    /// # Errors
    /// When they were not: what differs.
    pub fn expect_variants(&self, variants: Option<&str>) -> Result<()> {
        // Without the option, forms are those of the cache.
        let [then, now] = [self.variants.as_deref(), variants].map(|text| text.unwrap_or("cached"));
        if then == now {
            return Ok(());
        }
        let with =
            |text: Option<&str>| text.map_or("without --variants".into(), |text| format!("with --variants {text}"));
        let [then, now] = [self.variants.as_deref(), variants].map(with);
        Err(Error::Config(format!("the earlier results were measured {then}, and now {now}")))
    }

    /// The earlier results with these in the place of rows of the same name and shape; what is new comes last.
    pub fn onto(mut self, earlier: Self) -> Self {
        let again: Vec<String> = self.rows.iter().map(told).collect();
        let mut left = std::mem::take(&mut self.rows);
        for row in earlier.rows {
            let place = left.iter().position(|new| same(new, &row));
            self.rows.push(place.map_or(row, |i| left.remove(i)));
        }
        self.rows.extend(left);
        let stays = |text: &String| !again.iter().any(|row| text.starts_with(&format!("{row}:")));
        let old: Vec<String> =
            earlier.left_out.into_iter().filter(|text| stays(text) && !self.left_out.contains(text)).collect();
        self.left_out.splice(0..0, old);
        self
    }
}

/// What is said of results that have nothing to do with each other.
const NOTHING_IN_COMMON: &str = "no row of the earlier results has the name and shape of one of this run";

fn same(a: &Row, b: &Row) -> bool {
    a.name == b.name && a.shape == b.shape
}

fn told(row: &Row) -> String {
    format!("{} {}", row.name, row.shape)
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
#[derive(Clone, Debug)]
pub struct Comparison {
    /// In the order of the later run.
    pub lines: Vec<Line>,
    /// What the earlier run alone has measured.
    pub missing: Vec<Row>,
    /// Name and shape of what the later run alone has measured.
    pub new: Vec<String>,
}

impl Comparison {
    /// Puts rows of one name and shape beside each other; one is slower when it takes more than `1 + over` times as long.
    /// What counts is [`Row::best_milliseconds`] where both have it of one clock, because other work on the machine only ever
    /// adds to a sample; else the medians by the wall's.
    ///
    /// # Errors
    /// When no row meets another.
    pub fn new(before: &Report, now: &Report, over: f64) -> Result<Self> {
        let (mut lines, mut new) = (Vec::new(), Vec::new());
        let mut left: Vec<&Row> = before.rows.iter().collect();
        for row in &now.rows {
            let Some(place) = left.iter().position(|earlier| same(earlier, row)) else {
                new.push(told(row));
                continue;
            };
            let earlier = left.remove(place);
            let one_clock = earlier.processor_milliseconds.is_some() == row.processor_milliseconds.is_some();
            let best = earlier.best_milliseconds.zip(row.best_milliseconds).filter(|_| one_clock);
            let (before, now) = best.unwrap_or((earlier.milliseconds, row.milliseconds));
            let slower = now > before * (1.0 + over);
            lines.push(Line { name: row.name.clone(), shape: row.shape.clone(), before, now, slower });
        }
        if lines.is_empty() {
            return Err(Error::Config(NOTHING_IN_COMMON.into()));
        }
        Ok(Self { lines, missing: left.into_iter().cloned().collect(), new })
    }

    /// What takes longer than it may.
    pub fn slower(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.slower)
    }
}

/// The name under which an adapter's results are kept: its own name and its driver's version, what stands in brackets left
/// out, such as `llvmpipe-mesa-22.3.6`; `-checked` after it for checked shaders.
pub fn file_stem(engine: &Engine) -> String {
    let checked = if engine.checked() { "-checked" } else { "" };
    stem(&engine.info().name, &engine.info().driver_info) + checked
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

    fn row(name: &str, shape: &str, milliseconds: f64) -> Row {
        Row { name: name.into(), shape: shape.into(), milliseconds, ..Row::default() }
    }

    #[test]
    fn a_part_is_kept_beside_what_was_kept_before() {
        let of = |rows: &[(&str, &str, f64)], left_out: &[&str]| Report {
            rows: rows.iter().map(|&(name, shape, ms)| row(name, shape, ms)).collect(),
            left_out: left_out.iter().map(|&text| text.to_owned()).collect(),
            ..Report::default()
        };
        let earlier = of(&[("a", "1", 1.0), ("b", "1", 2.0), ("c", "1", 3.0)], &["d 1: no room", "e 1: no room"]);
        let both = of(&[("f", "1", 5.0), ("b", "1", 4.0), ("d", "1", 6.0)], &["e 1: no room"]).onto(earlier);
        let rows: Vec<(&str, f64)> = both.rows.iter().map(|r| (r.name.as_str(), r.milliseconds)).collect();
        assert_eq!(rows, [("a", 1.0), ("b", 4.0), ("c", 3.0), ("f", 5.0), ("d", 6.0)]);
        assert_eq!(both.left_out, ["e 1: no room"]);
    }

    #[test]
    fn what_cannot_meet_is_known_before() {
        let earlier = Report { rows: vec![row("a", "1", 1.0), row("b", "2 x 4, more", 1.0)], ..Report::default() };
        let foreseen = |all: &[(&str, &str)]| -> Result<()> {
            earlier.expect_any(&all.iter().map(|&(name, shape)| (name.into(), shape.into())).collect::<Vec<_>>())
        };
        assert!(foreseen(&[("c", ""), ("b", "2 x 4")]).is_ok() && foreseen(&[("a", "")]).is_ok());
        let error = foreseen(&[("c", "9"), ("b", "3 x 4")]).expect_err("other sizes").to_string();
        assert!(error.ends_with("it has `b 2 x 4, more`, and this run `b 3 x 4`"), "{error}");
        let error = foreseen(&[("c", "")]).expect_err("other rows").to_string();
        assert!(error.ends_with("it has `a 1`, and this run `c`"), "{error}");
        let error = Report::default().expect_any(&[("a".into(), String::new())]).expect_err("no rows").to_string();
        assert_eq!(error, "it holds no rows");
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let of = |row: Row| Report { rows: vec![row], ..Report::default() }.expect_times();
        assert!(of(Row { best_milliseconds: Some(0.5), ..row("a", "1", 1.0) }).is_ok());
        for wrong in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            let error = of(row("a", "1", wrong)).expect_err("no time").to_string();
            assert!(error.contains("`a 1` has milliseconds"), "{error}");
            assert!(of(Row { best_milliseconds: Some(wrong), ..row("a", "1", 1.0) }).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_of_two_clocks_are_not_compared() {
        let of = |processor: Option<f64>, best| Report {
            rows: vec![Row { processor_milliseconds: processor, best_milliseconds: Some(best), ..row("a", "1", 3.0) }],
            ..Report::default()
        };
        let times = |before, now| {
            let line = Comparison::new(&before, &now, 0.1).expect("a comparison").lines.remove(0);
            (line.before, line.now)
        };
        assert_eq!(times(of(Some(5.0), 4.0), of(Some(5.0), 4.5)), (4.0, 4.5));
        assert_eq!(times(of(None, 2.0), of(None, 2.5)), (2.0, 2.5));
        assert_eq!(times(of(None, 2.0), of(Some(5.0), 4.5)), (3.0, 3.0));
    }
}
