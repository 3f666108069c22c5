//! Every shader has its header, its Rust file and its line in the registry, and the other way round.

use std::collections::BTreeSet;
use std::path::PathBuf;

use relabel::gpu::elements::{can_be_half, kept_as};
use relabel::kernels::REGISTRY;

use super::{files, no, read, stem};

/// What a header says, in this order.
const HEADER: [&str; 4] = ["Shapes", "Dispatch", "Shared", "Order"];

/// What is missing in the comment that a kernel's shader begins with.
fn header(text: &str) -> Result<(), String> {
    let comment: Vec<&str> = text.lines().map_while(|l| l.strip_prefix("//")).map(str::trim).collect();
    if comment.first().is_none_or(|l| l.is_empty() || HEADER.iter().any(|h| l.starts_with(h))) {
        return Err("the first line is not a comment that says what it computes".into());
    }
    let mut from = 0;
    for word in HEADER {
        let found = comment[from..].iter().position(|l| l.split_whitespace().next() == Some(word));
        let Some(at) = found else {
            return Err(format!("the header has no line {word}, or not in the order {HEADER:?}"));
        };
        if comment[from + at].split_whitespace().nth(1).is_none() {
            return Err(format!("the header's line {word} says nothing"));
        }
        from += at + 1;
    }
    Ok(())
}

/// Whether a Rust file declares a shader.
fn declares_shader(text: &str) -> bool {
    text.contains("static SHADER: Shader")
}

/// What does not fit together: stems of shaders, of Rust files that declare one, and names in the registry.
fn unmatched(shaders: &[&str], rust: &[&str], registry: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    wrong.extend(shaders.iter().filter(|s| !seen.insert(**s)).map(|s| format!("two shaders are called {s}.wgsl")));
    let lists =
        [("shader (shaders/*/*.wgsl)", shaders), ("Rust file (src/kernels/*.rs)", rust), ("registry line", registry)];
    let all: BTreeSet<&str> = lists.iter().flat_map(|(_, l)| l.iter().copied()).collect();
    for name in all {
        let missing: Vec<&str> = lists.iter().filter(|(_, l)| !l.contains(&name)).map(|(what, _)| *what).collect();
        if !missing.is_empty() {
            wrong.push(format!("{name}: no {}", missing.join(", no ")));
        }
    }
    wrong
}

fn kernel_shaders() -> Vec<String> {
    files("shaders", &[".wgsl"]).into_iter().filter(|f| !f.starts_with("shaders/shared/")).collect()
}

fn stems(files: &[String]) -> Vec<&str> {
    files.iter().map(|f| stem(f)).collect()
}

#[test]
fn shaders_have_headers() {
    let shaders = kernel_shaders();
    assert!(!shaders.is_empty(), "no shader was found");
    no(&shaders.iter().filter_map(|f| Some(format!("{f}: {}", header(&read(f)).err()?))).collect::<Vec<_>>());
    let shared = files("shaders/shared", &[".wgsl"]);
    no(&shared.iter().filter(|f| !read(f).starts_with("// ")).map(|f| format!("{f}: no comment")).collect::<Vec<_>>());
}

#[test]
fn shader_rust_file_and_registry_agree() {
    let shaders = kernel_shaders();
    let rust: Vec<String> = files("src/kernels", &[".rs"]).into_iter().filter(|f| declares_shader(&read(f))).collect();
    assert!(!shaders.is_empty() && !rust.is_empty(), "{} shaders, {} Rust files", shaders.len(), rust.len());
    let registry: Vec<&str> = REGISTRY.iter().map(|k| k.shader.name).collect();
    no(&unmatched(&stems(&shaders), &stems(&rust), &registry));
}

#[test]
fn shared_texts_are_declared() {
    let declared = read("src/kernels/mod.rs");
    let shared = files("shaders/shared", &[".wgsl"]);
    let without = shared.iter().filter(|f| !declared.contains(&format!("include_str!(\"../../{f}\")")));
    no(&without.map(|f| format!("{f} is not declared in kernels::shared")).collect::<Vec<_>>());
}

/// The whole texts of the shaders, one file each in the folder that `RELABEL_DUMP_SHADERS` names (else a temporary one), and
/// again with all arrays of floats in half precision: what another compiler of WGSL can be tried on.
#[test]
fn texts_can_be_written_out() {
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = std::env::var_os("RELABEL_DUMP_SHADERS").map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    for kernel in REGISTRY {
        let (name, text) = (kernel.shader.name, kernel.shader.text());
        let names = kernel.shader.bindings.iter().map(|binding| binding.name);
        let halves: Vec<&str> = names.filter(|name| can_be_half(&text, name)).collect();
        std::fs::write(folder.join(format!("{name}.half.wgsl")), kept_as(&text, &halves, &[], false)).expect("written");
        std::fs::write(folder.join(format!("{name}.wgsl")), text).expect("written");
    }
    let sources: Vec<String> = kernel_shaders().iter().map(|f| read(f)).collect();
    for kernel in REGISTRY {
        let name = kernel.shader.name;
        let text = std::fs::read_to_string(folder.join(format!("{name}.wgsl"))).expect("read back");
        assert!(sources.iter().any(|s| text.starts_with(s.as_str())), "{name}: the text does not begin with its file");
        assert!(kernel.shader.shared.iter().all(|s| text.contains(s)), "{name}: a shared part is missing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_header_passes() {
        let text = "// Sum.\n//\n// Shapes     x (R, N)\n//            more\n// Dispatch   one\n// Shared     none\n// Order      rising\n// Paper      none\n\nstruct Params {}";
        assert_eq!(header(text), Ok(()));
    }

    #[test]
    fn a_poor_header_fails() {
        let lines = ["// Sum.", "// Shapes x", "// Dispatch y", "// Shared z", "// Order w"];
        assert_eq!(header(&lines.join("\n")), Ok(()));
        for left_out in 0..lines.len() {
            let mut fewer = lines.to_vec();
            fewer.remove(left_out);
            assert!(header(&fewer.join("\n")).is_err(), "without {}", lines[left_out]);
        }
        let mut swapped = lines;
        swapped.swap(1, 2);
        assert!(header(&swapped.join("\n")).is_err(), "another order");
        assert!(header(&lines.join("\n").replace("Order w", "Order")).is_err(), "an empty line");
        assert!(header(&format!("struct A {{}}\n{}", lines.join("\n"))).is_err(), "code first");
        assert!(header("").is_err());
    }

    #[test]
    fn what_stands_alone_is_found() {
        assert!(unmatched(&["a", "b"], &["b", "a"], &["a", "b"]).is_empty());
        assert_eq!(unmatched(&["a"], &["a"], &["a", "b"]).len(), 1);
        assert_eq!(unmatched(&["a", "b"], &["a"], &["a", "b"]), ["b: no Rust file (src/kernels/*.rs)"]);
        assert_eq!(unmatched(&["a", "b"], &["a", "b"], &["a"]), ["b: no registry line"]);
        assert_eq!(unmatched(&["a", "a"], &["a"], &["a"]).len(), 1);
        assert!(declares_shader("pub static SHADER: Shader = Shader {") && !declares_shader("pub fn row_grid()"));
    }
}
