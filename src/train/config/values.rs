//! Values that may be written in more than one way: `"auto"` or numbers, sizes with a unit, a number or a file.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Value;

use crate::base::{Error, Result};
use crate::data::{ClassRef, Labels, Validation};

fn unexpected<E: serde::de::Error>(expected: &str) -> E {
    E::custom(format!("invalid type, expected {expected}"))
}

/// One number for each channel of an image, or `"auto"`.
#[derive(Clone, Debug, PartialEq)]
pub enum ChannelValues {
    /// Measured on the training images.
    Auto,
    /// One number for all channels, or three.
    Values(Vec<f64>),
}

impl ChannelValues {
    /// The value of each of `channels` channels; `None` for `"auto"`. One value counts for all channels, and three
    /// equal ones also for one channel.
    ///
    /// # Errors
    /// [`Error::Config`] when three different values meet images of one channel; `key` names the setting.
    pub fn for_channels(&self, channels: usize, key: &str) -> Result<Option<Vec<f64>>> {
        let Self::Values(values) = self else { return Ok(None) };
        if values.len() == channels {
            return Ok(Some(values.clone()));
        }
        match values.first() {
            Some(&first) if values.iter().all(|&v| v == first) => Ok(Some(vec![first; channels])),
            _ => Err(Error::Config(format!(
                "`{key}` has {} values ({self}), and the images have {channels} channel(s); give one value for each \
                 channel, a single one, or \"auto\"",
                values.len(),
            ))),
        }
    }
}

impl fmt::Display for ChannelValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("\"auto\""),
            Self::Values(values) => write!(f, "{values:?}"),
        }
    }
}

impl Serialize for ChannelValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Values(values) => values.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ChannelValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let expected = "an array of 1 or 3 numbers, or \"auto\"";
        match Value::deserialize(deserializer)? {
            Value::String(text) if text == "auto" => Ok(Self::Auto),
            Value::Array(items) if items.len() == 1 || items.len() == 3 => {
                let numbers: Option<Vec<f64>> = items.iter().map(number).collect();
                numbers.map(Self::Values).ok_or_else(|| unexpected(expected))
            }
            _ => Err(unexpected(expected)),
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(x) => Some(*x),
        Value::Integer(i) => Some(*i as f64),
        _ => None,
    }
}

/// Bytes of device memory, or `"auto"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemorySize {
    /// What the system or the driver says.
    Auto,
    /// This many bytes.
    Bytes(u64),
}

/// Units of a size; the first that divides a size is the one it is written with.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl MemorySize {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "auto" {
            return Some(Self::Auto);
        }
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = text.split_at(split);
        let scale = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?.1;
        let bytes = number.parse::<f64>().ok()? * scale as f64;
        // 2^63: above it a size could not be written back as a TOML integer.
        (1.0..9.2e18).contains(&bytes).then_some(Self::Bytes(bytes.round() as u64))
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Bytes(bytes) => {
                let (unit, scale) = UNITS.iter().find(|(_, scale)| bytes % scale == 0).unwrap_or(&("B", 1));
                write!(f, "{} {unit}", bytes / scale)
            }
        }
    }
}

impl Serialize for MemorySize {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemorySize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let parsed = match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text),
            Value::Integer(bytes) => u64::try_from(bytes).ok().filter(|&b| b > 0).map(Self::Bytes),
            _ => None,
        };
        let expected = "\"auto\", or a size with its unit such as \"4 GiB\" (B, KB, KiB, MB, MiB, GB, GiB)";
        parsed.ok_or_else(|| unexpected(expected))
    }
}

/// serde for [`Validation`]: `"none"`, a fraction such as 0.1, a count such as 5000, or the name of a file of indices.
pub(super) mod validation {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Validation, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match value {
            Validation::None => serializer.serialize_str("none"),
            Validation::Fraction(part) => serializer.serialize_f64(*part),
            Validation::Count(images) => serializer.serialize_u64(*images as u64),
            Validation::IndexFile(path) => match path.to_str() {
                Some(text) => serializer.serialize_str(text),
                None => Err(serde::ser::Error::custom(format!("{} is not UTF-8", path.display()))),
            },
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Validation, D::Error> {
        let expected = "\"none\", a fraction above 0 and below 1, a count of images of at least 1, or the name of a \
                        file of indices";
        let value = match Value::deserialize(deserializer)? {
            Value::String(text) => {
                let count = text.parse().map(Value::Integer);
                count.or_else(|_| text.parse().map(Value::Float)).unwrap_or(Value::String(text))
            }
            other => other,
        };
        match value {
            Value::String(text) if text == "none" => Ok(Validation::None),
            Value::String(text) if !text.trim().is_empty() => Ok(Validation::IndexFile(text.into())),
            Value::Float(part) if part > 0.0 && part < 1.0 => Ok(Validation::Fraction(part)),
            Value::Integer(images) if images > 0 => {
                usize::try_from(images).map(Validation::Count).map_err(D::Error::custom)
            }
            _ => Err(unexpected(expected)),
        }
    }
}

/// serde for [`Labels`]: a word, or the number of classes, which a text or a number may be.
pub(super) mod labels {
    use super::*;

