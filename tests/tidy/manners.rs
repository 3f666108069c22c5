//! Who may wait for the device, touch files and print; how long a file may be; what no file may name.

use super::code::{Token, paths, strip, tokens};
use super::{files, no, read};

/// Lines a source file may have.
const LONGEST: usize = 600;

/// A rule about source files: what it finds, and where that is allowed.
struct Rule {
    what: &'static str,
    finds: fn(&[Token]) -> Option<usize>,
    allowed: &'static [&'static str],
}

const RULES: &[Rule] = &[
    Rule { what: "waits for the device", finds: waits, allowed: &["src/gpu/readback.rs"] },
    Rule { what: "blocks on a future", finds: |t| first_path(t, "pollster"), allowed: &["src/gpu/"] },
    Rule {
        what: "touches files",
        finds: touches_files,
        allowed: &[
            "src/data/",
            "src/train/checkpoint",
            "src/report",
            "src/export",
            "src/verify/golden.rs",
            "src/cli/",
            "src/gpu/engine.rs", // RELABEL_DUMP_SHADERS
            "src/gpu/clock.rs",
            "src/session/variants", // processor time
        ],
    },
    Rule { what: "prints", finds: prints, allowed: &["src/cli/", "src/main.rs"] },
];

fn first_path(tokens: &[Token], head: &str) -> Option<usize> {
    paths(tokens, head).first().map(|n| n.line)
}

/// The line of the first `poll(..)`, `map_async(..)` or `PollType`.
fn waits(tokens: &[Token]) -> Option<usize> {
    let called = |i: usize| i > 0 && tokens[i - 1].text == "." && tokens.get(i + 1).is_some_and(|t| t.text == "(");
    let found = tokens.iter().enumerate().find(|(i, t)| match t.text.as_str() {
        "poll" | "map_async" => called(*i),
        "PollType" => true,
        _ => false,
    });
    found.map(|(_, t)| t.line)
}

/// The line of the first `std::fs` or `tempfile`.
fn touches_files(tokens: &[Token]) -> Option<usize> {
    let fs = paths(tokens, "std").into_iter().find(|n| n.parts.get(1).is_some_and(|p| p == "fs")).map(|n| n.line);
    fs.or_else(|| first_path(tokens, "tempfile"))
}

/// The line of the first printing macro.
fn prints(tokens: &[Token]) -> Option<usize> {
    let macros = ["print", "println", "eprint", "eprintln", "dbg"];
    let pair = tokens.windows(2).find(|w| w[1].text == "!" && macros.contains(&w[0].text.as_str()));
    pair.map(|w| w[0].line)
}

fn complaints(file: &str, text: &str) -> Vec<String> {
    let tokens = tokens(&strip(text));
    let broken = RULES.iter().filter(|r| !r.allowed.iter().any(|a| file.starts_with(a)));
    broken
        .filter_map(|r| Some(format!("{file}:{}: {}; allowed in {:?}", (r.finds)(&tokens)?, r.what, r.allowed)))
        .collect()
}

fn too_long(file: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LONGEST).then(|| format!("{file}: {lines} lines; a file is about one thing and has at most {LONGEST}"))
}

/// The first line that names a folder of one machine, or the host of a package registry.
fn machine_path(text: &str) -> Option<usize> {
    // Put together here, so that this file does not name them.
    let folders = [["/ro", "ot/"], ["/wo", "rk/"], ["/ho", "me/"], ["/Us", "ers/"]].map(|p| p.concat());
    let hosts = [["//regi", "stry."], ["//in", "dex."], ["//sta", "tic."], ["//de", "b."]].map(|p| p.concat());
    let names_folder = |line: &str| {
        folders.iter().any(|f| {
            // `/x/` in the middle of a relative path or an address is no folder of a machine.
            line.match_indices(f.as_str()).any(|(i, _)| {
                !line[..i].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '}' | '*'))
            })
        })
    };
    let bad = |line: &str| names_folder(line) || hosts.iter().any(|h| line.contains(h.as_str()));
    text.lines().position(bad).map(|n| n + 1)
}

