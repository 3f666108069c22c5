//! The training steps that are timed, and that peers repeat: each method on the demo network and on ResNet-32, SLA in the other
//! precisions too, and the two networks of SeLa's and MAXL's papers.

use std::sync::Arc;

use super::Options;
use crate::base::{Error, Result};
use crate::gpu::Engine;
use crate::graph::Precision;
use crate::session;
use crate::session::synthetic::{DEMO, DEMO_IMAGE, Noise};
use crate::train::Trainer;
use crate::train::config::Config;

/// A training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// As rows and files name it: the network, then the method.
    pub network: &'static str,
    /// `method` of the config.
    pub method: &'static str,
    /// `[model]`.
    model: &'static str,
    /// Height, width, channels.
    pub image: [usize; 3],
    /// N.
    pub classes: usize,
    /// Images.
    pub batch: usize,
    /// `precision` of the config.
    pub precision: Precision,
}

/// Methods whose steps differ.
const METHODS: [&str; 7] = ["baseline", "da", "mt", "sla", "sla-sd", "sela", "maxl"];
/// Copies of an image under rotation: a batch of the methods that turn images has as many rows as `Options` says. The others
/// get as many images, so that their times compare.
const VIEWS: usize = 4;

/// VGG-16 at a quarter of its width, which a software adapter runs in seconds.
const NARROW: &str = "name = \"vgg16\"\nwidths = [16, 32, 64, 128, 128]";

/// The steps at the sizes of `options`.
fn cases(options: &Options) -> Vec<Case> {
    let mut all = Vec::new();
    let small = [32, 32, 3];
    let batches = [options.demo_rows, options.rows].map(|rows| rows.div_ceil(VIEWS));
    let resnet32 = "name = \"resnet32\"";
    for (network, model, image, batch) in
        [("demo", DEMO, DEMO_IMAGE, batches[0]), ("resnet32", resnet32, small, batches[1])]
    {
        let case = |method, precision| Case { network, method, model, image, classes: 10, batch, precision };
        all.extend(METHODS.map(|method| case(method, Precision::F32)));
        all.extend([Precision::Tf32, Precision::F16].map(|precision| case("sla", precision)));
    }
    if options.full {
        let model = "name = \"cifar_resnet18\"";
        let large = |network, method, model, classes| Case {
            network,
            method,
            model,
            image: small,
            classes,
            batch: options.rows.div_ceil(2),
            precision: Precision::F32,
        };
        all.push(large("cifar_resnet18", "sela", model, 10));
        all.push(large("vgg16", "maxl", NARROW, 20));
    }
    all
}

/// Names and shapes of the rows of the steps whose name holds `name`.
///
/// # Errors
/// When there is none: which there are.
pub fn foreseen(options: &Options, name: &str) -> Result<Vec<(String, String)>> {
    Ok(named(options, name)?.iter().map(|case| (case.name(), case.shape())).collect())
}

/// Those steps whose name holds `name`.
///
/// # Errors
/// When there is none.
pub(super) fn named(options: &Options, name: &str) -> Result<Vec<Case>> {
    let all = cases(options);
    let found: Vec<Case> = all.iter().filter(|case| case.name().contains(name)).cloned().collect();
    if found.is_empty() {
        let names = |cases: &[Case]| cases.iter().map(Case::name).collect::<Vec<_>>().join(", ");
        let large = cases(&Options { full: true, ..*options }).split_off(all.len());
        let large = match large.as_slice() {
            [] => String::new(),
            large => format!("; with --full also: {}", names(large)),
        };
        return Err(Error::Config(format!("no step's name holds \"{name}\"; there are: {}{large}", names(&all))));
    }
    Ok(found)
}

impl Case {
    /// The step of exactly this name at the sizes of `options`, such as "resnet32 sla f16"; the large networks' too.
    ///
    /// # Errors
    /// When there is none: which there are.
    pub fn find(options: &Options, name: &str) -> Result<Self> {
        let all = cases(&Options { full: true, ..*options });
        all.iter().find(|case| case.label() == name).cloned().ok_or_else(|| {
            let names: Vec<String> = all.iter().map(|case| format!("\"{}\"", case.label())).collect();
            Error::Config(format!("there is no step \"{name}\"; there are {}", names.join(", ")))
        })
    }

    /// Network, method and precision.
    fn label(&self) -> String {
        let precision = match self.precision {
            Precision::F32 => "",
            Precision::Tf32 => " tf32",
            Precision::F16 => " f16",
        };
        format!("{} {}{precision}", self.network, self.method)
    }

    /// The row's name.
    pub fn name(&self) -> String {
        format!("step {}", self.label())
    }

    /// The row's sizes.
    pub fn shape(&self) -> String {
        let [h, w, c] = self.image;
        let views = if matches!(self.method, "baseline" | "sela" | "maxl") { 1 } else { VIEWS };
        format!("{} x {views} rows of {h}x{w}x{c}", self.batch)
    }

    /// Its trainer, on random images.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub(super) fn trainer(&self, engine: &Arc<Engine>, augmented: bool) -> Result<Trainer> {
        self.noise().trainer(engine, self.config(augmented, &[])?)
    }

    /// The images that it sees.
    pub fn noise(&self) -> Noise {
        Noise { image: self.image, classes: self.classes }
    }

    /// Its settings, with the overrides of `--set`.
    ///
    /// # Errors
    /// When an override does not fit.
    pub fn config(&self, augmented: bool, overrides: &[String]) -> Result<Config> {
        let padding = if self.image[0] < 32 { 2 } else { 4 };
        let augment = if augmented { padding } else { 0 };
        let precision = toml::Value::try_from(self.precision).expect("a precision is a word");
        let config = format!(
            "method = \"{}\"\nprecision = {precision}\n[model]\n{}\n[train]\nbatch = {}\nsteps = 1000000\n[schedule]\nkind = \"constant\"\n\
             [optimizer]\nlr = 0.01\n[augment]\ncrop_padding = {augment}\nflip = {augmented}\n\
             [sela]\nheads = 10\nclusters = 128\nfeatures = \"bank\"\n\
             [maxl]\norder = \"steps\"\nhead = \"linear\"\nlookahead_lr = 0.01\ngenerator_lr = 0.05",
            self.method, self.model, self.batch
        );
        session::config(&config, &format!("the config of \"{}\"", self.label()), overrides)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_by_their_whole_names() {
        let options = Options { rows: 512, ..Options::default() };
        for case in cases(&Options { full: true, ..options }) {
            assert_eq!(Case::find(&options, &case.label()).expect("there"), case);
            let batch = case.config(true, &["train.batch=4".into()]).map(|config| config.train.batch);
            assert_eq!(batch.expect("settings that hold"), 4, "{}", case.label());
        }
        assert_eq!(Case::find(&options, "resnet32 sla").expect("there").batch, 128);
        let error = Case::find(&options, "resnet32").expect_err("a part of names").to_string();
        assert!(error.contains("\"demo sla\"") && error.contains("\"resnet32 sla f16\""), "{error}");
        let error = named(&options, "vgg16").expect_err("a large one").to_string();
        assert!(error.contains("; with --full also: step cifar_resnet18 sela, step vgg16 maxl"), "{error}");
        let full = Options { full: true, ..options };
        let [(name, shape)] = &foreseen(&full, "vgg16").expect("there")[..] else { panic!("one step") };
        assert_eq!([name, shape], ["step vgg16 maxl", "256 x 1 rows of 32x32x3"]);
        assert!(!named(&full, "nothing").expect_err("no step").to_string().contains("--full"));
    }
}
