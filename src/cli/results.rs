//! Results of `relabel bench`: as tables, as files, and beside earlier ones.

use std::path::{Path, PathBuf};

use super::output::{self, counted};
use crate::base::{Error, Result};
use crate::bench::{self, Comparison, Report, Row};
use crate::gpu::Engine;
use crate::train::checkpoint::write_atomically;

/// The file of `--keep`, with what it held before: rows that are not measured now stay.
pub(super) struct Kept {
    path: PathBuf,
    earlier: Option<Report>,
}

impl Kept {
    /// The file of a device in `folder`, which is made. Its rows must have been measured with what `--variants` says now.
    pub(super) fn open(folder: &Path, engine: &Engine, variants: Option<&str>) -> Result<Self> {
        output::make_folder(folder)?;
        let path = folder.join(format!("{}.json", bench::compare::file_stem(engine)));
        let earlier = path.exists().then(|| read(&path)).transpose()?;
        output::expect_writable(&path)?;
        let why = |e| Error::Config(format!("{}: {e}; move it away to keep new ones there", path.display()));
        if let Some(earlier) = &earlier {
            let version = earlier.expect_version(env!("CARGO_PKG_VERSION"));
            version
                .and_then(|()| earlier.expect(&engine.describe(), engine.checked()))
                .and_then(|()| earlier.expect_variants(variants))
                .map_err(why)?;
        }
        Ok(Self { path, earlier })
    }

    fn all(&self, report: &Report) -> Report {
        match &self.earlier {
            Some(earlier) => report.clone().onto(earlier.clone()),
            None => report.clone(),
        }
    }

    /// Writes a run's results over the rows of the same name and shape.
    pub(super) fn store(&self, report: &Report) -> Result<()> {
        write(&self.all(report), &self.path)
    }

    /// Says where they are.
    pub(super) fn tell(self, report: &Report) -> Result<()> {
        let stay = match self.all(report).rows.len() - report.rows.len() {
            0 => String::new(),
            stay => format!(", beside {} of earlier runs", counted(stay, "row")),
        };
        output::print(&format!("kept in {}{stay}\n", self.path.display()))
    }
}

/// Reads a file of results, whose rows must have times.
pub(super) fn read(path: &Path) -> Result<Report> {
    let missing = "cannot read the earlier results, which `relabel bench --json FILE` or --keep writes, from";
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(missing, path, e))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|e| Error::Data(format!("{} is no file that `relabel bench --json` wrote: {e}", path.display())))?;
    let damaged = |e| Error::Data(format!("{}: {e}; the file is damaged: measure again", path.display()));
    report.expect_times().map_err(damaged)?;
    Ok(report)
}

/// The processor's name, where `/proc/cpuinfo` has it.
pub(super) fn processor() -> Option<String> {
    named_processor(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

fn named_processor(text: &str) -> Option<String> {
    let names = text.lines().filter_map(|line| line.split_once(':')).filter(|(key, _)| key.trim() == "model name");
    names.map(|(_, name)| name.trim().to_owned()).next()
}

/// What to do about results that this run has nothing in common with.
pub(super) fn apart(path: &Path, why: &Error) -> Error {
    Error::Config(format!(
        "{}: {why}; measure the part and steps that it holds, with the --rows, --demo-rows, --full and sizes that it was \
         measured with",
        path.display()
    ))
}

/// Writes results: into a file whole or not at all, since it may hold others.
pub(super) fn write(report: &Report, path: &Path) -> Result<()> {
    let text = serde_json::to_string_pretty(report).map_err(|e| Error::io("writing", path, e.into()))?;
    match output::is_plain(path) {
        true => write_atomically(path, |out| writeln!(out, "{text}")),
        false => std::fs::write(path, text + "\n").map_err(|e| Error::io("writing", path, e)),
    }
}

/// Prints both results beside each other; `whole` says that rows of all parts were measured now.
///
/// # Errors
/// When a row takes longer by more than `over`, or no row meets another.
pub(super) fn compare((path, earlier): (&Path, &Report), report: &Report, over: f64, whole: bool) -> Result<()> {
    let found = Comparison::new(earlier, report, over).map_err(|e| apart(path, &e))?;
    let mut table = output::table();
    table.set_header(["what", "shape", "ms then", "ms now", "ratio", ""]);
    for line in &found.lines {
        table.add_row([
            line.name.clone(),
            line.shape.clone(),
            format!("{:.3}", line.before),
            format!("{:.3}", line.now),
            format!("{:.2}", line.ratio()),
            if line.slower { "slower".into() } else { String::new() },
        ]);
    }
    let mut text = format!(
        "\nbest samples, of processor time where both know it; the clock's medians where one alone does\n{table}\n"
    );
    // Rows of parts that were not asked for are nothing to tell one by one.
    let (missing, others): (Vec<&Row>, Vec<&Row>) =
        found.missing.iter().partition(|row| whole || report.rows.iter().any(|now| now.name == row.name));
    missing.iter().for_each(|row| text += &format!("not measured now: {} {}\n", row.name, row.shape));
    if !others.is_empty() {
        let names = if missing.is_empty() { "" } else { "other " };
        text += &format!("not measured now: {} of {}\n", counted(others.len(), &format!("{names}row")), path.display());
    }
    found.new.iter().for_each(|row| text += &format!("not measured then: {row}\n"));
    output::print(&text)?;
    let slower: Vec<String> = found.slower().map(|line| format!("{} {}", line.name, line.shape)).collect();
    if slower.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{} of {} {} over {:.0} % longer than before: {}",
        slower.len(),
        counted(found.lines.len(), "row"),
        if slower.len() == 1 { "takes" } else { "take" },
        100.0 * over,
        slower.join("; ")
    )))
}

