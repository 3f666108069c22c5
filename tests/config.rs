//! Settings: what is refused and how, what overrides do, and the guide's tables.

use std::collections::BTreeMap;

use relabel::base::Error;
use relabel::data::{SamplerKind, Validation};
use relabel::session;
use relabel::train::config::{ChannelValues, Config, Fault, KnownSection, MemorySize, Section, need};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mixing {
    strength: f64,
    kind: String,
}

impl Default for Mixing {
    fn default() -> Self {
        Self { strength: 0.5, kind: "mean".into() }
    }
}

impl Section for Mixing {
    fn check(&self) -> Result<(), Fault> {
        need(self.strength <= 1.0, "strength", self.strength, "at most 1")
    }
}

fn known() -> Vec<KnownSection> {
    vec![KnownSection::of::<Mixing>("mixing")]
}

fn parse(text: &str, overrides: &[&str]) -> relabel::base::Result<Config> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    Config::parse(text, "run.toml", &overrides, &known())
}

/// The message of a config that must be refused, which has all of `parts`.
fn refused(text: &str, overrides: &[&str], parts: &[&str]) {
    let error = parse(text, overrides).expect_err(text);
    assert!(matches!(error, Error::Config(_)), "{error:?}");
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
}

#[test]
fn unknown_keys_name_the_nearest() {
    refused("[train]\nbach = 3", &[], &["run.toml", "`train.bach`", "`train.batch`"]);
    refused("[train]\nlr = 0.1", &[], &["`train.lr`", "`optimizer.lr`"]);
    refused("[optimiser]\nlr = 0.1", &[], &["[optimiser]", "`optimizer`"]);
    refused("sed = 1", &[], &["`sed`", "`seed`"]);
    refused("batch = 1", &[], &["`batch`", "`train.batch`"]);
    refused("[optimizer]\nweight = 0.1", &[], &["`optimizer.weight`", "`optimizer.weight_decay`"]);
    refused("[augment]\nzzzzzzzzzzzz = 1", &[], &["`augment.zzzzzzzzzzzz`", "crop_padding", "flip", "greyscale"]);
    refused("[mixing]\nstrenght = 1", &[], &["`mixing.strenght`", "`mixing.strength`"]);
    refused("", &["train.batchsize=3"], &["--set train.batchsize=3", "`train.batch`"]);
    refused("", &["trian.batch=3"], &["`trian.batch`", "`train.batch`"]);
    refused("", &["train=3"], &["`train` is a section"]);
    refused("", &["train.batch"], &["--set train.batch", "KEY=VALUE"]);
}

#[test]
fn wrong_types_name_key_value_and_what_is_allowed() {
    refused("[train]\nbatch = \"many\"", &[], &["run.toml", "`train.batch`", "\"many\"", "whole number"]);
    refused("[train]\nbatch = -1", &[], &["`train.batch`", "-1", "whole number, at least 0"]);
    refused("[train]\nbatch = 1.5", &[], &["`train.batch`", "1.5", "whole number"]);
    refused("[optimizer]\nlr = true", &[], &["`optimizer.lr`", "true", "a number"]);
    refused("[optimizer]\nkind = \"sgdm\"", &[], &["`optimizer.kind`", "\"sgdm\"", "`sgd`", "`adamw`"]);
    refused("[optimizer]\nbetas = [0.9]", &[], &["`optimizer.betas`", "[0.9]"]);
    refused("[schedule]\nmilestones = 0.5", &[], &["`schedule.milestones`", "0.5", "array"]);
    refused("[data]\nmean = [1, 2]", &[], &["`data.mean`", "[1, 2]", "1 or 3 numbers"]);
    refused("[data]\nvalidation = 1.5", &[], &["`data.validation`", "1.5", "fraction"]);
    refused("[augment]\nflip = 1", &[], &["`augment.flip`", "it is 1", "true or false"]);
    refused("train = 3", &[], &["`train` is 3", "section"]);
    refused("[seed]\nx = 1", &[], &["`seed`", "a section", "whole number"]);
    refused("[mixing]\nstrength = \"much\"", &[], &["`mixing.strength`", "\"much\"", "a number"]);
    refused("", &["train.batch=many"], &["--set train.batch=many", "\"many\"", "whole number"]);
    refused("[train\nbatch = 1", &[], &["run.toml", "not valid TOML", "line 1"]);
    refused("seed = 1\nseed = 2", &[], &["not valid TOML", "duplicate key"]);
}

#[test]
fn wrong_units_are_refused() {
    for size in ["\"4 gigs\"", "\"4\"", "\"GiB\"", "0", "-5", "\"-1 GiB\""] {
        refused(&format!("[device]\nmemory = {size}"), &[], &["`device.memory`", size, "4 GiB", "MiB"]);
    }
}

