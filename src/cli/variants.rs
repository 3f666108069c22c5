//! `relabel bench --variants`: the forms that were measured on an adapter.

use super::output;
use crate::base::Result;
use crate::gpu::Engine;
use crate::kernels::product::Product;
use crate::session::variants::{Chosen, Wish, cache_file};

/// Prints the classes of shapes that the cache holds for a device, with the forms that were tried and their times.
pub(super) fn show(engine: &Engine) -> Result<()> {
    output::print(&format!("adapter: {}\n", engine.describe()))?;
    let chosen = Chosen::set(engine, &Wish::Cached, output::tell)?;
    let place = cache_file(engine).map_or("no folder for it".to_owned(), |path| path.display().to_string());
    output::print(&format!("cache:   {place}\n"))?;
    if chosen.file.classes.is_empty() {
        return output::print("nothing was measured on it yet; `relabel train` does\n");
    }
    let mut table = output::table();
    table.set_header(["class", "form", "ms", "GFLOP/s", ""]);
    for (class, forms) in &chosen.file.classes {
        if forms.candidates.is_empty() {
            let form = format!("{} ({})", forms.kernel, forms.form);
            table.add_row([class.clone(), form, String::new(), String::new(), "the only one".into()]);
        }
        let operations = Product::of_class(class).map_or(0, |product| product.operations());
        for (i, tried) in forms.candidates.iter().enumerate() {
            let taken = (&tried.kernel, &tried.form) == (&forms.kernel, &forms.form);
            let time = |of: &dyn Fn(f64) -> String| tried.milliseconds.map_or(String::new(), of);
            let said = tried.struck_out.as_ref().map(|why| format!("struck out: {why}"));
            table.add_row([
                if i == 0 { class.clone() } else { String::new() },
                format!("{} ({})", tried.kernel, tried.form),
                time(&|ms| format!("{ms:.3}")),
                time(&|ms| format!("{:.1}", operations as f64 / (1e6 * ms))),
                said.unwrap_or_else(|| if taken { "taken".into() } else { String::new() }),
            ]);
        }
    }
    output::print(&format!("{table}\n"))
}
