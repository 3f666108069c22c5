//! Replacing a file whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::base::{Error, Result, folder_of};

/// How temporary files begin and end: `.last.safetensors.XXXXXX.partial`.
const PARTIAL: &str = ".partial";

/// Writes `path` through `fill`: to a temporary file in the same folder, synced, renamed onto `path`, and the folder
/// synced. Whatever fails, `path` is as it was before, and the temporary file is gone.
///
/// # Errors
/// [`Error::Io`] with the path and the system's answer.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |e: io::Error| {
        let kept = if path.exists() { "the file that was there is unchanged" } else { "nothing was left behind" };
        Error::io(&format!("cannot write ({kept})"), path, e)
    };
    let folder = folder_of(path);
    let mut file = temporary(path, folder).map_err(failed)?;
    let mut out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
    fill(&mut out).and_then(|()| out.flush()).map_err(failed)?;
    drop(out);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    sync_folder(folder).map_err(|e| Error::io("cannot sync the folder", folder, e))
}

/// Makes `path` another name of `original`'s content (a hard link, or a copy where the file system has none),
/// replacing what was there whole or not at all.
pub(super) fn link_atomically(original: &Path, path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let linked = (|| {
        let place = temporary(path, folder)?.into_temp_path();
        fs::remove_file(&place)?;
        fs::hard_link(original, &place)?;
        // Renaming onto another name of the same content would do nothing and leave the temporary name.
        if same_content(original, path) {
            return Ok(());
        }
        place.persist(path).map_err(|e| e.error)
    })();
    match linked {
        Ok(()) => sync_folder(folder).map_err(|e| Error::io("cannot sync the folder", folder, e)),
        Err(_) => {
            let mut input = File::open(original).map_err(|e| Error::io("cannot open", original, e))?;
            write_atomically(path, |out| io::copy(&mut input, out).map(|_| ()))
        }
    }
}

#[cfg(unix)]
fn same_content(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same_content(_: &Path, _: &Path) -> bool {
    false
}

/// Removes temporary files that a killed process left in `folder`.
pub(super) fn remove_partial(folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| Error::io("cannot list", folder, e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|n| n.starts_with('.') && n.contains(".safetensors.") && n.ends_with(PARTIAL)) {
            fs::remove_file(entry.path()).map_err(|e| Error::io("cannot remove", &entry.path(), e))?;
        }
    }
    Ok(())
}

fn temporary(path: &Path, folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let prefix = format!(".{name}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(PARTIAL);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any new file: the process's umask takes away from it.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// A rename lasts only once its folder is on disk. Systems other than Unix have no such call.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failure_half_way_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("last.safetensors");
        write_atomically(&path, |out| out.write_all(b"first")).unwrap();
        let error = write_atomically(&path, |out| {
            // More than the writer's buffer, so that bytes have reached the temporary file.
            out.write_all(&vec![1; 3 << 20])?;
            Err(io::Error::new(io::ErrorKind::StorageFull, "no space left on device"))
        })
        .unwrap_err();
        assert!(matches!(error, Error::Io { .. }));
        let text = error.to_string();
        for part in ["last.safetensors", "no space left", "unchanged"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["last.safetensors"]);
    }

    #[test]
    fn links_replace_and_outlive_the_original() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("step-1.safetensors"), dir.path().join("last.safetensors"));
        write_atomically(&a, |out| out.write_all(b"one")).unwrap();
        write_atomically(&b, |out| out.write_all(b"old")).unwrap();
        link_atomically(&a, &b).unwrap();
        link_atomically(&a, &b).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"one");
        write_atomically(&a, |out| out.write_all(b"two")).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"one");
        fs::remove_file(&a).unwrap();
        assert_eq!(fs::read(&b).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["last.safetensors"]);
    }

    #[test]
    fn leftovers_of_a_killed_process_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = temporary(&dir.path().join("last.safetensors"), dir.path()).unwrap().into_temp_path();
        let _ = left.keep().unwrap();
        fs::write(dir.path().join(".notes.partial"), b"mine").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        remove_partial(dir.path()).unwrap();
        assert_eq!(names(dir.path()), [".notes.partial"]);
    }
}
