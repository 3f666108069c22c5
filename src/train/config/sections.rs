//! The sections that every run has. `docs/guide/config.md` lists the same keys (a test compares them).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::section::{Fault, Section, need};
use super::values::{self, ChannelValues, MemorySize};
use crate::base::Result;
use crate::data::{ClassRef, Format, Groups, LoadOptions, SamplerKind, Validation};
use crate::gpu::{AdapterChoice, Options};
use crate::graph::Precision;

type Check = std::result::Result<(), Fault>;

/// The settings before the first section.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct General {
    /// The training method's name.
    pub method: String,
    /// Seed of all random numbers, 0 to 2⁶³ − 1.
    pub seed: u64,
    /// How feature maps are kept while training, `f32 | f16`.
    pub precision: Precision,
}

impl Default for General {
    fn default() -> Self {
        Self { method: "sla".into(), seed: 0, precision: Precision::F32 }
    }
}

impl Section for General {
    fn check(&self) -> Check {
        need(!self.method.is_empty(), "method", "empty", "the name of a method")?;
        need(i64::try_from(self.seed).is_ok(), "seed", self.seed, "0 to 9223372036854775807")
    }
}

/// `data.labels`.
pub use crate::data::Labels;

/// Where the images lie during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resident {
    /// On the device when they fit, else streamed.
    Auto,
    /// On the device, or the run is refused.
    Device,
    /// In host memory; batches are streamed.
    Stream,
}

/// `[data]`: which images, and how they become numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Folder or file of the data set; a relative path counts from the working directory.
    pub path: String,
    /// `auto | cifar10 | cifar100 | idx | folder | npz`.
    pub format: String,
    /// CIFAR-100: `fine | coarse | 10 | 3`.
    #[serde(with = "values::labels")]
    pub labels: Labels,
    /// Groups of classes, by name or number, that are taken for classes; empty leaves them as they are.
    #[serde(with = "values::groups")]
    pub groups: Vec<Vec<ClassRef>>,
    /// Names of the groups; empty makes them of the classes' names.
    pub group_names: Vec<String>,
    /// Image folders: side in pixels that images are cropped and resized to, 0 to 8192; 0 keeps their size.
    pub size: usize,
    /// `none`, a fraction, a count, or a file of indices.
    #[serde(with = "values::validation")]
    pub validation: Validation,
    /// Image folders: leave out images that cannot be decoded, and count them.
    pub skip_bad: bool,
    /// Number of classes, where neither the format nor a file of names says it; 0 takes the largest label plus one.
    pub classes: usize,
    /// Accept classes without an image.
    pub allow_empty_classes: bool,
    /// Image folders: whether class folders give labels; if not, all images are of one class.
    pub labelled: bool,
    /// Label file for the training images; empty takes the data's own labels.
    pub labels_file: String,
    /// Which head's labels of that file, 0 to 65535.
    pub labels_head: usize,
    /// Subtracted from pixels scaled to [0, 1], per channel: 1 or 3 finite numbers, or `auto`.
    pub mean: ChannelValues,
    /// Divided by after that: 1 or 3 numbers above 0, or `auto`.
    pub std: ChannelValues,
    /// `auto | device | stream`.
    pub resident: Resident,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            path: String::new(),
            format: "auto".into(),
            labels: Labels::Fine,
            groups: Vec::new(),
            group_names: Vec::new(),
            size: 0,
            validation: Validation::None,
            skip_bad: false,
            classes: 0,
            allow_empty_classes: false,
            labelled: true,
            labels_file: String::new(),
            labels_head: 0,
            mean: ChannelValues::Values(vec![0.5; 3]),
            std: ChannelValues::Values(vec![0.5; 3]),
            resident: Resident::Auto,
        }
    }
}

