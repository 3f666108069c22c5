//! One section of a config: its defaults, and the checks that every section gets.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// A value out of range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key within its section.
    pub key: &'static str,
    /// The value seen.
    pub seen: String,
    /// What is allowed, to follow "it must be".
    pub allowed: String,
}

/// Fails with a [`Fault`] unless `holds`.
///
/// # Errors
/// When `holds` is false.
pub fn need(holds: bool, key: &'static str, seen: impl Display, allowed: impl Into<String>) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault { key, seen: seen.to_string(), allowed: allowed.into() }) }
}

/// The settings of one `[section]`: a flat struct (no tables within) without `Option` fields, so that its default
/// lists every key. A method or a model adds its own section by implementing this.
pub trait Section: Serialize + DeserializeOwned + Default {
    /// Refuses values out of range, and settings of this section that contradict each other.
    ///
    /// # Errors
    /// The first value that is not allowed.
    fn check(&self) -> Result<(), Fault>;
}

/// A section that a config may have: its name, its defaults, and how it is checked.
#[derive(Clone, Debug)]
pub struct KnownSection {
    /// What stands between the brackets; empty for the settings before the first section.
    pub name: &'static str,
    /// Every key with its default.
    pub defaults: Table,
    fits: fn(&str, &Value) -> Result<(), String>,
    fault: fn(&Table) -> Option<Fault>,
}

impl KnownSection {
    /// The section that `T` describes.
    ///
    /// # Panics
    /// When `T`'s default is not a flat table: an error in the program, which any test meets.
    pub fn of<T: Section>(name: &'static str) -> Self {
        let defaults = defaults::<T>();
        assert!(defaults.values().all(|v| !v.is_table()), "section [{name}] is not flat");
        Self { name, defaults, fits: fits::<T>, fault: |table| read::<T>(table).map_or(None, |t| t.check().err()) }
    }

    /// Tests the type of one value; the text says what was found and what is expected.
    pub(super) fn fits(&self, key: &str, value: &Value) -> Result<(), String> {
        (self.fits)(key, value)
    }

    /// The first value out of range in a section whose values have the right types.
    pub(super) fn fault(&self, given: &Table) -> Option<Fault> {
        (self.fault)(given)
    }

    /// The key with its section, as in `--set`.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.into() } else { format!("{}.{key}", self.name) }
    }

    /// The defaults, overlaid with what was given.
    pub(super) fn complete(&self, given: &Table) -> Table {
        overlay(self.defaults.clone(), given)
    }
}

fn defaults<T: Section>() -> Table {
    Table::try_from(T::default()).expect("the default of a section is a table of plain values")
}

fn overlay(mut base: Table, given: &Table) -> Table {
    for (key, value) in given {
        base.insert(key.clone(), value.clone());
    }
    base
}

/// A section from the keys that were given; the others have their defaults.
pub(super) fn read<T: Section>(given: &Table) -> Result<T, toml::de::Error> {
    Value::Table(overlay(defaults::<T>(), given)).try_into()
}

/// Only this value differs from the defaults, so an error is about it.
fn fits<T: Section>(key: &str, value: &Value) -> Result<(), String> {
    let mut table = Table::new();
    table.insert(key.into(), value.clone());
    read::<T>(&table).map(|_| ()).map_err(|e| plain(e.message(), value))
}

/// Puts serde's words for a wrong type into the words of the guide.
fn plain(message: &str, value: &Value) -> String {
    let Some((_, expected)) = message.rsplit_once("expected ") else { return message.trim().into() };
    let expected = match expected.trim() {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, at least 0",
        "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text in quotes",
        "a sequence" => "an array, such as [1, 2]",
        other => other,
    };
    format!("it is {} and must be {expected}", shown(value))
}

/// A value as it would stand in a file, cut short when long.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::Table(_) => "a section".into(),
        other => other.to_string(),
    };
    if text.chars().count() > 80 { text.chars().take(77).chain("...".chars()).collect() } else { text }
}
