//! What the documents owe: a reason for each dependency, a way to each guide page, and links that lead somewhere.

use super::{files, no, read, root};

/// Names in every dependency table of a manifest.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut names: Vec<String> =
        kinds.iter().filter_map(|k| manifest.get(*k)?.as_table()).flat_map(|t| t.keys().cloned()).collect();
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    names.extend(targets.into_iter().flat_map(|t| t.values()).filter_map(toml::Value::as_table).flat_map(dependencies));
    names
}

/// Names that have a line "- `name`: reason".
fn reasoned(document: &str) -> Vec<String> {
    let line = |l: &str| {
        let (name, reason) = l.strip_prefix("- `")?.split_once("`: ")?;
        (reason.split_whitespace().count() >= 3).then(|| name.to_string())
    };
    document.lines().filter_map(line).collect()
}

/// What differs between the manifest's dependencies and those with a reason.
fn unexplained(manifest: &str, document: &str) -> Vec<String> {
    let names = dependencies(&manifest.parse().expect("a manifest"));
    let given = reasoned(document);
    let mut wrong: Vec<String> =
        names.iter().filter(|n| !given.contains(n)).map(|n| format!("{n} has no line of reason")).collect();
    wrong.extend(given.iter().filter(|n| !names.contains(n)).map(|n| format!("{n} has a reason but is no dependency")));
    wrong
}

/// Where the links of a Markdown text lead: `[..](here)`, without the part after `#`.
fn links(text: &str) -> Vec<&str> {
    let mut inside = false;
    let prose = text.lines().filter(move |l| {
        inside ^= l.starts_with("```");
        !inside
    });
    let targets = prose.flat_map(|l| l.split("](").skip(1)).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split('#').next().unwrap_or(target)).filter(|t| !t.is_empty()).collect()
}

/// A link from a file, as a path from the root; nothing for an address.
fn resolve(from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn pages() -> Vec<String> {
    let top = ["README.md", "CHANGELOG.md"].map(String::from).into_iter();
    top.chain(files("docs", &[".md"])).collect()
}

#[test]
fn every_dependency_has_its_reason() {
    no(&unexplained(&read("Cargo.toml"), &read("docs/decisions.md")));
}

#[test]
fn every_page_is_linked_and_no_link_is_dead() {
    let pages = pages();
    let mut wrong = Vec::new();
    let mut linked = Vec::new();
    for page in &pages {
        let text = read(page);
        for target in links(&text).into_iter().filter_map(|l| resolve(page, l)) {
            if !root().join(&target).exists() {
                wrong.push(format!("{page}: nothing at {target}"));
            }
            if page == "README.md" || page == "docs/guide/index.md" {
                linked.push(target);
            }
        }
    }
    let lost = pages.iter().filter(|p| p.starts_with("docs/guide/") && !linked.contains(p));
    wrong.extend(lost.map(|p| format!("{p} is linked neither from README.md nor from docs/guide/index.md")));
    no(&wrong);
}

#[test]
fn the_readme_names_the_two_commands() {
    let readme = read("README.md");
    for script in ["scripts/demo", "scripts/test"] {
        assert!(readme.contains(script) && root().join(script).is_file(), "{script}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[dependencies]\nwgpu = \"30\"\n[dev-dependencies]\nnaga = \"30\"\n[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n";
        let all = "- `wgpu`: the way to GPUs\n- `naga`: reads the shaders' layout\n- `libc`: one call to the system\n";
        assert!(unexplained(manifest, all).is_empty());
        for name in ["wgpu", "naga", "libc"] {
            let fewer: Vec<&str> = all.lines().filter(|l| !l.contains(&format!("`{name}`"))).collect();
            assert_eq!(unexplained(manifest, &fewer.join("\n")), [format!("{name} has no line of reason")]);
        }
        assert_eq!(unexplained(manifest, &all.replace(": one call to the system", ": ")).len(), 1, "an empty reason");
        assert_eq!(unexplained(manifest, &format!("{all}- `rand`: was here once before\n")).len(), 1, "no dependency");
    }

    #[test]
    fn links_are_read_and_resolved() {
        let text = "a [b](c.md) and [d](../e/f.md#g), [h](#i)\n```\n[no](code.md)\n```\n[j](https://example.org/k)";
        assert_eq!(links(text), ["c.md", "../e/f.md", "https://example.org/k"]);
        assert_eq!(resolve("docs/guide/x.md", "../e/./f.md").as_deref(), Some("docs/e/f.md"));
        assert_eq!(resolve("README.md", "docs/guide/").as_deref(), Some("docs/guide"));
        assert_eq!(resolve("README.md", "https://example.org"), None);
    }
}
