//! Label files: CSV with a header and a row for each image and head, as `relabel label` writes them.
//!
//! ```text
//! file,index,head,label,confidence
//! cats/1.png,0,0,17,0.93
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::file;
use super::set::ImageSet;
use crate::base::{Error, Result, folder_of};

/// The columns, in the order in which they are written; read in any order, with others between them.
const COLUMNS: [&str; 5] = ["file", "index", "head", "label", "confidence"];
/// Labels are below this.
const MOST_LABELS: u32 = 1 << 20;
/// The most bytes that are read of one file, unpacked.
const LARGEST: u64 = 4 << 30;

/// One row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    /// Position of the image among the training images of its data set.
    pub index: u32,
    /// Which head gave the label.
    pub head: u32,
    /// The label, below 2²⁰.
    pub label: u32,
    /// How sure the head is, 0 to 1.
    pub confidence: f32,
}

/// A label file: rows in order, and the images' files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelFile {
    /// What messages call it.
    place: PathBuf,
    rows: Vec<Label>,
    /// Line of each row; empty for rows that were not read.
    lines: Vec<u64>,
    /// File of each image by its index, where it has one.
    files: BTreeMap<u32, String>,
}

/// The labels of all heads for the images of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelTable {
    /// The heads, ascending (T).
    pub heads: Vec<u32>,
    /// Largest label of each head plus one (T).
    pub classes: Vec<usize>,
    /// `(T, N)` row-major.
    pub labels: Vec<u32>,
}

impl LabelFile {
    /// A file of these rows. `files` is empty, or holds the file of each image by index ([`ImageSet::files`]).
    pub fn new(rows: Vec<Label>, files: &[String]) -> Self {
        let files = (0u32..).zip(files.iter().cloned()).collect();
        Self { place: PathBuf::new(), rows, lines: Vec::new(), files }
    }

    /// The rows, in the file's order.
    pub fn rows(&self) -> &[Label] {
        &self.rows
    }

    /// The file of the image at `index`, if it has one.
    pub fn file(&self, index: u32) -> Option<&str> {
        self.files.get(&index).map(String::as_str)
    }

    /// The heads that have labels, ascending.
    pub fn heads(&self) -> Vec<u32> {
        self.rows.iter().map(|r| r.head).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Writes the file; an old one is replaced only once the new one is complete.
    ///
    /// # Errors
    /// [`Error::Io`] when the system fails to write.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::io("cannot write", path, e);
        let folder = folder_of(path);
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any new file: the process's umask takes away from it.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut out = builder.tempfile_in(folder).map_err(failed)?;
        self.write_to(&mut out).map_err(failed)?;
        out.as_file().sync_all().map_err(failed)?;
        out.persist(path).map_err(|e| failed(e.error))?;
        Ok(())
    }

