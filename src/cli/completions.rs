//! `relabel completions`.

use clap::Args;
use clap_complete::Shell;

use super::output;
use crate::base::Result;

/// Print a script that completes relabel's commands in a shell.
#[derive(Clone, Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, command: &mut clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "relabel", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
