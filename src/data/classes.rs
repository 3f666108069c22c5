//! How many classes a set has, and what they are called.

use std::path::Path;

use super::file;
use super::load::LoadOptions;
use crate::base::{Error, Result};

/// More classes than this are taken for a damaged label.
const MOST_CLASSES: usize = 1 << 20;

/// The most bytes in a file of class names.
const NAMES_LIMIT: u64 = 16 << 20;

/// Class names: from the first of `name_files` in `dir`, else numbers: as many as `options.classes`, else as
/// `default`, else as the largest of `labels` asks for.
pub(super) fn resolve(
    dir: Option<&Path>,
    name_files: &[&str],
    options: &LoadOptions,
    default: Option<usize>,
    labels: &[&[u32]],
) -> Result<Vec<String>> {
    let path = dir.and_then(|dir| name_files.iter().map(|f| dir.join(f)).find(|p| p.is_file()));
    if let Some(path) = path {
        let names = read_names(&path)?;
        return match options.classes {
            Some(n) if n != names.len() => Err(Error::Data(format!(
                "{} names {} classes, and `data.classes` is set to {n}",
                path.display(),
                names.len(),
            ))),
            _ => Ok(names),
        };
    }
    let derived = || labels.iter().flat_map(|l| l.iter()).max().map_or(0, |&m| m as usize + 1);
    let count = options.classes.or(default).unwrap_or_else(derived);
    if count > MOST_CLASSES {
        return Err(Error::Data(format!(
            "the largest label is {}, which would make {count} classes; the most is {MOST_CLASSES}: the labels are \
             damaged, or `data.classes` must be set",
            count - 1,
        )));
    }
    Ok((0..count).map(|c| c.to_string()).collect())
}

fn read_names(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(file::read_all(path, NAMES_LIMIT)?)
        .map_err(|e| Error::Data(format!("{}: class names are not UTF-8: {e}", path.display())))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(String::from).collect();
    if names.is_empty() {
        return Err(Error::Data(format!("{} names no classes; write one name on a line", path.display())));
    }
    Ok(names)
}

/// Refuses a label that is not below the number of classes: `place` names the file, records count from 0.
pub(super) fn check_labels(place: &str, labels: &[u32], classes: usize) -> Result<()> {
    match labels.iter().position(|&l| l as usize >= classes) {
        Some(record) => Err(Error::Data(format!(
            "{place}: record {record} has label {}, and there are {classes} classes (labels 0 to {})",
            labels[record],
            classes.saturating_sub(1),
        ))),
        None => Ok(()),
    }
}