impl Section for Data {
    fn check(&self) -> Check {
        let known = self.format == "auto" || self.format.parse::<Format>().is_ok();
        let names: Vec<String> = Format::ALL.iter().map(|(_, name)| format!("\"{name}\"")).collect();
        need(known, "format", format!("\"{}\"", self.format), format!("\"auto\", {}", names.join(", ")))?;
        need(self.size <= 8192, "size", self.size, "at most 8192 pixels, or 0 to keep the images' size")?;
        need(
            self.classes <= 1 << 20,
            "classes",
            self.classes,
            "at most 1048576, or 0 to take the largest label plus one",
        )?;
        need(self.labels_head < 1 << 16, "labels_head", self.labels_head, "at most 65535")?;
        let (groups, names) = (&self.groups, &self.group_names);
        let seen = || values::groups::shown(groups);
        need(groups.iter().all(|group| !group.is_empty()), "groups", seen(), "groups of at least one class each")?;
        need(groups.len() != 1, "groups", seen(), "at least two groups, or none to leave the classes as they are")?;
        let allowed = format!("one name for each of the {} groups in `data.groups`, or none", groups.len());
        need(names.is_empty() || names.len() == groups.len(), "group_names", format!("{names:?}"), allowed)?;
        let distinct = names.iter().enumerate().all(|(i, name)| !name.is_empty() && !names[..i].contains(name));
        need(distinct, "group_names", format!("{names:?}"), "names that differ and are not empty")?;
        if let ChannelValues::Values(mean) = &self.mean {
            need(mean.iter().all(|&m| (m as f32).is_finite()), "mean", &self.mean, "finite numbers")?;
        }
        if let ChannelValues::Values(std) = &self.std {
            need(
                std.iter().all(|&s| s as f32 > 0.0 && (s as f32).is_finite()),
                "std",
                &self.std,
                "finite numbers above 0",
            )?;
        }
        Ok(())
    }
}

impl Data {
    /// The data set's place.
    pub fn path(&self) -> &Path {
        Path::new(&self.path)
    }

    /// The label file's place, when there is one.
    pub fn labels_file(&self) -> Option<&Path> {
        (!self.labels_file.is_empty()).then(|| Path::new(&self.labels_file))
    }

    /// What the loaders need to know.
    ///
    /// # Errors
    /// [`crate::base::Error::Config`] for a format that is not known.
    pub fn load_options(&self) -> Result<LoadOptions> {
        Ok(LoadOptions {
            format: if self.format == "auto" { None } else { Some(self.format.parse()?) },
            size: (self.size > 0).then_some((self.size, self.size)),
            skip_bad: self.skip_bad,
            labels: self.labels,
            groups: Groups { members: self.groups.clone(), names: self.group_names.clone() },
            classes: (self.classes > 0).then_some(self.classes),
            allow_empty_classes: self.allow_empty_classes,
            unlabelled: !self.labelled,
            channels: None,
        })
    }
}

/// `[model]`: which network.
pub use crate::models::ModelSettings as Model;

impl Section for Model {
    fn check(&self) -> Check {
        need(!self.name.is_empty(), "name", "empty", "the name of a network")?;
        let widths = self.widths.iter().all(|w| (1..=65536).contains(w));
        need(widths, "widths", format!("{:?}", self.widths), "whole numbers from 1 to 65536")?;
        let strides = self.strides.iter().all(|s| (1..=16).contains(s));
        need(strides, "strides", format!("{:?}", self.strides), "whole numbers from 1 to 16")?;
        need(self.depth <= 4096, "depth", self.depth, "at most 4096")
    }
}

/// `[train]`: how many images, how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    /// B: images of an optimizer step, before transformations; at least 1.
    pub batch: usize,
    /// Parts that a batch is computed in, one after the other, to save memory; divides `batch`.
    pub accumulate: usize,
    /// Optimizer steps of the run; 0 when `epochs` says it.
    pub steps: u64,
    /// Passes over the training images; 0 when `steps` says it.
    pub epochs: u64,
    /// `independent | epochs`.
    pub sampler: SamplerKind,
}

impl Default for Train {
    fn default() -> Self {
        Self { batch: 128, accumulate: 1, steps: 80_000, epochs: 0, sampler: SamplerKind::Independent }
    }
}

/// The most steps or epochs: step numbers are 32-bit on the device.
pub(crate) const MOST_STEPS: u64 = 1 << 31;

impl Section for Train {
    fn check(&self) -> Check {
        need((1..=1 << 20).contains(&self.batch), "batch", self.batch, "from 1 to 1048576 images")?;
        let allowed = format!("a divisor of `train.batch`, which is {}", self.batch);
        let divides = self.accumulate >= 1 && self.batch.is_multiple_of(self.accumulate);
        need(divides, "accumulate", self.accumulate, allowed)?;
        need(self.steps <= MOST_STEPS, "steps", self.steps, format!("at most {MOST_STEPS}"))?;
        need(self.epochs <= MOST_STEPS, "epochs", self.epochs, format!("at most {MOST_STEPS}"))?;
        let seen = format!("{} beside `train.epochs` = {}", self.steps, self.epochs);
        need(
            (self.steps == 0) != (self.epochs == 0),
            "steps",
            seen,
            "above 0 when `train.epochs` is 0, and 0 otherwise",
        )
    }
}

