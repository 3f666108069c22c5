//! Settings of a run: TOML with defaults for every key, `--set` overrides, and checks that name the key, the value
//! seen and what is allowed.

mod augment;
mod judging;
mod layers;
mod section;
mod sections;
mod values;

pub use augment::{Augment, CropKind};
pub use section::{Fault, KnownSection, Section, need};
pub(crate) use sections::MOST_STEPS;
pub use sections::{
    CheckpointSettings, Data, Device, Evaluate, EvaluateSplit, General, Labels, Log, Model, Optimizer, OptimizerKind,
    Resident, Schedule, ScheduleKind, Train,
};
pub use values::{ChannelValues, MemorySize};

use std::fmt;

use toml::{Table, Value};

use crate::base::{Error, Result};
use crate::graph::Precision;

/// Declares the sections once: the struct, their list, and both directions of the conversion.
macro_rules! config {
    ($($(#[$doc:meta])* $name:ident: $section:ty,)*) => {
        /// The settings of a run, complete and checked.
        ///
        /// Sections of methods and models lie in `sections`; [`Config::section`] reads one.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            /// Name of the training method.
            pub method: String,
            /// Seed of all random numbers.
            pub seed: u64,
            /// How feature maps are kept while training.
            pub precision: Precision,
            $($(#[$doc])* pub $name: $section,)*
            /// Sections of methods and models, by name.
            pub sections: Table,
        }

        /// What every config may have: the settings before the first section, then the sections, in order.
        fn common_sections() -> Vec<KnownSection> {
            vec![KnownSection::of::<General>(""), $(KnownSection::of::<$section>(stringify!($name)),)*]
        }

        impl Default for Config {
            fn default() -> Self {
                let General { method, seed, precision } = General::default();
                Self { method, seed, precision, $($name: <$section>::default(),)* sections: Table::new() }
            }
        }

        impl Config {
            fn from_complete(mut table: Table) -> std::result::Result<Self, toml::de::Error> {
                $(let $name = take(&mut table, stringify!($name)).try_into()?;)*
                let (sections, general) = table.into_iter().partition(|(_, value)| value.is_table());
                let General { method, seed, precision } = Value::Table(general).try_into()?;
                Ok(Self { method, seed, precision, $($name,)* sections })
            }

            fn to_table(&self) -> std::result::Result<Table, toml::ser::Error> {
                let method = self.method.clone();
                let mut table = Table::try_from(General { method, seed: self.seed, precision: self.precision })?;
                $(table.insert(stringify!($name).into(), Value::Table(Table::try_from(&self.$name)?));)*
                table.extend(self.sections.clone());
                Ok(table)
            }
        }
    };
}

config! {
    /// `[data]`.
    data: Data,
    /// `[augment]`.
    augment: Augment,
    /// `[model]`.
    model: Model,
    /// `[train]`.
    train: Train,
    /// `[optimizer]`.
    optimizer: Optimizer,
    /// `[schedule]`.
    schedule: Schedule,
    /// `[evaluate]`.
    evaluate: Evaluate,
    /// `[checkpoint]`.
    checkpoint: CheckpointSettings,
    /// `[log]`.
    log: Log,
    /// `[device]`.
    device: Device,
}

fn take(table: &mut Table, name: &str) -> Value {
    table.remove(name).unwrap_or_else(|| Value::Table(Table::new()))
}

impl Config {
    /// Reads settings from `text`, which `source` (a file's name) stands for in messages, and then `overrides` of the
    /// form `section.key=value`, in order. Values of overrides are TOML, or else plain text. `known` lists the sections
    /// that methods and models add; what neither gives has its default.
    ///
    /// `train.steps` and `train.epochs` replace each other: whichever the file, or the last override, gives counts.
    ///
    /// # Errors
    /// [`Error::Config`] for text that is not TOML, an unknown key (with the nearest known one), a value of the wrong
    /// type or out of range (naming key, value and what is allowed).
    pub fn parse(text: &str, source: &str, overrides: &[String], known: &[KnownSection]) -> Result<Self> {
        let mut all = common_sections();
        all.extend(known.iter().cloned());
        let mut layers = layers::Layers::new(all);
        layers.file(text, source)?;
        for assignment in overrides {
            layers.assign(assignment)?;
        }
        Self::from_complete(layers.finish(source)?).map_err(|e| Error::Config(format!("{source}: {}", e.message())))
    }

    /// Every setting at its default.
    ///
    /// # Errors
    /// As [`Config::parse`]: only when a default of `known` is out of its own range.
    pub fn defaults(known: &[KnownSection]) -> Result<Self> {
        Self::parse("", "defaults", &[], known)
    }

    /// All settings as TOML; [`Config::parse`] reads an equal config from it.
    ///
    /// # Errors
    /// [`Error::Config`] for a value that TOML cannot hold, such as a seed above 2⁶³ − 1.
    pub fn to_toml(&self) -> Result<String> {
        let cannot = |e: toml::ser::Error| Error::Config(format!("the config cannot be written as TOML: {e}"));
        toml::to_string(&self.to_table().map_err(cannot)?).map_err(cannot)
    }

    /// The section `name` of a method or a model, checked; at its defaults when the config lacks it.
    ///
    /// # Errors
    /// [`Error::Config`] as for [`Config::parse`].
    pub fn section<T: Section>(&self, name: &'static str) -> Result<T> {
        let empty = Table::new();
        let given = match self.sections.get(name) {
            None => &empty,
            Some(Value::Table(table)) => table,
            Some(other) => {
                return Err(Error::Config(format!("`{name}` is {}; it must be a section", section::shown(other))));
            }
        };
        let known = KnownSection::of::<T>(name);
        layers::check_section(given, &known, std::slice::from_ref(&known), "config")?;
        if let Some(fault) = known.fault(given) {
            return Err(layers::out_of_range(&known, &fault, "config"));
        }
        section::read(given).map_err(|e| Error::Config(format!("[{name}]: {}", e.message())))
    }

    /// Puts the settings of a section in place, for configs built from Rust.
    ///
    /// # Errors
    /// [`Error::Config`] when a value is out of range or cannot be written as TOML.
    pub fn set_section<T: Section>(&mut self, name: &'static str, section: &T) -> Result<()> {
        let known = KnownSection::of::<T>(name);
        section.check().map_err(|fault| layers::out_of_range(&known, &fault, "config"))?;
        let table = Table::try_from(section).map_err(|e| Error::Config(format!("[{name}]: {e}")))?;
        self.sections.insert(name.into(), Value::Table(table));
        Ok(())
    }

    /// The settings in which this config differs from `before`, in order.
    ///
    /// # Errors
    /// [`Error::Config`] for a value that TOML cannot hold.
    pub fn differences(&self, before: &Self) -> Result<Vec<Difference>> {
        let flat = |config: &Self| -> Result<Vec<(String, Value)>> {
            let table =
                config.to_table().map_err(|e| Error::Config(format!("the config cannot be written as TOML: {e}")))?;
            let entries = table.into_iter().flat_map(|(name, value)| match value {
                Value::Table(section) => section.into_iter().map(|(key, v)| (format!("{name}.{key}"), v)).collect(),
                value => vec![(name, value)],
            });
            Ok(entries.collect())
        };
        let (now, mut before) = (flat(self)?, flat(before)?);
        let mut differences = Vec::new();
        for (key, value) in now {
            let place = before.iter().position(|(k, _)| *k == key);
            let old = place.map(|place| before.remove(place).1);
            if old.as_ref() != Some(&value) {
                differences.push(Difference { key, now: Some(value), before: old });
            }
        }
        let gone = before.into_iter().map(|(key, value)| Difference { key, now: None, before: Some(value) });
        Ok(differences.into_iter().chain(gone).collect())
    }

    /// Checks the ranges of all common settings again, for configs built or changed from Rust.
    ///
    /// # Errors
    /// [`Error::Config`] for the first value out of range.
    pub fn check(&self) -> Result<()> {
        let table = self.to_table().map_err(|e| Error::Config(format!("the config cannot be written as TOML: {e}")))?;
        let known: Vec<KnownSection> = common_sections();
        for section in &known {
            let given = layers::part(&table, section.name);
            if let Some(fault) = section.fault(&given) {
                return Err(layers::out_of_range(section, &fault, "config"));
            }
        }
        Ok(())
    }
}

/// A setting that two configs have different values of.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `section.key`.
    pub key: String,
    /// The value now; `None` when the setting is gone.
    pub now: Option<Value>,
    /// The value before; `None` when the setting is new.
    pub before: Option<Value>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "none".into(), section::shown);
        write!(f, "`{}` = {} (before: {})", self.key, text(&self.now), text(&self.before))
    }
}
