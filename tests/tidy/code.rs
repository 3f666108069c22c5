//! Just enough of Rust's grammar to read paths: comments and strings out, tokens, use-trees opened.

/// Code with comments, strings and characters blanked; every line keeps its number.
pub fn strip(text: &str) -> String {
    let c: Vec<char> = text.chars().collect();
    let at = |i: usize| c.get(i).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut i = 0;
    while i < c.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => i + c[i..].iter().take_while(|&&x| x != '\n').count(),
            ('/', '*') => end_of_block(&c, i),
            ('"', _) => end_of_string(&c, i),
            ('\'', '\\') => i + 3 + c[(i + 3).min(c.len())..].iter().take_while(|&&x| x != '\'').count() + 1,
            ('\'', _) if at(i + 2) == '\'' => i + 3,
            _ => i,
        };
        if end == i {
            out.push(c[i]);
            i += 1;
        } else {
            let end = end.min(c.len());
            out.extend(c[i..end].iter().map(|&x| if x == '\n' { '\n' } else { ' ' }));
            i = end;
        }
    }
    out
}

fn end_of_block(c: &[char], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < c.len() {
        match (c[i], c[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    c.len()
}

fn end_of_string(c: &[char], start: usize) -> usize {
    let hashes = c[..start].iter().rev().take_while(|&&x| x == '#').count();
    let before = &c[..start - hashes];
    let word: String = before.iter().rev().take_while(|x| is_word(**x)).collect();
    if matches!(word.as_str(), "r" | "rb" | "rc") {
        // A raw string (the prefix was read backwards): ends at a quote and as many hashes.
        let mut i = start + 1;
        while i < c.len() && !(c[i] == '"' && c[i + 1..].iter().take(hashes).filter(|&&x| x == '#').count() == hashes) {
            i += 1;
        }
        return i + 1 + hashes;
    }
    let mut i = start + 1;
    while i < c.len() && c[i] != '"' {
        i += if c[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// A word, `::`, or one other character, with its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// The text.
    pub text: String,
    /// From 1.
    pub line: usize,
}

/// The tokens of code from [`strip`].
pub fn tokens(code: &str) -> Vec<Token> {
    let mut found = Vec::new();
    for (n, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            let words = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let length = if words > 0 {
                words
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            if !first.is_whitespace() {
                found.push(Token { text: rest[..length].into(), line: n + 1 });
            }
            rest = &rest[length..];
        }
    }
    found
}

/// A path that code names, from its head on, with its line.
#[derive(Debug, PartialEq)]
pub struct Named {
    /// `["crate", "gpu", "Tensor"]`.
    pub parts: Vec<String>,
    /// From 1.
    pub line: usize,
    /// The token that the path, or the tree it stands in, begins with.
    at: usize,
}

/// Every path that begins with `head`, use-trees opened into one path each.
pub fn paths(tokens: &[Token], head: &str) -> Vec<Named> {
    let mut found = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let begins = token.text == head && tokens.get(i + 1).is_some_and(|t| t.text == "::");
        if begins && (i == 0 || tokens[i - 1].text != "::") {
            let first = found.len();
            tree(tokens, i, &[], &mut found);
            found[first..].iter_mut().for_each(|n| n.at = i);
        }
    }
    found
}

/// Reads one tree from `i`; returns where it ends.
fn tree(tokens: &[Token], mut i: usize, prefix: &[String], found: &mut Vec<Named>) -> usize {
    let mut parts = prefix.to_vec();
    let line = tokens.get(i).map_or(0, |t| t.line);
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    loop {
        match text(i) {
            "{" => {
                i += 1;
                while !matches!(text(i), "}" | "") {
                    i = tree(tokens, i, &parts, found);
                    // What follows a name inside a group (`as Alias`) and the comma.
                    while !matches!(text(i), "," | "}" | "") {
                        i += 1;
                    }
                    i += usize::from(text(i) == ",");
                }
                return i + 1;
            }
            "self" if !parts.is_empty() => {}
            word if word == "*" || word.starts_with(is_word) => parts.push(word.into()),
            _ => break, // a turbofish, for one
        }
        i += 1;
        if text(i) != "::" {
            break;
        }
        i += 1;
    }
    found.push(Named { parts, line, at: i });
    i
}

/// The module of a source file: `src/graph/ops/add.rs` is `["graph", "ops", "add"]`, `src/lib.rs` is `[]`.
pub fn module_of(file: &str) -> Vec<String> {
    let path = file.strip_prefix("src/").unwrap_or(file).trim_end_matches(".rs");
    let mut parts: Vec<String> = path.split('/').map(Into::into).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// The inline modules (`mod tests { .. }`) that each token stands in, outermost first.
fn inline_modules(tokens: &[Token]) -> Vec<Vec<String>> {
    let (mut depth, mut open): (usize, Vec<(usize, String)>) = (0, Vec::new());
    let mut found = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => {
                if i >= 2 && tokens[i - 2].text == "mod" {
                    open.push((depth, tokens[i - 1].text.clone()));
                }
                depth += 1;
            }
            "}" => {
                depth = depth.saturating_sub(1);
                if open.last().is_some_and(|(d, _)| *d == depth) {
                    open.pop();
                }
            }
            _ => {}
        }
        found.push(open.iter().map(|(_, name)| name.clone()).collect());
    }
    found
}

/// All paths of a file into its own crate, as seen from the crate's root.
pub fn own_paths(module: &[String], tokens: &[Token]) -> Vec<Named> {
    let mut found = paths(tokens, "crate");
    found.iter_mut().for_each(|named| drop(named.parts.remove(0)));
    let inline = inline_modules(tokens);
    for mut named in paths(tokens, "super") {
        let here = [module, &inline[named.at]].concat();
        let up = named.parts.iter().take_while(|p| *p == "super").count();
        named.parts.splice(..up, here[..here.len().saturating_sub(up)].iter().cloned());
        found.push(named);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(code: &str, head: &str) -> Vec<String> {
        paths(&tokens(&strip(code)), head).iter().map(|n| format!("{} {}", n.line, n.parts.join("::"))).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let code =
            "a // crate::x\n/* crate::y /* z */ crate */ b \"crate::\\\" q\" r#\"crate \" it\"# '\"' '\\'' c<'a> 'd'";
        let stripped = strip(code);
        assert!(!stripped.contains("crate") && !stripped.contains('q') && !stripped.contains("it"), "{stripped}");
        let words: Vec<String> = tokens(&stripped).into_iter().map(|t| t.text).collect();
        assert_eq!(words, ["a", "b", "r", "#", "c", "<", "'", "a", ">"].map(String::from).to_vec(), "{stripped}");
        assert_eq!(tokens(&stripped).last().map(|t| t.line), Some(2));
    }

    #[test]
    fn an_unclosed_string_or_comment_ends_the_file() {
        assert_eq!(strip("a \"b").trim(), "a");
        assert_eq!(strip("a /* b").trim(), "a");
        assert_eq!(strip("a '\\").trim(), "a");
    }

    #[test]
    fn use_trees_are_opened() {
        let code = "use crate::{base::{Array, Result as R}, gpu::{self, Tensor},\n nn::*};\nlet x = crate::data::open::<u8>(1);";
        let found = joined(code, "crate");
        let lines =
            ["1 crate::base::Array", "1 crate::base::Result", "1 crate::gpu", "1 crate::gpu::Tensor", "2 crate::nn::*"];
        assert_eq!(found[..5], lines.map(String::from));
        assert_eq!(found[5], "3 crate::data::open");
        assert_eq!(found.len(), 6);
    }

    #[test]
    fn a_head_inside_a_path_is_not_a_head() {
        assert_eq!(joined("x::std::fs; std::fs::read(a)", "std"), ["1 std::fs::read"]);
    }

    #[test]
    fn super_is_resolved() {
        let module = module_of("src/graph/ops/add.rs");
        assert_eq!(module, ["graph", "ops", "add"]);
        assert_eq!(module_of("src/graph/mod.rs"), ["graph"]);
        assert!(module_of("src/lib.rs").is_empty());
        let resolved = |code: &str| -> Vec<String> {
            own_paths(&module, &tokens(code)).iter().map(|n| n.parts.join("::")).collect()
        };
        assert_eq!(
            resolved("use super::super::super::train::{A, B}; use super::Io;"),
            ["train::A", "train::B", "graph::ops::Io"]
        );
        let inside = "mod a { fn f() { super::x } mod b { use super::super::super::Io; } } fn g() { super::y }";
        assert_eq!(resolved(inside), ["graph::ops::add::x", "graph::ops::Io", "graph::ops::y"]);
    }
}
