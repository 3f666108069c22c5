//! The relabel program.

use std::process::ExitCode;

fn main() -> ExitCode {
    relabel::cli::main()
}