#[test]
fn only_some_wait_print_and_touch_files() {
    let all: Vec<String> = files("src", &[".rs"]).iter().flat_map(|f| complaints(f, &read(f))).collect();
    no(&all);
}

#[test]
fn files_are_short() {
    let folders = ["src", "shaders", "tests", "examples", "benches"];
    let all = folders.iter().flat_map(|f| files(f, &[".rs", ".wgsl"]));
    no(&all.filter_map(|f| too_long(&f, &read(&f))).collect::<Vec<_>>());
}

#[test]
fn no_file_names_a_machine() {
    let mut all: Vec<String> =
        ["Cargo.toml", "README.md", "CHANGELOG.md", ".ci/run", ".cargo/config.toml"].map(Into::into).into();
    for folder in ["src", "shaders", "tests", "examples", "benches", "docs"] {
        all.extend(files(folder, &[".rs", ".wgsl", ".md", ".toml", ".json"]));
    }
    all.extend(files("scripts", &[]));
    all.extend(files("assets", &[".md", ".toml", ".txt"]));
    no(&all.iter().filter_map(|f| Some(format!("{f}:{}", machine_path(&read(f))?))).collect::<Vec<_>>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_found() {
        assert_eq!(complaints("src/gpu/engine.rs", "\nself.device.poll(wait)?;").len(), 1);
        assert_eq!(complaints("src/gpu/program.rs", "slice.map_async(mode, f);").len(), 1);
        assert_eq!(complaints("src/train/driver.rs", "let x = pollster::block_on(f);").len(), 1);
        assert!(complaints("src/gpu/readback.rs", "self.device.poll(wait)?; pollster::block_on(f);").is_empty());
        assert!(complaints("src/data/prefetch.rs", "fn poll(x: u8) {} poll(3); // device.poll(").is_empty());
    }

    #[test]
    fn touching_files_is_found() {
        assert_eq!(complaints("src/nn/linear.rs", "use std::{io, fs::{self, File}};").len(), 1);
        assert_eq!(complaints("src/train/driver.rs", "std::fs::write(a, b)?;").len(), 1);
        assert_eq!(complaints("src/train/config.rs", "let t = tempfile::tempdir()?;").len(), 1);
        assert!(complaints("src/train/checkpoint.rs", "use std::fs;").is_empty());
        assert!(complaints("src/nn/linear.rs", "use std::path::Path; let s = \"std::fs::read\";").is_empty());
    }

    #[test]
    fn printing_is_found() {
        assert_eq!(
            complaints("src/train/driver.rs", "\n\nprintln!(\"step\");"),
            ["src/train/driver.rs:3: prints; allowed in [\"src/cli/\", \"src/main.rs\"]"]
        );
        assert_eq!(complaints("src/gpu/mod.rs", "if x { eprintln!(\"x\") }").len(), 1);
        assert!(complaints("src/cli/train.rs", "println!(\"step\");").is_empty());
        assert!(complaints("src/gpu/mod.rs", "/// println!(\"x\")\nfn print() { writeln!(f, \"x\"); }").is_empty());
    }

    #[test]
    fn long_files_are_found() {
        assert!(too_long("a.rs", &"x\n".repeat(LONGEST)).is_none());
        assert!(too_long("a.rs", &"x\n".repeat(LONGEST + 1)).is_some());
    }

    #[test]
    fn machine_paths_are_found() {
        assert_eq!(machine_path(&format!("ok\nsee {}x", ["/wo", "rk/"].concat())), Some(2));
        assert_eq!(machine_path(&["`/ro", "ot/.cache`"].concat()), Some(1));
        assert_eq!(machine_path(&["https://sta", "tic.example"].concat()), Some(1));
        assert_eq!(machine_path("src/work/x target/root/y https://example.org/home/page ~/.cargo ../root/x"), None);
    }
}
