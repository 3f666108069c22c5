//! Floor 7: the methods. One file or folder each; they never import each other.

pub mod maxl;
pub mod sela;
pub mod sla;
pub mod supervised;

use crate::base::{Error, Result, nearest};
use crate::models::vgg::Vgg;
use crate::models::{self, Backbone};
use crate::nn::Initialiser;
use crate::train::Method;
use crate::train::config::Config;

/// Every method's name.
pub const NAMES: &[&str] = &[
    "baseline",
    "da",
    "mt",
    "sla",
    "sla-sd",
    "sela",
    "sela-rot",
    "maxl",
    "maxl-single",
    "maxl-random",
    "maxl-kmeans",
    "maxl-human",
];

/// The method that a config names.
///
/// # Errors
/// When the name is unknown (with the nearest one) or the method's section is wrong.
pub fn method(config: &Config) -> Result<Box<dyn Method>> {
    match config.method.as_str() {
        "baseline" => Ok(Box::new(supervised::Supervised::baseline())),
        "da" => Ok(Box::new(supervised::Supervised::augmentation(&config.section("sla")?)?)),
        "mt" => Ok(Box::new(supervised::Supervised::multi_task(&config.section("sla")?)?)),
        "sla" => Ok(Box::new(sla::LabelAugmentation::new(&config.section("sla")?, false)?)),
        "sla-sd" => Ok(Box::new(sla::LabelAugmentation::new(&config.section("sla")?, true)?)),
        "sela" => Ok(Box::new(sela::SelfLabelling::new(config.section("sela")?, false)?)),
        "sela-rot" => Ok(Box::new(sela::SelfLabelling::new(config.section("sela")?, true)?)),
        "maxl" => maxl(config, maxl::Source::Generated),
        "maxl-single" => maxl(config, maxl::Source::None),
        "maxl-random" => maxl(config, maxl::Source::Random),
        "maxl-kmeans" => maxl(config, maxl::Source::Clusters),
        "maxl-human" => maxl(config, maxl::Source::Human),
        other => Err(Error::Config(format!(
            "method = \"{other}\" is unknown; did you mean \"{}\"? There are: {}",
            nearest(other, NAMES.iter().copied()),
            NAMES.join(", ")
        ))),
    }
}

fn maxl(config: &Config, source: maxl::Source) -> Result<Box<dyn Method>> {
    let generator: Box<dyn Backbone> = match config.model.name.as_str() {
        // As the official generator starts.
        "vgg16" => Box::new(Vgg::new(&config.model.widths, Initialiser::XavierNormal)?),
        _ => models::backbone(&config.model)?,
    };
    Ok(Box::new(maxl::Maxl::new(config.section("maxl")?, source, generator)?))
}
