//! A module uses only lower floors; modules of one floor do not know each other, and neither do methods.

use std::collections::BTreeSet;

use super::code::{module_of, own_paths, strip, tokens};
use super::{files, no, read};

/// The floors, from the ground up.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("gpu", 1),
    ("kernels", 2),
    ("graph", 3),
    ("data", 3),
    ("nn", 4),
    ("transport", 4),
    ("kmeans", 4),
    ("eval", 4),
    ("models", 5),
    ("train", 6),
    ("methods", 7),
    ("report", 7),
    ("export", 7),
    ("session", 8),
    ("verify", 8),
    ("assess", 9),
    ("bench", 9),
    ("profile", 9),
    ("cli", 10),
];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, level)| *level)
}

/// What is wrong with `module` naming `path` (both from the crate's root); `methods` are the modules in `src/methods`.
fn breach(module: &[String], path: &[String], methods: &BTreeSet<String>) -> Option<String> {
    let (own, target) = (module.first()?, path.first()?);
    let level = floor(own)?; // a module without a floor is one complaint of its own
    if own == target {
        let (from, to) = (module.get(1)?, path.get(1)?);
        let sideways = own == "methods" && from != to && methods.contains(from) && methods.contains(to);
        return sideways.then(|| format!("method {from} uses method {to}; what two methods share moves down a floor"));
    }
    match floor(target) {
        None => Some(format!("{target} is no floor: name the module that the item stands in")),
        Some(below) if below < level => None,
        Some(same) if same == level => Some(format!("{own} uses {target}, on the same floor ({level})")),
        Some(above) => Some(format!("{own} (floor {level}) uses {target} (floor {above})")),
    }
}

fn complaints(file: &str, text: &str, methods: &BTreeSet<String>) -> Vec<String> {
    let module = module_of(file);
    let found = own_paths(&module, &tokens(&strip(text)));
    found.iter().filter_map(|n| Some(format!("{file}:{}: {}", n.line, breach(&module, &n.parts, methods)?))).collect()
}

fn methods() -> BTreeSet<String> {
    files("src/methods", &[".rs"]).iter().filter_map(|f| module_of(f).get(1).cloned()).collect()
}

#[test]
fn imports_point_down() {
    let methods = methods();
    let all: Vec<String> = files("src", &[".rs"]).iter().flat_map(|f| complaints(f, &read(f), &methods)).collect();
    no(&all);
}

/// Modules in `src` that stand on no floor.
fn without_floor(files: &[String]) -> BTreeSet<String> {
    files.iter().filter_map(|f| module_of(f).into_iter().next()).filter(|m| floor(m).is_none()).collect()
}

#[test]
fn every_module_has_a_floor() {
    let without = without_floor(&files("src", &[".rs"]));
    assert!(without.is_empty(), "give these modules a floor in tests/tidy/floors.rs: {without:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(file: &str, text: &str) -> Vec<String> {
        let methods = ["supervised", "sla"].map(String::from).into();
        complaints(file, text, &methods)
    }

    #[test]
    fn downward_passes() {
        let lower = "use crate::base::{Array, Result};\nuse crate::gpu::Tensor;\nuse super::{Graph, Io};";
        assert!(bad("src/graph/ops/add.rs", lower).is_empty());
        assert!(bad("src/cli/train.rs", "use crate::{methods::sla, eval, train::Method};").is_empty());
        assert!(bad("src/methods/sla/loss.rs", "use super::config::Sla; use crate::methods::sla::views;").is_empty());
        assert!(
            bad("src/methods/mod.rs", "pub mod sla; use self::sla::Sla; use crate::methods::supervised;").is_empty()
        );
        assert!(bad("src/lib.rs", "pub use crate::train::Method;").is_empty());
        assert!(bad("src/base/shape.rs", "// crate::train\nlet x = \"crate::train\";").is_empty());
    }

    #[test]
    fn upward_sideways_and_unknown_fail() {
        assert_eq!(bad("src/base/shape.rs", "\nuse crate::gpu::Tensor;").len(), 1);
        assert!(
            bad("src/base/shape.rs", "\nuse crate::gpu::Tensor;")[0].starts_with("src/base/shape.rs:2: base (floor 0)")
        );
        assert_eq!(bad("src/gpu/mod.rs", "fn f() { crate::train::run(); }").len(), 1, "a path without use");
        assert_eq!(bad("src/nn/conv.rs", "use super::super::train::Method;").len(), 1, "by way of super");
        assert_eq!(bad("src/graph/ir.rs", "use crate::{base::Array, data::Images, cli};").len(), 2, "inside a group");
        assert_eq!(bad("src/data/set.rs", "use crate::graph::Graph;").len(), 1, "the same floor");
        assert_eq!(bad("src/eval/accuracy.rs", "use crate::methods::sla;").len(), 1, "the same floor");
        assert_eq!(bad("src/gpu/mod.rs", "use crate::Array;").len(), 1, "an item of the root");
        let files = ["src/lib.rs", "src/attic/mod.rs", "src/cellar.rs", "src/gpu/mod.rs"].map(String::from);
        assert_eq!(without_floor(&files), ["attic", "cellar"].map(String::from).into());
    }

    #[test]
    fn methods_do_not_know_each_other() {
        assert_eq!(bad("src/methods/sla/mod.rs", "use crate::methods::supervised::Baseline;").len(), 1);
        assert_eq!(bad("src/methods/sla.rs", "use super::supervised;").len(), 1);
        assert_eq!(bad("src/methods/supervised.rs", "use crate::methods::{self, sla::Sla};").len(), 1);
    }
}
