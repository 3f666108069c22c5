//! What commands print to standard output.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::{Error, Result, folder_of};

/// Prints text that ends its own lines. A reader that has gone (`relabel ... | head`) is no error.
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::io("cannot write to", Path::new("standard output"), e))
        }
        _ => Ok(()),
    }
}

/// Tells the user something on stderr. Nobody reading it is no reason to end otherwise than told.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Prints a value as indented JSON.
pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::io("cannot write as JSON to", Path::new("standard output"), e.into()))?;
    print(&format!("{text}\n"))
}

/// Makes a folder, unless it is there.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    let made = match path.is_file() {
        true => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of this name")),
        false => std::fs::create_dir_all(path),
    };
    made.map_err(|e| Error::io("making the folder", path, e))
}

/// Checks that a file can be written to `path`, whose folder is made: before the work, so that it does not cost minutes.
pub(super) fn expect_writable(path: &Path) -> Result<()> {
    let unwritable = |e| Error::io("cannot write to", path, e);
    if path.is_dir() {
        return Err(unwritable(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
    }
    if path.is_file() {
        return std::fs::OpenOptions::new().append(true).open(path).map(drop).map_err(unwritable);
    }
    // A pipe or a terminal, whose reader would see an end.
    if path.exists() {
        return Ok(());
    }
    let folder = folder_of(path);
    make_folder(folder)?;
    tempfile::tempfile_in(folder).map(drop).map_err(unwritable)
}

/// Whether a path is a file, or will be one: no pipe and no terminal.
pub(super) fn is_plain(path: &Path) -> bool {
    path.is_file() || !path.exists()
}

/// The first of several results that would be written over another one's file, however the two are spelled.
pub(super) fn named_twice(paths: &[PathBuf]) -> Option<&PathBuf> {
    let place = |path: &PathBuf| {
        let inside = || Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?));
        path.canonicalize().ok().or_else(inside).unwrap_or_else(|| path.clone())
    };
    let places: Vec<PathBuf> = paths.iter().map(place).collect();
    let twice = |i: &usize| is_plain(&paths[*i]) && places[..*i].contains(&places[*i]);
    (0..paths.len()).find(twice).map(|i| &paths[i])
}

/// A count with its noun, whose plural ends in `s`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A table without rules between its rows.
pub(super) fn table() -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table
}

/// A number of bytes in the largest unit that keeps it above 1.
pub(super) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_written_are_known_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let said = |name: &str| expect_writable(&path(name)).map_err(|e| e.to_string());
        assert_eq!(said("new/deep/file.json"), Ok(()));
        assert!(path("new/deep").is_dir() && !path("new/deep/file.json").exists(), "only the folder is made");
        std::fs::write(path("file"), "text").expect("written");
        assert_eq!(said("file"), Ok(()));
        assert_eq!(std::fs::read_to_string(path("file")).expect("there"), "text", "left as it was");
        assert!(said("new").is_err_and(|e| e.contains("it is a folder")));
        assert!(said("file/x.json").is_err_and(|e| e.contains("there is a file of this name")));
        assert!(make_folder(&path("file")).is_err_and(|e| e.exit_code() == 8));
    }

    #[test]
    fn one_file_is_known_by_other_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("there"), "text").expect("written");
        std::fs::create_dir(path("inner")).expect("a folder");
        let said = |names: [&str; 3]| named_twice(&names.map(path)).cloned();
        assert_eq!(said(["a", "b", "there"]), None);
        assert_eq!(said(["a", "b", "inner/../a"]), Some(path("inner/../a")));
        assert_eq!(said(["there", "inner/../there", "a"]), Some(path("inner/../there")));
        assert_eq!(said(["gone/a", "b", "gone/a"]), Some(path("gone/a")));
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "row")), ["0 rows", "1 row", "2 rows"]);
    }
}