impl Train {
    /// Images that are computed at once: `batch / accumulate`.
    pub fn micro_batch(&self) -> usize {
        self.batch / self.accumulate
    }

    /// Optimizer steps of the whole run over `images` training images; epochs are rounded up to a whole step.
    pub fn total_steps(&self, images: usize) -> u64 {
        if self.epochs == 0 { self.steps } else { (self.epochs * images as u64).div_ceil(self.batch as u64) }
    }
}

/// Optimizers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum, as PyTorch's `SGD`.
    Sgd,
    /// Adam, weight decay added to the gradient, as PyTorch's `Adam`.
    Adam,
    /// Adam with decoupled weight decay, as PyTorch's `AdamW`.
    AdamW,
}

/// `[optimizer]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Optimizer {
    /// `sgd | adam | adamw`.
    pub kind: OptimizerKind,
    /// Learning rate before the schedule, above 0.
    pub lr: f64,
    /// SGD: momentum, from 0 to below 1.
    pub momentum: f64,
    /// SGD: Nesterov's momentum.
    pub nesterov: bool,
    /// Weight decay, at least 0.
    pub weight_decay: f64,
    /// Parameters without weight decay; see [`Optimizer::decays`].
    pub no_decay: Vec<String>,
    /// Adam: decay of the two running means, from 0 to below 1.
    pub betas: [f64; 2],
    /// Adam: added to the root of the second mean, above 0.
    pub eps: f64,
    /// The gradient's norm is cut to this; 0 leaves it as it is.
    pub max_grad_norm: f64,
}

impl Default for Optimizer {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Sgd,
            lr: 0.1,
            momentum: 0.9,
            nesterov: false,
            weight_decay: 1e-4,
            no_decay: Vec::new(),
            betas: [0.9, 0.999],
            eps: 1e-8,
            max_grad_norm: 0.0,
        }
    }
}

impl Section for Optimizer {
    fn check(&self) -> Check {
        // As the device has them, in 32 bits.
        let above = |x: f64| x as f32 > 0.0 && (x as f32).is_finite();
        let not_below = |x: f64| x >= 0.0 && (x as f32).is_finite();
        need(above(self.lr), "lr", self.lr, "a number above 0 that 32 bits can hold")?;
        need((0.0..1.0).contains(&self.momentum), "momentum", self.momentum, "from 0 to below 1")?;
        let nesterov = !self.nesterov || self.momentum > 0.0;
        need(nesterov, "nesterov", "true", "false when `optimizer.momentum` is 0")?;
        need(
            not_below(self.weight_decay),
            "weight_decay",
            self.weight_decay,
            "a number of at least 0 that 32 bits can hold",
        )?;
        need(self.no_decay.iter().all(|p| !p.is_empty()), "no_decay", "an empty text", "names or patterns")?;
        let betas = self.betas.iter().all(|b| (0.0..1.0).contains(b));
        need(betas, "betas", format!("{:?}", self.betas), "two numbers from 0 to below 1")?;
        need(above(self.eps), "eps", self.eps, "a number above 0 that 32 bits can hold")?;
        need(
            not_below(self.max_grad_norm),
            "max_grad_norm",
            self.max_grad_norm,
            "a number of at least 0 that 32 bits can hold",
        )
    }
}

impl Optimizer {
    /// Whether weight decay acts on the parameter. An entry of `no_decay` keeps it off a parameter when it is the
    /// parameter's name (`*` stands for any text), one of the parts between its dots, or such a part without the
    /// digits at its end: `bn` holds for `layer1.0.bn2.weight`, `bias` for `joint.bias`.
    pub fn decays(&self, parameter: &str) -> bool {
        let holds = |pattern: &str| {
            matches(pattern, parameter)
                || parameter
                    .split('.')
                    .any(|part| part == pattern || part.trim_end_matches(|c: char| c.is_ascii_digit()) == pattern)
        };
        !self.no_decay.iter().any(|pattern| holds(pattern))
    }
}

/// Whether `text` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    (0..=text.len()).filter(|&i| text.is_char_boundary(i)).any(|i| matches(rest, &text[i..]))
}

/// Shapes of the learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Times `factor` at each milestone.
    Step,
    /// Half a cosine down to 0.
    Cosine,
    /// Always the same.
    Constant,
}

