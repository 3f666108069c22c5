//! Prints the kernel bench of the default adapter: `cargo run --release --example bench_kernels`.

use relabel::bench::{Options, kernels};
use relabel::gpu::Engine;

fn main() -> relabel::base::Result<()> {
    let options = relabel::gpu::Options { checked: false, ..relabel::gpu::Options::default() };
    let engine = Engine::open(&options)?;
    println!("{}", engine.describe());
    for row in kernels(&engine, &Options::default())? {
        println!(
            "{:24} {:40} {:9.3} ms {:7.1} GFLOP/s {:7.1} GB/s ± {:.0} %",
            row.name,
            row.shape,
            row.milliseconds,
            row.gflops,
            row.gbytes_per_s,
            50.0 * row.spread
        );
    }
    Ok(())
}
