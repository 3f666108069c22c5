//! Coarser classes, each a group of the classes of a data set.

use super::finer::Finer;
use super::set::ImageSet;
use crate::base::{Error, Result};

/// More classes than these are not listed in messages and names.
const SHOWN: usize = 20;
/// Classes that the name of a group is made of.
const NAMED: usize = 3;

/// A class, as settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassRef {
    /// By its name.
    Name(String),
    /// By its number, from 0.
    Number(u32),
}

/// Groups of classes; none leaves the classes as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// The classes of each group.
    pub members: Vec<Vec<ClassRef>>,
    /// The name of each group; empty makes names of the classes.
    pub names: Vec<String>,
}

impl Groups {
    /// Whether classes stay as they are.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// How many classes the groups are made of.
    pub fn classes(&self) -> usize {
        self.members.iter().map(Vec::len).sum()
    }

    /// The set under the groups for classes; the labels that it had stay known as finer ones, called `name`.
    ///
    /// # Errors
    /// [`Error::Config`] for a class that is not in the set, in no group or in two of them, with its name.
    pub fn apply(&self, set: ImageSet, name: &'static str) -> Result<ImageSet> {
        if self.is_empty() {
            return Ok(set);
        }
        let of = self.resolve(&set)?;
        let names = if self.names.is_empty() { names(&set.classes, &of) } else { self.names.clone() };
        Ok(set.coarsened(name, &of, names))
    }

    /// The group of each class.
    fn resolve(&self, set: &ImageSet) -> Result<Vec<u32>> {
        let mut of: Vec<Option<u32>> = vec![None; set.classes.len()];
        let described = |class: usize| {
            let name = &set.classes[class];
            if *name == class.to_string() { format!("class {class}") } else { format!("`{name}` (class {class})") }
        };
        let bad = |what: String| Error::Config(format!("data.groups: {what}"));
        for (group, members) in self.members.iter().enumerate() {
            for member in members {
                let class = match member {
                    ClassRef::Name(name) => set.classes.iter().position(|class| class == name),
                    ClassRef::Number(number) => Some(*number as usize).filter(|&number| number < set.classes.len()),
                };
                let class = class.ok_or_else(|| bad(format!("group {group} has {}", unknown(member, set))))?;
                if let Some(first) = of[class].replace(group as u32) {
                    return Err(bad(format!(
                        "{} is in group {first} and in group {group} (from 0); each class is in one",
                        described(class)
                    )));
                }
            }
        }
        if let Some(class) = of.iter().position(Option::is_none) {
            let more = of.iter().filter(|group| group.is_none()).count() - 1;
            let more = if more > 0 { format!(" (nor are {more} others)") } else { String::new() };
            return Err(bad(format!(
                "{} of {} is in no group{more}; each class is in one, if need be alone",
                described(class),
                set.name
            )));
        }
        Ok(of.into_iter().flatten().collect())
    }
}

/// What to say of a class that is not there.
fn unknown(member: &ClassRef, set: &ImageSet) -> String {
    let name = match member {
        ClassRef::Number(number) => {
            let most = set.classes.len().saturating_sub(1);
            return format!("class {number}; {} has classes 0 to {most}", set.name);
        }
        ClassRef::Name(name) => name,
    };
    let near = set.classes.iter().map(|class| (strsim::jaro_winkler(class, name), class));
    let hint = match near.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, class)) if score > 0.8 => format!("; did you mean `{class}`?"),
        _ => {
            let more = if set.classes.len() > SHOWN { ", …" } else { "" };
            format!("; there are {}{more}", set.classes[..set.classes.len().min(SHOWN)].join(", "))
        }
    };
    format!("`{name}`, which is no class of {}{hint}", set.name)
}

/// Names of groups, made of their classes: `of` has the group of each class.
pub(super) fn names(classes: &[String], of: &[u32]) -> Vec<String> {
    let count = of.iter().max().map_or(0, |&group| group as usize + 1);
    let mut members: Vec<Vec<&str>> = vec![Vec::new(); count];
    for (class, &group) in classes.iter().zip(of) {
        members[group as usize].push(class);
    }
    let name = |members: Vec<&str>| {
        let more = members.len().saturating_sub(NAMED);
        // A single one more is named as well.
        if more <= 1 {
            return members.join(" + ");
        }
        format!("{} + {more} more", members[..NAMED].join(" + "))
    };
    members.into_iter().map(name).collect()
}

impl ImageSet {
    /// The set under coarser classes: `of` has the coarser class of each class. The labels that it had become known finer
    /// ones.
    pub(super) fn coarsened(mut self, name: &'static str, of: &[u32], classes: Vec<String>) -> Self {
        let coarser = self.labels.iter().map(|&label| of[label as usize]).collect();
        let finer = Finer {
            name,
            classes: std::mem::replace(&mut self.classes, classes),
            labels: std::mem::replace(&mut self.labels, coarser),
        };
        self.finer.push(finer);
        self
    }
}