#[test]
fn values_out_of_range_are_refused() {
    refused("[train]\nbatch = 0", &[], &["run.toml", "`train.batch` is 0", "1"]);
    refused("[train]\nbatch = 128\naccumulate = 3", &[], &["`train.accumulate` is 3", "divisor", "128"]);
    refused("[optimizer]\nlr = -0.1", &[], &["`optimizer.lr` is -0.1", "above 0"]);
    refused("[optimizer]\nlr = nan", &[], &["`optimizer.lr` is NaN"]);
    refused("[optimizer]\nmomentum = 1.0", &[], &["`optimizer.momentum` is 1", "below 1"]);
    refused("[optimizer]\nmomentum = 0\nnesterov = true", &[], &["`optimizer.nesterov`", "momentum"]);
    refused("[schedule]\nmilestones = [0.75, 0.5]", &[], &["`schedule.milestones`", "ascending"]);
    refused("[schedule]\nmilestones = [0.5, 100]", &[], &["`schedule.milestones`", "all"]);
    refused("[data]\nformat = \"tfrecord\"", &[], &["`data.format`", "\"tfrecord\"", "\"cifar10\""]);
    refused("[data]\nstd = [0.0]", &[], &["`data.std`", "above 0"]);
    refused("[data]\nsize = 9000", &[], &["`data.size` is 9000", "8192"]);
    refused("[augment]\nscale = [0.0, 1.0]", &[], &["`augment.scale` is [0.0, 1.0]", "above 0"]);
    refused("[augment]\nscale = [0.5, 0.2]", &[], &["`augment.scale`", "ascending"]);
    refused("[augment]\nratio = [1.5, 0.5]", &[], &["`augment.ratio`", "ascending"]);
    refused("[augment]\nhue = 0.6", &[], &["`augment.hue` is 0.6", "0.5"]);
    refused("[augment]\nbrightness = -0.1", &[], &["`augment.brightness` is -0.1", "from 0"]);
    refused("[augment]\ncontrast = nan", &[], &["`augment.contrast` is NaN"]);
    refused("[augment]\ngreyscale = 1.2", &[], &["`augment.greyscale` is 1.2", "probability"]);
    refused("[augment]\ncrop = \"random\"", &[], &["`augment.crop`", "\"random\"", "`padded`", "`random_resized`"]);
    refused("[augment]\nresize = 9000", &[], &["`augment.resize` is 9000", "8192"]);
    refused(
        "[augment]\nresize = 200\ncrop_size = 224",
        &[],
        &["`augment.crop_size` is 224", "`augment.resize`", "200"],
    );
    refused("[log]\nevery = 0", &[], &["`log.every` is 0", "at least 1"]);
    refused("[mixing]\nstrength = 2", &[], &["`mixing.strength` is 2", "at most 1"]);
    // The message names the override when the value is the override's.
    refused("[train]\nbatch = 64", &["train.batch=0"], &["--set train.batch=0: `train.batch` is 0"]);
}

#[test]
fn steps_and_epochs_replace_each_other() {
    let length = |text: &str, overrides: &[&str]| {
        let train = parse(text, overrides).unwrap().train;
        (train.steps, train.epochs)
    };
    assert_eq!(length("", &[]), (80_000, 0));
    assert_eq!(length("[train]\nepochs = 12", &[]), (0, 12));
    assert_eq!(length("[train]\nsteps = 5", &["train.epochs=3"]), (0, 3));
    assert_eq!(length("[train]\nepochs = 5", &["train.steps=7"]), (7, 0));
    assert_eq!(length("", &["train.epochs=5", "train.steps=7"]), (7, 0));
    refused("[train]\nsteps = 5\nepochs = 3", &[], &["`train.steps`", "5", "`train.epochs` = 3"]);
    refused("[train]\nsteps = 0", &[], &["`train.steps`"]);
    let epochs = parse("[train]\nepochs = 3\nbatch = 128", &[]).unwrap();
    // 3 · 1000 / 128 = 23.4
    assert_eq!(epochs.train.total_steps(1000), 24);
}

#[test]
fn overrides_are_toml_or_text() {
    let config = parse(
        "[train]\nbatch = 64",
        &[
            "method = sla-sd",
            "train.batch=32",
            "optimizer.lr=1",
            "schedule.milestones=[0.6, 0.8]",
            "data.path=images/a=b",
            "data.validation=0.1",
            "train.sampler=epochs",
            "device.adapter=1",
            "device.memory=512 MiB",
            "data.mean=auto",
            "model.name=32",
            "mixing.kind=\"sum\"",
        ],
    )
    .unwrap();
    assert_eq!(config.method, "sla-sd");
    assert_eq!((config.train.batch, config.optimizer.lr), (32, 1.0));
    assert_eq!(config.schedule.milestones, [0.6, 0.8]);
    assert_eq!(config.data.path, "images/a=b");
    assert_eq!(config.data.validation, Validation::Fraction(0.1));
    assert_eq!(config.train.sampler, SamplerKind::Epochs);
    assert_eq!(config.device.adapter, "1");
    assert_eq!(config.device.memory, MemorySize::Bytes(512 << 20));
    assert_eq!(config.data.mean, ChannelValues::Auto);
    assert_eq!(config.model.name, "32");
    assert_eq!(config.section::<Mixing>("mixing").unwrap(), Mixing { strength: 0.5, kind: "sum".into() });
}

