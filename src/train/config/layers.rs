//! From a file and overrides to one complete table: unknown keys, types, ranges, and where a value came from.

use std::collections::HashMap;

use toml::{Table, Value};

use super::section::{Fault, KnownSection, shown};
use crate::base::{Error, Result};

/// The settings given so far.
pub(super) struct Layers {
    known: Vec<KnownSection>,
    /// Only what was given, in the form of the file.
    given: Table,
    /// Where a key's value comes from, when it is not the file: the override's text.
    origins: HashMap<String, String>,
}

impl Layers {
    pub fn new(known: Vec<KnownSection>) -> Self {
        Self { known, given: Table::new(), origins: HashMap::new() }
    }

    /// Takes the file's settings and checks keys and types.
    pub fn file(&mut self, text: &str, source: &str) -> Result<()> {
        let table: Table = text.parse().map_err(|e| Error::Config(format!("{source}: not valid TOML: {e}")))?;
        for (name, value) in &table {
            let section = self.known.iter().find(|s| !s.name.is_empty() && s.name == name);
            match (section, value) {
                (Some(section), Value::Table(given)) => check_section(given, section, &self.known, source)?,
                (Some(_), other) => {
                    return Err(Error::Config(format!(
                        "{source}: `{name}` is {}; it must be a section: a line [{name}] with its keys below",
                        shown(other),
                    )));
                }
                (None, Value::Table(_)) if !self.known[0].defaults.contains_key(name) => {
                    let names = self.known.iter().map(|s| s.name).filter(|n| !n.is_empty());
                    return Err(Error::Config(format!("{source}: unknown section [{name}]; {}", hint(name, names))));
                }
                (None, _) => check_key(name, value, &self.known[0], &self.known, source)?,
            }
        }
        self.given = table;
        let given = |key: &str| part(&self.given, "train").get(key).and_then(Value::as_integer);
        match (given("steps"), given("epochs")) {
            (None, Some(epochs)) if epochs > 0 => self.put("train", "steps", Value::Integer(0)),
            (Some(steps), None) if steps > 0 => self.put("train", "epochs", Value::Integer(0)),
            _ => {}
        }
        Ok(())
    }

    /// Takes one `section.key=value`.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let source = format!("--set {assignment}");
        let Some((path, text)) = assignment.split_once('=') else {
            return Err(Error::Config(format!("{source}: write KEY=VALUE, such as train.batch=64")));
        };
        let (path, text) = (path.trim(), text.trim());
        let (name, key) = path.split_once('.').unwrap_or(("", path));
        let Some(section) = self.known.iter().find(|s| s.name == name) else {
            let paths: Vec<String> = paths(&self.known).collect();
            let hint = hint(path, paths.iter().map(String::as_str));
            return Err(Error::Config(format!("{source}: unknown key `{path}`; {hint}")));
        };
        if name.is_empty() && self.known.iter().any(|s| s.name == key) {
            return Err(Error::Config(format!(
                "{source}: `{key}` is a section; name one of its keys, as in {key}.KEY=VALUE"
            )));
        }
        let parsed = format!("value = {text}").parse::<Table>().ok().filter(|t| t.len() == 1);
        let parsed = parsed.and_then(|mut t| t.remove("value"));
        let plain = Value::String(text.into());
        // A text that looks like a number is still a text where only a text fits.
        let value = match parsed {
            Some(value) if section.fits(key, &value).is_ok() || section.fits(key, &plain).is_err() => value,
            _ => plain,
        };
        check_key(key, &value, section, &self.known, &source)?;
        let (name, counts) = (section.name, value.as_integer().is_some_and(|n| n > 0));
        self.origins.insert(section.path(key), source);
        self.put(name, key, value);
        match (name, key) {
            ("train", "epochs") if counts => self.put("train", "steps", Value::Integer(0)),
            ("train", "steps") if counts => self.put("train", "epochs", Value::Integer(0)),
            _ => {}
        }
        Ok(())
    }

    fn put(&mut self, section: &str, key: &str, value: Value) {
        if section.is_empty() {
            self.given.insert(key.into(), value);
            return;
        }
        let entry = self.given.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(table) = entry {
            table.insert(key.into(), value);
        }
    }

    /// Checks ranges and returns every key of every known section.
    pub fn finish(self, source: &str) -> Result<Table> {
        let mut complete = Table::new();
        for section in &self.known {
            let given = part(&self.given, section.name);
            if let Some(fault) = section.fault(&given) {
                let origin = self.origins.get(&section.path(fault.key)).map_or(source, String::as_str);
                return Err(out_of_range(section, &fault, origin));
            }
            let values = section.complete(&given);
            if section.name.is_empty() {
                complete.extend(values);
            } else {
                complete.insert(section.name.into(), Value::Table(values));
            }
        }
        Ok(complete)
    }
}

