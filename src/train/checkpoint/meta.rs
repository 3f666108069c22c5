//! What a checkpoint says about itself, as the strings of a safetensors header.

use std::collections::BTreeMap;

/// The metric that made a checkpoint the best so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// Name of the metric.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// The step it was seen at.
    pub step: u64,
}

/// Where a checkpoint comes from.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Meta {
    /// relabel's version.
    pub version: String,
    /// The run's settings, complete, as TOML.
    pub config: String,
    /// Optimizer steps done.
    pub step: u64,
    /// The run's seed.
    pub seed: u64,
    /// Name, kind, backend and driver of the adapter.
    pub adapter: String,
    /// The best evaluation so far.
    pub best: Option<Best>,
    /// `ImageSet::fingerprint` of the training images.
    pub fingerprint: u64,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Whatever else a method keeps, under its own keys.
    pub extra: BTreeMap<String, String>,
}

/// The format of checkpoints; a reader refuses a later one.
const FORMAT: u32 = 1;

/// Keys of the header; `extra` has the others behind `extra.`.
const KEY: &str = "relabel.";
const EXTRA: &str = "extra.";

impl Meta {
    pub(super) fn to_strings(&self) -> BTreeMap<String, String> {
        let mut strings = BTreeMap::new();
        let mut put = |key: &str, value: String| strings.insert(format!("{KEY}{key}"), value);
        put("format", FORMAT.to_string());
        put("version", self.version.clone());
        put("config", self.config.clone());
        put("step", self.step.to_string());
        put("seed", self.seed.to_string());
        put("adapter", self.adapter.clone());
        put("fingerprint", format!("{:016x}", self.fingerprint));
        put("classes", serde_json::Value::from(self.classes.clone()).to_string());
        if let Some(best) = &self.best {
            put("best.metric", best.metric.clone());
            // Rust prints the shortest text that reads back as the same bits.
            put("best.value", best.value.to_string());
            put("best.step", best.step.to_string());
        }
        strings.extend(self.extra.iter().map(|(key, value)| (format!("{EXTRA}{key}"), value.clone())));
        // PyTorch's own loaders look for it.
        strings.insert("format".into(), "pt".into());
        strings
    }

    pub(super) fn from_strings(strings: &BTreeMap<String, String>) -> Result<Self, String> {
        let get = |key: &str| {
            let name = format!("{KEY}{key}");
            strings.get(&name).ok_or_else(|| format!("its metadata has no `{name}`: damaged"))
        };
        let format = get("format").map_err(|_| {
            String::from("it has weights only, no `relabel.format` in its metadata: not a checkpoint of relabel")
        })?;
        if format != &FORMAT.to_string() {
            return Err(format!("its format is {format:?}, and this version of relabel reads {FORMAT}"));
        }
        let best = match strings.get(&format!("{KEY}best.metric")) {
            None => None,
            Some(metric) => Some(Best {
                metric: metric.clone(),
                value: number(get("best.value")?, "best.value")?,
                step: number(get("best.step")?, "best.step")?,
            }),
        };
        let fingerprint = get("fingerprint")?;
        let classes = get("classes")?;
        Ok(Self {
            version: get("version")?.clone(),
            config: get("config")?.clone(),
            step: number(get("step")?, "step")?,
            seed: number(get("seed")?, "seed")?,
            adapter: get("adapter")?.clone(),
            best,
            fingerprint: u64::from_str_radix(fingerprint, 16)
                .map_err(|e| format!("its metadata `{KEY}fingerprint` is {fingerprint:?}: {e}"))?,
            classes: serde_json::from_str(classes)
                .map_err(|e| format!("its metadata `{KEY}classes` is not a list of names: {e}"))?,
            extra: strings
                .iter()
                .filter_map(|(key, value)| Some((key.strip_prefix(EXTRA)?.to_string(), value.clone())))
                .collect(),
        })
    }
}

fn number<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str, key: &str) -> Result<T, String> {
    text.parse().map_err(|e| format!("its metadata `{KEY}{key}` is {text:?}: {e}"))
}