#[test]
fn resolved_settings_read_back_equal() {
    let text = "method = \"da\"\nseed = 7\n[data]\npath = \"x\"\nvalidation = \"held.npy\"\nmean = [0.1, 0.2, 0.3]\n\
                std = [1]\n[device]\nmemory = \"3 GiB\"\nadapter = 2\n[mixing]\nstrength = 0.25\n\
                [optimizer]\nlr = 0.30000000000000004\nno_decay = [\"bn\"]\n[train]\nepochs = 2";
    let config = parse(text, &[]).unwrap();
    assert_eq!(config.data.validation, Validation::IndexFile("held.npy".into()));
    let written = config.to_toml().unwrap();
    assert_eq!(parse(&written, &[]).unwrap(), config, "{written}");
    assert_eq!(parse(&written, &[]).unwrap().to_toml().unwrap(), written);
    // Defaults and count, fraction, none.
    for validation in ["5000", "0.1", "\"none\"", "\"0.25\""] {
        let config = parse(&format!("[data]\nvalidation = {validation}"), &[]).unwrap();
        assert_eq!(parse(&config.to_toml().unwrap(), &[]).unwrap(), config);
    }
    let defaults = Config { sections: Config::defaults(&known()).unwrap().sections, ..Config::default() };
    assert_eq!(parse("", &[]).unwrap(), defaults);
}

#[test]
fn sections_from_rust_are_checked() {
    let mut config = Config::default();
    assert_eq!(config.section::<Mixing>("mixing").unwrap(), Mixing::default());
    let mixing = Mixing { strength: 0.75, kind: "sum".into() };
    config.set_section("mixing", &mixing).unwrap();
    assert_eq!(config.section::<Mixing>("mixing").unwrap(), mixing);
    let error = config.set_section("mixing", &Mixing { strength: 3.0, ..mixing }).unwrap_err().to_string();
    assert!(error.contains("`mixing.strength` is 3"), "{error}");
    config.train.batch = 0;
    let error = config.check().unwrap_err().to_string();
    assert!(error.contains("`train.batch` is 0"), "{error}");
}

#[test]
fn weight_decay_exclusions() {
    let mut optimizer = Config::default().optimizer;
    assert!(optimizer.decays("layer1.0.bn1.weight"));
    optimizer.no_decay = vec!["bn".into(), "bias".into(), "stem.*.weight".into()];
    for (name, decays) in [
        ("layer1.0.bn1.weight", false),
        ("bn1.bias", false),
        ("joint.bias", false),
        ("joint.weight", true),
        ("layer1.0.conv1.weight", true),
        ("stem.0.weight", false),
        ("stem.weight", true),
        ("debn.weight", true),
    ] {
        assert_eq!(optimizer.decays(name), decays, "{name}");
    }
}

/// `section.key` → default, from a guide page's tables; a section's name is a title or a line of its own.
fn documented(text: &str) -> BTreeMap<String, toml::Value> {
    let (mut section, mut keys) = (String::new(), BTreeMap::new());
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.trim_matches(['`', '[', ']']).to_string();
        } else if let Some(name) = line.strip_prefix("`[").and_then(|l| l.strip_suffix("]`:")) {
            section = name.to_string();
        } else if let Some(row) = line.strip_prefix("| `") {
            let (key, rest) = row.split_once("` | `").expect(line);
            let (default, _) = rest.split_once("` |").expect(line);
            let value = format!("v = {default}").parse::<toml::Table>().expect(line)["v"].clone();
            let path = if section == "General" { key.into() } else { format!("{section}.{key}") };
            assert!(keys.insert(path, value).is_none(), "{line}");
        }
    }
    keys
}

/// Sections that `docs/guide/judging.md` lists.
const JUDGING: [&str; 2] = ["knn", "probe"];

#[test]
fn the_guide_has_every_key_with_its_default() {
    // How results are judged has a page of its own.
    let mut sections = session::known_sections();
    sections.retain(|s| !JUDGING.contains(&s.name));
    let text = Config::parse("", "defaults", &[], &sections).unwrap().to_toml().unwrap();
    let mut program = BTreeMap::new();
    for (name, value) in text.parse::<toml::Table>().unwrap() {
        match value {
            toml::Value::Table(section) => {
                program.extend(section.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => {
                program.insert(name, value);
            }
        }
    }
    assert!(program.len() > 60 && program.contains_key("sela.clusters") && program.contains_key("sla.transform"));
    assert_eq!(documented(include_str!("../docs/guide/config.md")), program);
}

#[test]
fn the_guide_has_the_settings_of_judging() {
    let mut program = BTreeMap::new();
    for known in session::known_sections().into_iter().filter(|s| JUDGING.contains(&s.name)) {
        program.extend(known.defaults.into_iter().map(|(key, value)| (format!("{}.{key}", known.name), value)));
    }
    assert!(program.len() > 8);
    assert_eq!(documented(include_str!("../docs/guide/judging.md")), program);
}
