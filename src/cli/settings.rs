//! Where settings come from: a file, `--set`, and the options that stand for a setting.

use std::path::Path;
use std::sync::Arc;

use super::output;
use crate::base::{Error, Result};
use crate::gpu::{AdapterChoice, Engine, Options};
use crate::session::variants::{Chosen, Wish};
use crate::train::config::Config;

pub use crate::session::known_sections;

/// Reads a config file and applies `KEY=VALUE` overrides, in order.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read; else as [`Config::parse`].
pub fn load_config(path: &Path, overrides: &[String]) -> Result<Config> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("cannot read the config", path, e))?;
    let text = String::from_utf8(bytes)
        .map_err(|e| Error::Config(format!("{}: not a TOML file: its bytes are not UTF-8: {e}", path.display())))?;
    Config::parse(&text, &path.display().to_string(), overrides, &known_sections())
}

/// How to open a device for a command that has no config; `adapter` is the global option.
///
/// # Errors
/// When the wish is empty.
pub fn device_options(adapter: Option<&str>) -> Result<Options> {
    let adapter: AdapterChoice = adapter.unwrap_or("auto").parse()?;
    Ok(Options { adapter, ..Options::default() })
}

/// What `--variants` without a file stands for.
pub(super) const SHOWN: &str = "shown";

/// Opens a device with the forms that `--variants` names; without it, with those that were measured before.
pub(super) fn open(options: &Options, variants: Option<&str>) -> Result<Arc<Engine>> {
    if variants.map(Wish::of) == Some(Wish::Measure) {
        return Err(Error::Config(
            "--variants measure: this command has no training steps to measure forms for; `relabel train`, `bench` and \
             `profile` measure, and `--variants cached` takes what they kept"
                .into(),
        ));
    }
    Ok(open_measuring(options, variants)?.0)
}

/// [`open`] for commands whose training steps forms can be measured for; [`settle`] ends it.
pub(super) fn open_measuring(options: &Options, variants: Option<&str>) -> Result<(Arc<Engine>, Chosen)> {
    let engine = Engine::open(options)?;
    let wish = variants.filter(|&text| text != SHOWN).map_or(Wish::Cached, Wish::of);
    let chosen = Chosen::set(&engine, &wish, output::tell)?;
    chosen.notes.iter().for_each(|note| output::tell(note));
    Ok((engine, chosen))
}

/// Ends the measuring, keeps what was found and tells it.
pub(super) fn settle(engine: &Engine, mut chosen: Chosen) {
    let (told, measures) = (chosen.notes.len(), chosen.measures());
    chosen.settle(engine);
    chosen.notes[told..].iter().for_each(|note| output::tell(note));
    if measures && chosen.notes.len() == told {
        output::tell("note: nothing was measured: all is known, or no training step with enough work was built");
    }
}
