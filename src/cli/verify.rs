//! `relabel verify`: golden cases on this machine's adapter.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;

use super::settings::open;
use super::{device_options, output};
use crate::base::{Error, Result};
use crate::gpu::Engine;
use crate::verify::{KINDS, Verdict, not_run, verify, verify_rounded};

/// Run golden cases on an adapter and compare with their answers.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// Golden files (safetensors) or folders of them; without any, assets/golden of the source tree.
    pub files: Vec<PathBuf>,
    /// Print JSON: the adapter, `files` with their verdicts, those `unreadable`, and forms that were asked for and `not_run`.
    #[arg(long)]
    pub json: bool,
}

/// A file that gave no verdict.
#[derive(Debug, Serialize)]
struct Unreadable {
    file: String,
    why: String,
}

/// What comes with relabel.
const OWN: &str = "assets/golden";

pub(super) fn run(args: &VerifyArgs, adapter: Option<&str>, variants: Option<&str>) -> Result<()> {
    let mut files = Vec::new();
    let own = [PathBuf::from(OWN)];
    if args.files.is_empty() && !own[0].is_dir() {
        return Err(Error::Config(format!(
            "no golden files are given, and there is no {OWN} here: name files, or run it in relabel's source tree"
        )));
    }
    for path in if args.files.is_empty() { &own } else { args.files.as_slice() } {
        expand(path, &mut files)?;
    }
    // Not what was measured before: the same adapter must give the same verdict.
    let engine = match variants {
        None => Engine::open(&device_options(adapter)?)?,
        Some(_) => open(&device_options(adapter)?, variants)?,
    };
    if !args.json {
        output::print(&format!("adapter: {}\n", engine.describe()))?;
    }
    let width = files.iter().map(|f| f.display().to_string().len()).max().unwrap_or(0);
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut unreadable: Vec<Unreadable> = Vec::new();
    for file in &files {
        let name = file.display().to_string();
        let mut tell = |found: Result<Option<Verdict>>| -> Result<bool> {
            let (line, readable) = match found {
                Ok(Some(verdict)) => {
                    let line = describe(&verdict);
                    verdicts.push(verdict);
                    (line, true)
                }
                Ok(None) => (format!("skipped: its kind is not among {}", KINDS.join(", ")), true),
                Err(error) => {
                    let why = error.to_string();
                    if args.json {
                        output::tell(&why);
                    }
                    unreadable.push(Unreadable { file: name.clone(), why });
                    (format!("FAIL  {error}"), false)
                }
            };
            if !args.json {
                output::print(&format!("{name:width$}  {line}\n"))?;
            }
            Ok(readable)
        };
        if tell(verify(&engine, file))?
            && let Some(rounded) = verify_rounded(&engine, file).transpose()
        {
            tell(rounded.map(Some))?;
        }
    }
    let left = not_run(&engine);
    if args.json {
        let adapter = engine.describe();
        output::print_json(
            &json!({ "adapter": adapter, "files": verdicts, "unreadable": unreadable, "not_run": left }),
        )?;
    } else if !left.is_empty() {
        output::print(&format!("not run, as no case takes them ({}): {}\n", left.len(), left.join("; ")))?;
    }
    let failed = unreadable.len() + verdicts.iter().filter(|v| !v.passed).count();
    if failed > 0 {
        return Err(Error::Failed(format!("{failed} of {} files failed", unreadable.len() + verdicts.len())));
    }
    if verdicts.is_empty() {
        return Err(Error::Failed("no file could be verified".into()));
    }
    Ok(())
}

fn describe(v: &Verdict) -> String {
    let verdict = if v.passed { "pass" } else { "FAIL" };
    let verdict = if v.half { format!("{verdict}  with rounded factors") } else { verdict.to_owned() };
    let edge = if v.edge { ", on an edge: direct forms give both sides for inputs a rounding away" } else { "" };
    format!("{:15}  {verdict}  {:.2e} of {:.0e} ({}{edge})", v.kind, v.error, v.tolerance, v.tensor)
}

/// A file, or every safetensors file of a folder in the order of names.
fn expand(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let entries = std::fs::read_dir(path).map_err(|e| Error::io("cannot list", path, e))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    found.retain(|p| p.extension().is_some_and(|e| e == "safetensors"));
    if found.is_empty() {
        return Err(Error::Data(format!("{} holds no .safetensors file", path.display())));
    }
    found.sort();
    files.extend(found);
    Ok(())
}
