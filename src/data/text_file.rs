//! Reading text that a user wrote.

use std::path::Path;

use super::file;
use crate::base::{Error, Result};

/// The text of a file of at most `limit` bytes (unpacked when its name ends in `.gz`), without a byte-order mark.
///
/// # Errors
/// [`Error::Io`] when the system fails to read it, [`Error::Data`] when it is longer or not UTF-8: the byte is named.
pub fn read_text(path: &Path, limit: u64) -> Result<String> {
    let text = String::from_utf8(file::read_all(path, limit)?)
        .map_err(|e| Error::Data(format!("{}: not UTF-8 at byte {}", path.display(), e.utf8_error().valid_up_to())))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