/// Rows as a table.
pub(super) fn table(rows: &[Row]) -> comfy_table::Table {
    let number = |v: Option<f64>| v.filter(|v| *v > 0.0).map_or(String::new(), |v| format!("{v:.1}"));
    let ms = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
    let mib = |v: Option<u64>| v.map_or(String::new(), |v| format!("{:.1}", v as f64 / f64::from(1 << 20)));
    let cells = |row: &Row| {
        [
            row.name.clone(),
            row.shape.clone(),
            format!("{:.3}", row.milliseconds),
            ms(row.processor_milliseconds),
            format!("{:.0} %", 100.0 * row.spread),
            number(Some(row.gflops)),
            number(Some(row.gbytes_per_s)),
            number(Some(row.images_per_s)),
            ms(row.host_milliseconds),
            row.idle.map_or(String::new(), |v| format!("{:.0} %", 100.0 * v)),
            mib(row.planned_bytes),
            mib(row.allocated_bytes),
            note(row),
        ]
    };
    let header = [
        "what", "shape", "ms", "CPU ms", "spread", "GFLOP/s", "GB/s", "images/s", "host ms", "idle", "plan MiB", "MiB",
        "",
    ];
    let cells: Vec<_> = rows.iter().map(cells).collect();
    // A column that says nothing is left out.
    let used: Vec<usize> = (0..header.len()).filter(|&i| cells.iter().any(|row| !row[i].is_empty())).collect();
    let mut table = output::table();
    table.set_header(used.iter().map(|&i| header[i]));
    for row in &cells {
        table.add_row(used.iter().map(|&i| row[i].as_str()));
    }
    table
}

/// What is said of a row in words: its note, or which kernels took it.
fn note(row: &Row) -> String {
    let shares = row.kernels.iter().map(|kernel| format!("{} {:.0} %", kernel.name, 100.0 * kernel.share));
    [row.note.clone()].into_iter().filter(|note| !note.is_empty()).chain(shares).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Share;

    #[test]
    fn the_processor_is_named_where_the_system_names_it() {
        let text = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: A processor: fast\n\nmodel name\t: another\n";
        assert_eq!(named_processor(text).as_deref(), Some("A processor: fast"));
        assert_eq!(named_processor("processor : 0\nBogoMIPS : 48.00\n"), None);
    }

    #[test]
    fn kernels_of_a_step_stand_in_its_last_column() {
        let share = |name: &str, share| Share { name: name.into(), share };
        let row = Row {
            name: "step a".into(),
            kernels: vec![share("conv2d (8)", 0.614), share("the rest", 0.386)],
            ..Row::default()
        };
        assert!(table(&[row]).to_string().trim_end().ends_with("conv2d (8) 61 %, the rest 39 %"));
        assert_eq!(note(&Row { note: "words".into(), ..Row::default() }), "words");
    }
}
