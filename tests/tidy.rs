//! The rules of the tree itself: the direction of the floors, the form of a shader, who may wait, print and touch
//! files, and what the documents owe. Each rule is a function over text, tried on samples that it must refuse.

mod code;
mod documents;
mod floors;
mod manners;
mod shaders;

use std::path::{Path, PathBuf};

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file, by its path from the root.
fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Files below a folder with one of these endings (all when none is given), as sorted paths from the root with `/`
/// between; empty when the folder is not there. Hidden files and build folders are left out.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            if name == "target" || name.starts_with('.') {
                continue;
            }
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let name = |p: &PathBuf| {
        let parts: Vec<_> =
            p.strip_prefix(root()).expect("below the root").iter().map(|s| s.to_string_lossy()).collect();
        parts.join("/")
    };
    let fits = |p: &String| endings.is_empty() || endings.iter().any(|e| p.ends_with(e));
    let mut names: Vec<String> = found.iter().map(name).filter(fits).collect();
    names.sort();
    names
}

/// The last part of a path without its ending.
fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('.').next().unwrap_or(name)
}

/// Fails with all complaints at once.
fn no(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} to mend:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn the_walk_sees_the_tree() {
    let rust = files("src", &[".rs"]);
    assert!(rust.contains(&"src/lib.rs".to_string()) && rust.contains(&"src/base/error.rs".to_string()));
    assert!(rust.iter().all(|f| f.ends_with(".rs")));
    assert!(files("no-such-folder", &[]).is_empty());
    assert_eq!(stem("shaders/reduce/sum_all.wgsl"), "sum_all");
}
