//! Floor 10: the command line, one file per command. Only this floor prints.

mod adapters;
mod bench;
mod compare;
mod completions;
mod config;
mod data;
mod eval;
mod eval_features;
mod eval_labels;
mod interrupt;
mod label;
mod output;
mod predict;
mod profile;
mod progress;
mod results;
mod settings;
mod train;
mod variants;
mod verify;

pub use eval::EvalArgs;
pub use interrupt::{Interrupt, install as install_interrupt};
pub use label::LabelArgs;
pub use predict::PredictArgs;
pub use progress::{Bar, Lines, progress};
pub use settings::{device_options, known_sections, load_config};
pub use train::{Prepared, TrainArgs};
pub use verify::VerifyArgs;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::base::{Error, Result};

/// The tail of `--help`; `docs/guide/exit-codes.md` says more (a test compares the numbers).
const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  a verification did not pass
    2  a setting or an argument is wrong
    3  input data is missing, damaged or does not fit
    4  no adapter, or the device failed
    5  it does not fit the device's memory or limits
    6  a checkpoint is damaged or belongs to something else
    7  the loss became NaN or infinite
    8  reading or writing a file failed
    9  shapes do not fit together (an error in relabel)
  130  stopped by Ctrl-C";

/// Trains image classifiers with labels that they make for themselves, on any GPU that WebGPU reaches.
#[derive(Debug, Parser)]
#[command(name = "relabel", version, after_help = EXIT_CODES, max_term_width = 100)]
struct Cli {
    /// Where to run: auto, gpu, cpu, an index from `relabel adapters`, or part of an adapter's name.
    ///
    /// auto takes a discrete GPU, else an integrated one, else a software adapter.
    #[arg(long, global = true, value_name = "ADAPTER")]
    adapter: Option<String>,
    /// Which forms kernels take: a FILE of them, `default` (nothing measured), `cached` (as measured before), or `measure`.
    ///
    /// `train` measures what nobody measured before on this adapter and keeps it in the cache folder; a resumed run takes
    /// the forms of its folder; other commands take what the cache holds. `bench --variants` shows what it holds.
    #[arg(long, global = true, value_name = "FILE", num_args = 0..=1, default_missing_value = settings::SHOWN)]
    variants: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a network from a config, with labels or without, or go on with a run.
    Train(TrainArgs),
    /// Measure a checkpoint on labelled images: accuracy, or features and clusters.
    Eval(EvalArgs),
    /// Classify images: class, probability, and what each transformed view says.
    Predict(PredictArgs),
    /// Label images with the clusters of a network that made its own labels, as a file and as contact sheets.
    ///
    /// Training images get the labels that the transport gave them; other images the cluster that the network finds
    /// most probable.
    Label(LabelArgs),
    /// Run golden cases on an adapter and compare with their answers.
    Verify(VerifyArgs),
    /// Time kernels, label assignment and training steps on an adapter.
    Bench(bench::BenchArgs),
    /// Show where the time of a training step goes, beside what the adapter can do at most.
    Profile(Box<profile::ProfileArgs>),
    /// Put finished runs beside each other.
    Compare(compare::Arguments),
    /// List every adapter with what matters of its features and limits.
    Adapters(adapters::AdaptersArgs),
    /// Check a config and print all settings with their values.
    Config(config::ConfigArgs),
    /// Look at data sets.
    #[command(subcommand)]
    Data(data::DataCommand),
    /// Print a script that completes relabel's commands in a shell.
    Completions(completions::CompletionsArgs),
}

/// Runs the program with the process's arguments. An error is printed once, to stderr; its kind decides the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mark = if matches!(error, Error::Interrupted(_)) { "stopped" } else { "error" };
            output::tell(&format!("{mark}: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let (adapter, variants) = (cli.adapter.as_deref(), cli.variants.as_deref());
    if variants == Some(settings::SHOWN) && !matches!(cli.command, Command::Bench(_)) {
        return Err(Error::Config("--variants takes a file; only `relabel bench` shows what is in use".into()));
    }
    match &cli.command {
        Command::Train(args) => train::run(args, adapter, variants),
        Command::Eval(args) => eval::run(args, adapter, variants),
        Command::Predict(args) => predict::run(args, adapter, variants),
        Command::Label(args) => label::run(args, adapter, variants),
        Command::Verify(args) => verify::run(args, adapter, variants),
        Command::Bench(args) => bench::run(args, adapter, variants),
        Command::Profile(args) => profile::run(args, adapter, variants),
        Command::Compare(args) => compare::run(args),
        Command::Adapters(args) => adapters::run(args),
        Command::Config(args) => config::run(args, adapter),
        Command::Data(command) => data::run(command, adapter),
        Command::Completions(args) => completions::run(args, &mut Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
