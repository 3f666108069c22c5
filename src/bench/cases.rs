//! The training steps that are timed, and that peers repeat: each method on the demo network and on ResNet-32, and the two
//! networks of SeLa's and MAXL's papers.

use std::sync::Arc;

use super::Options;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::gpu::Engine;
use crate::session;
use crate::train::Trainer;
use crate::train::datasets::Datasets;

/// A training step.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// As rows and files name it: the network, then the method.
    pub network: &'static str,
    pub method: &'static str,
    /// `[model]`.
    model: &'static str,
    /// Height, width, channels.
    pub image: [usize; 3],
    pub classes: usize,
    pub batch: usize,
}

/// Methods whose steps differ.
const METHODS: [&str; 7] = ["baseline", "da", "mt", "sla", "sla-sd", "sela", "maxl"];
/// Copies of an image under rotation: a batch of the methods that turn images has as many rows as `Options` says. The others
/// get as many images, so that their times compare.
const VIEWS: usize = 4;

const DEMO: &str = "name = \"convnet\"\nwidths = [16, 32, 64, 64]\nstrides = [2, 1, 2, 1]";
/// VGG-16 at a quarter of its width, which a software adapter runs in seconds.
const NARROW: &str = "name = \"vgg16\"\nwidths = [16, 32, 64, 128, 128]";

/// The steps at the sizes of `options`.
fn cases(options: &Options) -> Vec<Case> {
    let mut all = Vec::new();
    let (demo, small) = ([28, 28, 1], [32, 32, 3]);
    let batches = [options.demo_rows, options.rows].map(|rows| rows.div_ceil(VIEWS));
    for method in METHODS {
        all.push(Case { network: "demo", method, model: DEMO, image: demo, classes: 10, batch: batches[0] });
    }
    for method in METHODS {
        let model = "name = \"resnet32\"";
        all.push(Case { network: "resnet32", method, model, image: small, classes: 10, batch: batches[1] });
    }
    if options.full {
        let model = "name = \"cifar_resnet18\"";
        let batch = options.rows.div_ceil(2);
        all.push(Case { network: "cifar_resnet18", method: "sela", model, image: small, classes: 10, batch });
        all.push(Case { network: "vgg16", method: "maxl", model: NARROW, image: small, classes: 20, batch });
    }
    all
}

/// Those steps whose name holds `name`.
///
/// # Errors
/// When there is none.
pub(super) fn named(options: &Options, name: &str) -> Result<Vec<Case>> {
    let all = cases(options);
    let found: Vec<Case> = all.iter().filter(|case| case.name().contains(name)).cloned().collect();
    if found.is_empty() {
        let names: Vec<String> = all.iter().map(Case::name).collect();
        return Err(Error::Config(format!("no step's name holds \"{name}\"; there are: {}", names.join(", "))));
    }
    Ok(found)
}

impl Case {
    /// The row's name.
    pub fn name(&self) -> String {
        format!("step {} {}", self.network, self.method)
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
    pub fn trainer(&self, engine: &Arc<Engine>, augmented: bool) -> Result<Trainer> {
        let padding = if self.image[0] < 32 { 2 } else { 4 };
        let augment = if augmented { padding } else { 0 };
        let config = format!(
            "method = \"{}\"\n[model]\n{}\n[train]\nbatch = {}\nsteps = 1000000\n[schedule]\nkind = \"constant\"\n\
             [optimizer]\nlr = 0.01\n[augment]\ncrop_padding = {augment}\nflip = {augmented}\n\
             [sela]\nheads = 10\nclusters = 128\nfeatures = \"bank\"\n\
             [maxl]\norder = \"steps\"\nhead = \"linear\"\nlookahead_lr = 0.01\ngenerator_lr = 0.05",
            self.method, self.model, self.batch
        );
        trainer(engine, &config, self.image, self.classes)
    }
}

/// Patches of an image, each way.
const PATCHES: usize = 4;

/// A trainer for a config on images of random patches and noise: 512 of them, fewer of large ones, but a batch at least.
pub(super) fn trainer(engine: &Arc<Engine>, config: &str, image: [usize; 3], classes: usize) -> Result<Trainer> {
    let config = session::config(config, "the bench's config", &[])?;
    let [height, width, channels] = image;
    let count = (1 << 21) / (height * width * channels);
    let count = count.min(512).max(config.train.batch);
    let mut random = Sequence::new(0, Stream::Test, 0);
    // Of noise alone all images look alike to a network, and batch-norm divides by next to nothing.
    let mut pixels = Vec::with_capacity(count * height * width * channels);
    for _ in 0..count {
        let patches: Vec<u32> = (0..PATCHES * PATCHES * channels).map(|_| random.below(192)).collect();
        for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
            let patch = y * PATCHES / height * PATCHES + x * PATCHES / width;
            pixels.extend((0..channels).map(|c| (patches[patch * channels + c] + random.below(64)) as u8));
        }
    }
    let set = ImageSet {
        name: "random images".into(),
        height,
        width,
        channels,
        pixels,
        labels: (0..count).map(|i| (i % classes) as u32).collect(),
        classes: (0..classes).map(|i| i.to_string()).collect(),
        finer: Vec::new(),
        files: Vec::new(),
        skipped: Vec::new(),
        ignored: 0,
    };
    let (mean, std) = (vec![0.5; channels], vec![0.5; channels]);
    let data = Datasets { train: Arc::new(set), validation: None, test: None, mean, std };
    session::trainer_on(engine, config, data)
}