/// The keys of one section; for the empty name, those before the first section.
pub(super) fn part(table: &Table, section: &str) -> Table {
    if section.is_empty() {
        return table.iter().filter(|(_, v)| !v.is_table()).map(|(k, v)| (k.clone(), v.clone())).collect();
    }
    table.get(section).and_then(Value::as_table).cloned().unwrap_or_default()
}

/// The error of a value out of range.
pub(super) fn out_of_range(section: &KnownSection, fault: &Fault, source: &str) -> Error {
    let path = section.path(fault.key);
    Error::Config(format!("{source}: `{path}` is {}; it must be {}", fault.seen, fault.allowed))
}

/// Checks the keys and types of one section.
pub(super) fn check_section(given: &Table, section: &KnownSection, known: &[KnownSection], source: &str) -> Result<()> {
    given.iter().try_for_each(|(key, value)| check_key(key, value, section, known, source))
}

fn check_key(key: &str, value: &Value, section: &KnownSection, known: &[KnownSection], source: &str) -> Result<()> {
    let path = section.path(key);
    if !section.defaults.contains_key(key) {
        return Err(Error::Config(format!("{source}: unknown key `{path}`; {}", nearest_key(key, section, known))));
    }
    section.fits(key, value).map_err(|problem| Error::Config(format!("{source}: `{path}`: {problem}")))
}

fn paths(known: &[KnownSection]) -> impl Iterator<Item = String> {
    known.iter().flat_map(|s| s.defaults.keys().map(|k| s.path(k)))
}

/// A near key of the same section, else the same key of another, else a near one of any, else the section's keys.
fn nearest_key(key: &str, section: &KnownSection, known: &[KnownSection]) -> String {
    if let Some(near) = nearest(key, section.defaults.keys().map(String::as_str)) {
        return format!("did you mean `{}`?", section.path(near));
    }
    let elsewhere: Vec<String> =
        known.iter().filter(|s| s.defaults.contains_key(key)).map(|s| format!("`{}`", s.path(key))).collect();
    if !elsewhere.is_empty() {
        return format!("did you mean {}?", elsewhere.join(" or "));
    }
    let all: Vec<String> = paths(known).collect();
    let path = section.path(key);
    if let Some(near) = nearest(&path, all.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let keys: Vec<&str> = section.defaults.keys().map(String::as_str).collect();
    format!("known here are {}", keys.join(", "))
}

fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// The known name with the fewest edits, when they are few for its length.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = |candidate: &'a str| {
        let edits = strsim::damerau_levenshtein(&name.to_lowercase(), candidate);
        // A name that another begins with, such as `weight` and `weight_decay`, is near as well.
        let begins =
            name.len() >= 3 && (candidate.starts_with(name) || name.starts_with(candidate) && candidate.len() >= 3);
        (edits <= 1 + name.len().max(candidate.len()) / 4 || begins).then_some((edits, candidate))
    };
    known.filter_map(near).min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}
