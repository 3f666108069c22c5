//! What commands print to standard output.

use std::io::{self, Write};
use std::path::Path;

use crate::base::{Error, Result};

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
