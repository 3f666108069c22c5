//! Where settings come from: a file, `--set`, and the options that stand for a setting.

use std::path::Path;

use crate::base::{Error, Result};
use crate::train::config::{Config, KnownSection};

/// The sections that methods and networks add to a config.
pub fn known_sections() -> Vec<KnownSection> {
    Vec::new()
}

/// Reads a config file and applies `KEY=VALUE` overrides, in order.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; else as [`Config::parse`].
pub fn load_config(path: &Path, overrides: &[String]) -> Result<Config> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("cannot read the config", path, e))?;
    Config::parse(&text, &path.display().to_string(), overrides, &known_sections())
}
