//! `relabel config`: all settings of a config, checked.

use std::path::PathBuf;

use clap::Args;

use super::{known_sections, load_config, output};
use crate::base::Result;
use crate::session;
use crate::train::config::Config;

/// Check a config and print all settings with their values, as TOML.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// The TOML file; without it, the defaults are printed.
    config: Option<PathBuf>,
    /// Change a setting, such as train.batch=64 (may be repeated).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) fn run(args: &ConfigArgs, adapter: Option<&str>) -> Result<()> {
    let mut overrides = args.set.clone();
    overrides.extend(adapter.map(|name| format!("device.adapter={name}")));
    let config = match &args.config {
        Some(path) => load_config(path, &overrides)?,
        None => Config::parse("", "defaults", &overrides, &known_sections())?,
    };
    session::check(&config)?;
    output::print(&config.to_toml()?)
}