    pub fn serialize<S: Serializer>(value: &Labels, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(value.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Labels, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::Integer(number) => number.to_string(),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let found = Labels::ALL.into_iter().find(|labels| labels.name() == text);
        found.ok_or_else(|| unexpected("\"fine\", \"coarse\", \"10\" or \"3\""))
    }
}

/// serde for groups of classes: an array of arrays of names and numbers.
pub(super) mod groups {
    use super::*;

    pub fn serialize<S: Serializer>(value: &[Vec<ClassRef>], serializer: S) -> std::result::Result<S::Ok, S::Error> {
        array(value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Vec<Vec<ClassRef>>, D::Error> {
        let class = |value: &Value| match value {
            Value::String(name) => Some(ClassRef::Name(name.clone())),
            Value::Integer(number) => u32::try_from(*number).ok().map(ClassRef::Number),
            _ => None,
        };
        let group = |value: &Value| value.as_array()?.iter().map(class).collect::<Option<Vec<_>>>();
        let value = Value::deserialize(deserializer)?;
        let read = value.as_array().and_then(|groups| groups.iter().map(group).collect());
        read.ok_or_else(|| {
            unexpected("an array of groups, each an array of class names or numbers, such as [[\"cat\", \"dog\"], [2]]")
        })
    }

    /// As it stands in a file.
    pub fn shown(value: &[Vec<ClassRef>]) -> String {
        Value::Array(array(value)).to_string()
    }

    fn array(value: &[Vec<ClassRef>]) -> Vec<Value> {
        let class = |class: &ClassRef| match class {
            ClassRef::Name(name) => Value::String(name.clone()),
            ClassRef::Number(number) => Value::Integer(i64::from(*number)),
        };
        value.iter().map(|group| Value::Array(group.iter().map(class).collect())).collect()
    }
}

/// serde for an adapter: a text, or its index as a whole number.
pub(super) mod adapter {
    use super::*;

    pub fn serialize<S: Serializer>(value: &str, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<String, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) if !text.trim().is_empty() => Ok(text),
            Value::Integer(index) if index >= 0 => Ok(index.to_string()),
            _ => Err(unexpected("\"auto\", \"gpu\", \"cpu\", an index of `relabel adapters`, or part of a name")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [("4 GiB", 4 << 30), ("512MiB", 512 << 20), ("1.5 GB", 1_500_000_000), ("7 B", 7)] {
            assert_eq!(MemorySize::parse(text), Some(MemorySize::Bytes(bytes)), "{text}");
        }
        for text in ["", "4", "4 gigs", "GiB", "-1 GiB", "1..2 GiB", "0 B", "99999999999 GiB"] {
            assert_eq!(MemorySize::parse(text), None, "{text}");
        }
        for bytes in [1, 1000, 1024, 1536, 3 << 30, 1_500_000_000, 12_345_678_901] {
            let size = MemorySize::Bytes(bytes);
            assert_eq!(MemorySize::parse(&size.to_string()), Some(size));
        }
        assert_eq!(MemorySize::Bytes(3 << 30).to_string(), "3 GiB");
    }

    #[test]
    fn one_value_counts_for_all_channels() {
        let half = ChannelValues::Values(vec![0.5]);
        assert_eq!(half.for_channels(3, "data.mean").unwrap(), Some(vec![0.5; 3]));
        let equal = ChannelValues::Values(vec![0.5; 3]);
        assert_eq!(equal.for_channels(1, "data.mean").unwrap(), Some(vec![0.5]));
        let three = ChannelValues::Values(vec![0.1, 0.2, 0.3]);
        assert_eq!(three.for_channels(3, "data.mean").unwrap(), Some(vec![0.1, 0.2, 0.3]));
        let error = three.for_channels(1, "data.mean").unwrap_err().to_string();
        assert!(error.contains("data.mean") && error.contains("[0.1, 0.2, 0.3]"), "{error}");
        assert_eq!(ChannelValues::Auto.for_channels(1, "data.mean").unwrap(), None);
    }
}
