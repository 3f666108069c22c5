//! Trains a tiny network with SLA for a hundred steps on the bundled images, and evaluates it.
//!
//!     cargo run --release --example train_with_a_method

use relabel::base::Result;
use relabel::gpu::{Engine, Options};
use relabel::session;
use relabel::train::events::Silent;

const CONFIG: &str = r#"
method = "sla"

[data]
path = "assets/data/fashion-mnist-mini"
mean = "auto"
std = "auto"

[model]
name = "convnet"
widths = [8, 16]
strides = [2, 2]

[train]
batch = 32
steps = 100

[optimizer]
lr = 0.1

[schedule]
kind = "cosine"
"#;

/// Prints the metrics after 100 steps; returns them.
pub fn run(options: &Options) -> Result<Vec<(String, f64)>> {
    let engine = Engine::open(options)?;
    let path =
        format!("data.path=\"{}/assets/data/fashion-mnist-mini\"", env!("CARGO_MANIFEST_DIR").replace('\\', "/"));
    let config = session::config(CONFIG, "the example's config", &[path])?;
    let mut trainer = session::trainer(&engine, config)?;
    println!("{} parameters on {}", trainer.network().parameter_count(), engine.describe());
    let outcome = trainer.run(None, None, &mut Silent, &|| false)?;
    for (name, value) in &outcome.metrics {
        println!("{name:>22} {value:.4}");
    }
    Ok(outcome.metrics)
}

#[allow(dead_code, reason = "the tests include this file as a module and call `run`")]
fn main() -> Result<()> {
    run(&Options::default()).map(drop)
}
