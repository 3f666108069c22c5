//! Where measured forms are kept: a file for each adapter, driver and version in the user's cache folder, which several
//! processes may write.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::VariantFile;
use crate::base::hash::fnv1a;
use crate::base::{Error, Result};
use crate::gpu::{Engine, Shader};
use crate::kernels::product::FORMS;
use crate::kernels::{choose, join};

/// relabel's version, and a number for the texts of the forms and of what they are joined with: what was measured of others
/// does not hold for them.
pub(super) fn version() -> String {
    let forms = FORMS.iter().flat_map(|(_, forms)| *forms).map(|&(shader, _)| shader);
    let texts: String = forms.chain(join::KERNELS).chain(choose::ASSIGNMENT).map(Shader::text).collect();
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), fnv1a(&texts))
}

/// What forms are measured for: the adapter with its driver, and whether shaders are checked.
pub(super) fn identity(engine: &Engine) -> String {
    let checks = if engine.checked() { ", checked shaders" } else { "" };
    format!("{}{checks}", engine.describe())
}

/// The user's folder for what can be made anew.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let own = || match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => variable("HOME").map(|home| home.join("Library/Caches")),
        _ => variable("HOME").map(|home| home.join(".cache")),
    };
    Some(variable("XDG_CACHE_HOME").or_else(own)?.join("relabel"))
}

/// Where the forms of a device are kept: a file for each adapter, driver and version.
pub fn cache_file(engine: &Engine) -> Option<PathBuf> {
    let name: String = identity(engine).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
    Some(cache_folder()?.join(format!("variants-{}-{name}.json", env!("CARGO_PKG_VERSION"))))
}

/// A file of this version and adapter.
///
/// # Errors
/// When it cannot be read, is no such file, or is of another adapter or version; the text says which.
pub(super) fn own(engine: &Engine, path: &Path) -> Result<VariantFile> {
    let file = VariantFile::read(path)?;
    let whose = match (file.adapter == identity(engine), file.version == version()) {
        (true, true) => return Ok(file),
        (false, _) if file.adapter.is_empty() => "it does not say of which adapter it is".to_owned(),
        (false, _) => format!("it is of another adapter ({})", file.adapter),
        (true, false) => "it is of another version of relabel".to_owned(),
    };
    Err(Error::Config(format!("{}: {whose}", path.display())))
}

/// Adds what a process found to what a file holds by now: classes that were measured, and what was tried. What holds
/// without measuring is this program's, not the cache's. A file that cannot be used is made anew.
///
/// # Errors
/// When the system fails.
pub fn keep(engine: &Engine, found: &VariantFile, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|e| Error::io("cannot make the folder", folder, e))?;
    // A file of its own: each writing puts another file in the place of `path`.
    let place = path.with_extension("lock");
    let lock = File::create(&place).map_err(|e| Error::io("cannot write", &place, e))?;
    match lock.lock() {
        // Some network file systems have none.
        Err(e) if e.kind() != std::io::ErrorKind::Unsupported => return Err(Error::io("cannot lock", &place, e)),
        _ => {}
    }
    let mut all = VariantFile { kernels: None, ..found.clone() };
    if let Ok(earlier) = own(engine, path) {
        let own = std::mem::replace(&mut all.classes, earlier.classes);
        all.classes.extend(own);
        let tried = all.tried.into_iter().chain(earlier.tried);
        all.tried = tried.reduce(|own, earlier| earlier.into_iter().chain(own).collect());
    }
    all.write(path)
}