    fn write_to(&self, out: &mut impl Write) -> std::io::Result<()> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(COLUMNS)?;
        for Label { index, head, label, confidence } in &self.rows {
            let numbers = [index.to_string(), head.to_string(), label.to_string(), confidence.to_string()];
            let file = self.file(*index).unwrap_or("");
            csv.write_record(std::iter::once(file).chain(numbers.iter().map(String::as_str)))?;
        }
        csv.flush()
    }

    /// Reads a file, plain or with `.gz`.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read; [`Error::Data`] for a column that is missing, a value that is no number or
    /// out of range, an image and head with two rows, or an index with two files: the line is named.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = file::read_all(path, LARGEST)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        let bad = |line: u64, what: String| Error::Data(format!("{}, line {line}: {what}", path.display()));
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(bytes);
        let damaged = |e: csv::Error| {
            let line = e.position().map_or(1, csv::Position::line);
            bad(line, format!("not CSV in UTF-8 with the same number of columns everywhere: {e}"))
        };
        let header = reader.headers().map_err(damaged)?.clone();
        let mut places = [0; COLUMNS.len()];
        for (place, column) in places.iter_mut().zip(COLUMNS) {
            *place = header.iter().position(|h| h == column).ok_or_else(|| {
                let found: Vec<&str> = header.iter().take(8).collect();
                bad(
                    1,
                    format!(
                        "no column `{column}`; a label file has {}, this one {}",
                        COLUMNS.join(","),
                        found.join(",")
                    ),
                )
            })?;
        }
        let mut read = Self { place: path.into(), ..Self::default() };
        let mut seen: HashMap<(u32, u32), u64> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(damaged)?;
            let line = record.position().map_or(0, csv::Position::line);
            // A file's name may begin or end with a space; a number may not.
            let [file, numbers @ ..] = places.map(|p| record.get(p).unwrap_or(""));
            let [index, head, label, confidence] = numbers.map(str::trim);
            let whole = |text: &str, column: &str, below: u32| -> Result<u32> {
                text.parse::<u32>()
                    .ok()
                    .filter(|n| *n < below)
                    .ok_or_else(|| bad(line, format!("{column} `{}`; it is a whole number below {below}", short(text))))
            };
            let row = Label {
                index: whole(index, "index", u32::MAX)?,
                head: whole(head, "head", 1 << 16)?,
                label: whole(label, "label", MOST_LABELS)?,
                confidence: confidence.parse().ok().filter(|c| (0.0..=1.0).contains(c)).ok_or_else(|| {
                    bad(line, format!("confidence `{}`; it is a number from 0 to 1", short(confidence)))
                })?,
            };
            if let Some(first) = seen.insert((row.index, row.head), line) {
                return Err(bad(
                    line,
                    format!("index {} has a label of head {} in line {first} already", row.index, row.head),
                ));
            }
            if !file.is_empty() {
                let known = read.files.entry(row.index).or_insert_with(|| file.to_owned());
                if known != file {
                    return Err(bad(
                        line,
                        format!("index {} is `{}` here and `{}` above", row.index, short(file), short(known)),
                    ));
                }
            }
            read.rows.push(row);
            read.lines.push(line);
        }
        Ok(read)
    }

    /// The labels of one head in the order of the images of `set`. Where both have files, rows and images meet by file
    /// (in any order); else by index. Rows of images that were skipped as damaged are passed over.
    ///
    /// # Errors
    /// [`Error::Data`] when the head has no labels (those that have are named), a row's file or index is not in the set,
    /// two rows name one file, or an image has no row (with both counts).
    pub fn labels(&self, set: &ImageSet, head: u32) -> Result<Vec<u32>> {
        let places: HashMap<&str, usize> = set.files.iter().map(String::as_str).zip(0..).collect();
        let skipped: BTreeSet<&str> = set.skipped.iter().map(|s| s.file.as_str()).collect();
        self.place_labels(set, head, &places, &skipped)
    }

    fn place_labels(
        &self,
        set: &ImageSet,
        head: u32,
        places: &HashMap<&str, usize>,
        skipped: &BTreeSet<&str>,
    ) -> Result<Vec<u32>> {
        let mut labels = vec![None; set.count()];
        let mut rows = 0;
        for (i, row) in self.rows.iter().enumerate().filter(|(_, r)| r.head == head) {
            rows += 1;
            let bad = |what: String| {
                let line = self.lines.get(i).map_or_else(|| format!("row {i}"), |l| format!("line {l}"));
                Error::Data(format!("{}, {line}: {what}", self.place.display()))
            };
            let file = self.file(row.index).filter(|_| !set.files.is_empty());
            let place = match file {
                Some(file) if skipped.contains(file) => continue,
                Some(file) => *places.get(file).ok_or_else(|| {
                    bad(format!("the file `{}` is not among the {} images of {}", short(file), set.count(), set.name))
                })?,
                None => row.index as usize,
            };
            let count = set.count();
            let slot = labels.get_mut(place).ok_or_else(|| {
                bad(format!("index {place} is out of range; {} has {count} training images", set.name))
            })?;
            if slot.replace(row.label).is_some() {
                let image = file.map_or_else(|| format!("image {place}"), |f| format!("`{}`", short(f)));
                return Err(bad(format!("{image} has another label of head {head} above")));
            }
        }
        if rows == 0 {
            let heads: Vec<String> = self.heads().iter().take(20).map(u32::to_string).collect();
            return Err(Error::Data(format!(
                "{}: no labels of head {head}; it has those of head {}",
                self.place.display(),
                if heads.is_empty() { "none".into() } else { heads.join(", ") },
            )));
        }
        if let Some(first) = labels.iter().position(Option::is_none) {
            let image = set.files.get(first).map_or_else(String::new, |f| format!(" (`{}`)", short(f)));
            return Err(Error::Data(format!(
                "{}: {rows} labels of head {head} for {} training images of {}; image {first}{image} has none",
                self.place.display(),
                set.count(),
                set.name,
            )));
        }
        Ok(labels.into_iter().flatten().collect())
    }

    /// The labels of every head: what is trained on with several heads.
    ///
    /// # Errors
    /// As [`LabelFile::labels`], also when there are no rows at all.
    pub fn table(&self, set: &ImageSet) -> Result<LabelTable> {
        let heads = self.heads();
        if heads.is_empty() {
            return Err(Error::Data(format!("{} holds no labels", self.place.display())));
        }
        let places: HashMap<&str, usize> = set.files.iter().map(String::as_str).zip(0..).collect();
        let skipped: BTreeSet<&str> = set.skipped.iter().map(|s| s.file.as_str()).collect();
        let mut table = LabelTable { heads, classes: Vec::new(), labels: Vec::new() };
        for &head in &table.heads {
            let labels = self.place_labels(set, head, &places, &skipped)?;
            table.classes.push(labels.iter().max().map_or(0, |&l| l as usize + 1));
            table.labels.extend(labels);
        }
        Ok(table)
    }

    /// The images of `set` under the labels of one head. The classes are `"0"`, `"1"`, … to `classes`, or to the largest
    /// label when that is not given; some may have no image.
    ///
    /// # Errors
    /// As [`LabelFile::labels`], also for a label that is not below `classes`.
    pub fn apply(&self, mut set: ImageSet, head: u32, classes: Option<usize>) -> Result<ImageSet> {
        let labels = self.labels(&set, head)?;
        let needed = labels.iter().max().map_or(0, |&l| l as usize + 1);
        let count = classes.unwrap_or(needed);
        if count < needed {
            return Err(Error::Data(format!(
                "{}: label {} of head {head}, and `data.classes` is set to {count} (labels 0 to {})",
                self.place.display(),
                needed - 1,
                count.saturating_sub(1),
            )));
        }
        set.labels = labels;
        set.finer.clear();
        set.classes = (0..count).map(|k| k.to_string()).collect();
        Ok(set)
    }
}

/// The beginning of what a file says, for messages.
fn short(text: &str) -> String {
    text.chars().take(80).collect()
}