/// `[schedule]`: the learning rate over the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// `step | cosine | constant`.
    pub kind: ScheduleKind,
    /// Step: fractions of the run (up to 1) or numbers of steps (above 1), ascending.
    pub milestones: Vec<f64>,
    /// Step: above 0, at most 1.
    pub factor: f64,
    /// Steps over which the rate first rises from 0 in equal parts.
    pub warmup: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { kind: ScheduleKind::Step, milestones: vec![0.5, 0.75], factor: 0.1, warmup: 0 }
    }
}

impl Section for Schedule {
    fn check(&self) -> Check {
        let seen = format!("{:?}", self.milestones);
        let above = self.milestones.iter().all(|&m| m > 0.0 && m <= MOST_STEPS as f64);
        need(above, "milestones", &seen, "fractions of the run above 0, or numbers of steps above 1")?;
        need(self.milestones.is_sorted(), "milestones", &seen, "in ascending order")?;
        let mixed = self.milestones.iter().any(|&m| m <= 1.0) && self.milestones.iter().any(|&m| m > 1.0);
        need(!mixed, "milestones", &seen, "all fractions (up to 1) or all numbers of steps (above 1)")?;
        need(self.factor > 0.0 && self.factor <= 1.0, "factor", self.factor, "above 0 and at most 1")?;
        need(self.warmup <= MOST_STEPS, "warmup", self.warmup, format!("at most {MOST_STEPS} steps"))
    }
}

/// Which images an evaluation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluateSplit {
    /// The validation part when there is one, else the test images.
    Auto,
    /// The validation part.
    Validation,
    /// The test images.
    Test,
}

/// `[evaluate]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluate {
    /// Steps between two evaluations; 0 evaluates only at the end.
    pub every: u64,
    /// Images at once; 0 takes as many as a training step.
    pub batch: usize,
    /// `auto | validation | test`.
    pub split: EvaluateSplit,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self { every: 1000, batch: 0, split: EvaluateSplit::Auto }
    }
}

impl Section for Evaluate {
    fn check(&self) -> Check {
        need(self.batch <= 1 << 20, "batch", self.batch, "at most 1048576 images")
    }
}

/// `[checkpoint]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSettings {
    /// Steps between two checkpoints; 0 writes one only at the end.
    pub every: u64,
    /// How many `step-N.safetensors` are kept, 0 to 1000000; `last` and `best` always are.
    pub keep: usize,
    /// The metric whose highest value on the evaluated images makes a checkpoint the best; `auto` leaves it to the
    /// method.
    pub best: String,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every: 1000, keep: 3, best: "auto".into() }
    }
}

impl Section for CheckpointSettings {
    fn check(&self) -> Check {
        need(self.keep <= 1_000_000, "keep", self.keep, "at most 1000000")?;
        need(!self.best.is_empty(), "best", "empty", "the name of a metric")
    }
}

impl CheckpointSettings {
    /// The metric that chooses the best checkpoint; `auto` is the method's own.
    pub fn best<'a>(&'a self, auto: &'a str) -> &'a str {
        if self.best == "auto" { auto } else { &self.best }
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Steps between two lines of training metrics, at least 1; each reads the device's counters back.
    pub every: u64,
}

impl Default for Log {
    fn default() -> Self {
        Self { every: 50 }
    }
}

impl Section for Log {
    fn check(&self) -> Check {
        need(self.every >= 1, "every", self.every, "at least 1 step")
    }
}

/// `[device]`: where it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// `auto | gpu | cpu | INDEX | NAME`.
    #[serde(with = "values::adapter")]
    pub adapter: String,
    /// Device memory that may be used: `auto`, or a size with its unit.
    pub memory: MemorySize,
    /// Keep the driver's bounds checks in shaders.
    pub safe_shaders: bool,
}

impl Default for Device {
    fn default() -> Self {
        Self { adapter: "auto".into(), memory: MemorySize::Auto, safe_shaders: false }
    }
}

impl Section for Device {
    fn check(&self) -> Check {
        need(!self.adapter.trim().is_empty(), "adapter", "empty", "auto, gpu, cpu, an index or part of a name")
    }
}

impl Device {
    /// How to open the device.
    ///
    /// # Errors
    /// [`crate::base::Error::Config`] for an empty adapter.
    pub fn options(&self) -> Result<Options> {
        let adapter: AdapterChoice = self.adapter.parse()?;
        let mut options = Options { adapter, ..Options::default() };
        options.checked |= self.safe_shaders;
        if let MemorySize::Bytes(bytes) = self.memory {
            options.memory = Some(bytes);
        }
        Ok(options)
    }
}
