//! What is kept on the device, decided before anything is allocated.

use std::fmt;

use super::row_store::{binding_bytes, row_bytes, window_rows};
use crate::base::shape::pad4;
use crate::base::{Error, Result};
use crate::gpu::Engine;
use crate::kernels::sinkhorn_wide::most_slab_rows;

/// The problem's sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// N.
    pub samples: usize,
    /// K.
    pub clusters: usize,
    /// T.
    pub heads: usize,
    /// D: features are stored and each head's logits worked out; `None`: one head's logits are stored themselves.
    pub features: Option<usize>,
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of one binding.
    pub binding: u64,
    /// Bytes for all that the plan lists; `None`: not known, taken as enough.
    pub budget: Option<u64>,
    /// Most rows of a window; `None`: what a binding holds.
    pub most_rows: Option<usize>,
    /// Whether features may be float16, and must be.
    pub half: Half,
}

/// Whether features are float16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Half {
    /// Where float32 does not fit.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Always.
    Always,
}

impl Room {
    /// What the adapter has, as far as it tells.
    pub fn of(engine: &Engine) -> Self {
        let binding = binding_bytes(&engine.limits());
        Self { binding, budget: engine.memory_left(), most_rows: None, half: Half::Auto }
    }
}

/// A part of the memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it holds.
    pub name: &'static str,
    /// Its bytes.
    pub bytes: u64,
}

/// What is kept, in which windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The problem.
    pub sizes: Sizes,
    /// Features are float16.
    pub half: bool,
    /// All N×K scores stay on the device; else each pass works them out again, block by block.
    pub kept: bool,
    /// Rows of a window of the row store, and of the scores where they are kept.
    pub window: usize,
    /// Rows whose scores are worked out at once: a window, or fewer.
    pub block: usize,
    /// Rows whose shares one workgroup sums.
    pub slab: usize,
    /// Memory, part by part.
    pub parts: Vec<Part>,
}

/// Bytes of the scores of one block where they are not kept: enough rows for the product to run at full speed.
const BLOCK_BYTES: u64 = 256 << 20;
/// Slabs that keep a GPU busy.
const SLABS: usize = 1024;
/// Slabs of one block at least, as blocks follow each other.
const SLABS_A_BLOCK: usize = 64;
/// Rows of a slab at least, so that its sums are few beside its scores.
const SLAB_ROWS: usize = 16;

impl Plan {
    /// Keeps the scores where they fit (features in float32 before float16), else works them out again at every pass.
    ///
    /// # Errors
    /// When there are no samples, fewer samples than clusters, or no plan fits: with the bytes of the smallest one.
    pub fn choose(sizes: Sizes, room: Room) -> Result<Self> {
        let Sizes { samples, clusters, heads, features } = sizes;
        if clusters == 0 || heads == 0 || features == Some(0) {
            return Err(Error::Config(format!(
                "{clusters} clusters, {heads} heads, features {features:?}: at least 1"
            )));
        }
        if clusters > samples {
            let plural = if samples == 1 { "" } else { "s" };
            return Err(Error::Config(format!(
                "{clusters} clusters for {samples} sample{plural}: a cluster would have less than one sample. Use at most \
                 {samples} cluster{plural}"
            )));
        }
        if features.is_none() && heads != 1 {
            return Err(Error::Config(format!("logits can be stored for one head, not for {heads}: store features")));
        }
        let halves: &[bool] = match (features, room.half) {
            (None, _) | (_, Half::Never) => &[false],
            (_, Half::Always) => &[true],
            (_, Half::Auto) => &[false, true],
        };
        // Without features the store holds the scores themselves.
        let kept = halves.iter().map(|&half| (half, true));
        let again = halves.iter().filter(|_| features.is_some()).map(|&half| (half, false));
        let mut smallest: Option<Self> = None;
        for (half, kept) in kept.chain(again) {
            let plan = Self::with(sizes, room, half, kept)?;
            if room.budget.is_none_or(|budget| plan.bytes() <= budget) {
                return Ok(plan);
            }
            if smallest.as_ref().is_none_or(|s| plan.bytes() < s.bytes()) {
                smallest = Some(plan);
            }
        }
        let smallest = smallest.map(|p| format!("{} bytes: {p}", p.bytes())).unwrap_or_default();
        Err(Error::Memory(format!(
            "the label assignment does not fit in {} bytes; the smallest plan takes {smallest}. Use fewer clusters, \
             fewer samples or narrower features",
            room.budget.unwrap_or(0)
        )))
    }

    fn with(sizes: Sizes, room: Room, half: bool, kept: bool) -> Result<Self> {
        let Sizes { samples, clusters, heads, features } = sizes;
        let score_bytes = row_bytes(clusters, false);
        let store_bytes = features.map_or(score_bytes, |d| row_bytes(d, half));
        let widest = if kept { store_bytes.max(score_bytes) } else { store_bytes };
        let window = sixteens(window_rows(samples, widest, room.binding, room.most_rows)?, samples);
        let block = if kept {
            window
        } else {
            let wide = features.map_or(score_bytes, |d| score_bytes.max(row_bytes(d, false)));
            let most = BLOCK_BYTES.min(room.binding).max(16 * wide.min(room.binding / 16));
            sixteens(window_rows(window, wide, most, None)?, window)
        };
        if block < window && block < 16 {
            return Err(Error::Memory(format!(
                "16 rows of {clusters} clusters or their features pass one binding of {} bytes",
                room.binding
            )));
        }
        let blocks = Self::blocks_of(samples, window, block).len();
        let slab = block.div_ceil((SLABS / blocks).max(SLABS_A_BLOCK)).max(SLAB_ROWS).min(most_slab_rows(clusters));
        let mut plan = Self { sizes, half, kept, window, block, slab, parts: Vec::new() };
        let n = samples as u64;
        let windows = n.div_ceil(window as u64) * window as u64;
        let mut part = |name, bytes| plan.parts.push(Part { name, bytes });
        match features {
            Some(_) => {
                part(if half { "features, float16" } else { "features, float32" }, windows * store_bytes);
                if kept {
                    part("scores", n * score_bytes);
                } else {
                    part("scores of a block", block as u64 * score_bytes);
                }
            }
            None => part("logits", windows * store_bytes),
        }
        if half {
            part("features of a block, float32", block as u64 * row_bytes(features.unwrap_or(0), false));
        }
        let k = 4 * pad4(clusters) as u64;
        let slabs = Self::blocks_of(samples, window, block).iter().map(|b| b.rows.div_ceil(slab) as u64).sum::<u64>();
        part("sums by cluster", 2 * slabs * k + 512 * k + 9 * k);
        part("rows' maxima, costs and changes", 36 * n);
        part("label table", 4 * heads as u64 * pad4(samples) as u64);
        Ok(plan)
    }

    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|p| p.bytes).sum()
    }

    /// Slabs of all blocks.
    pub fn slabs(&self) -> usize {
        self.blocks().iter().map(|b| b.rows.div_ceil(self.slab)).sum()
    }

    /// The stretches of rows whose scores are worked out at once, in order.
    pub fn blocks(&self) -> Vec<Block> {
        Self::blocks_of(self.sizes.samples, self.window, self.block)
    }

    fn blocks_of(samples: usize, window: usize, block: usize) -> Vec<Block> {
        let mut out = Vec::new();
        for first in (0..samples).step_by(window) {
            let end = samples.min(first + window);
            out.extend((first..end).step_by(block).map(|at| Block {
                window: first / window,
                offset: at - first,
                first: at,
                rows: block.min(end - at),
            }));
        }
        out
    }
}

/// Rows of one window whose scores are worked out at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Which window of the store.
    pub window: usize,
    /// First row in that window, a multiple of 16.
    pub offset: usize,
    /// First sample.
    pub first: usize,
    /// Number of rows.
    pub rows: usize,
}

/// At most `rows` of `all`, in as few even parts: all of them, or a multiple of 16 (256 bytes, what a binding may start
/// at) where there are that many.
fn sixteens(rows: usize, all: usize) -> usize {
    if rows >= all || rows < 16 {
        return rows;
    }
    let parts = all.div_ceil(rows / 16 * 16);
    all.div_ceil(parts).next_multiple_of(16)
}

impl fmt::Display for Plan {
    /// One line: what is kept, each part's bytes, windows, and what a pass does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = |bytes: u64| {
            if bytes >= 1 << 30 {
                format!("{:.2} GiB", bytes as f64 / (1u64 << 30) as f64)
            } else {
                format!("{:.1} MiB", bytes as f64 / (1u64 << 20) as f64)
            }
        };
        let many = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let Sizes { samples, clusters, heads, .. } = self.sizes;
        let (clusters, heads) = (many(clusters, "cluster"), many(heads, "head"));
        write!(f, "{samples} samples, {clusters}, {heads}: {} in all (", gib(self.bytes()))?;
        for (i, part) in self.parts.iter().enumerate() {
            write!(f, "{}{} {}", if i > 0 { ", " } else { "" }, part.name, gib(part.bytes))?;
        }
        let windows = many(samples.div_ceil(self.window), "window");
        write!(f, ") in {windows} of {} rows; ", self.window)?;
        if self.kept {
            return write!(f, "an iteration reads each score once");
        }
        let blocks = many(self.blocks().len(), "block");
        write!(f, "an iteration works the scores out in {blocks} of {} rows", self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGENET: Sizes = Sizes { samples: 1_281_167, clusters: 3000, heads: 10, features: Some(2048) };

    fn room(binding: u64, budget: u64) -> Room {
        Room { binding, budget: Some(budget), most_rows: None, half: Half::Auto }
    }

    #[test]
    fn imagenet_fits_on_sixteen_gigabytes() {
        for binding in [128 << 20, (2 << 30) - 4] {
            let plan = Plan::choose(IMAGENET, room(binding, 16_000_000_000)).unwrap();
            assert!(!plan.kept && !plan.half, "{plan}");
            assert!(plan.bytes() < 11_000_000_000, "10.5 GB of features and little else: {plan}");
            let beside = plan.bytes() - plan.parts[0].bytes;
            assert!(beside < 600 << 20, "{beside} bytes beside the features: {plan}");
            let widest = (plan.window as u64 * 8192).max(plan.block as u64 * 12_000);
            assert!(widest <= binding && plan.slabs() as u64 * 12_000 <= binding, "{plan}");
            // What training itself needs can be left aside.
            let plan = Plan::choose(IMAGENET, room(binding, 8_000_000_000)).unwrap();
            assert!(!plan.kept && plan.half && plan.bytes() < 6_000_000_000, "{plan}");
        }
        let roomy = Plan::choose(IMAGENET, room((2 << 30) - 4, 48_000_000_000)).unwrap();
        assert!(roomy.kept && !roomy.half, "{roomy}");
        let text = roomy.to_string();
        for part in ["features, float32 9.7", "scores 14.3", "in 8 windows", "reads each score once"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn cifar_is_kept_in_one_window() {
        let sizes = Sizes { samples: 50_000, clusters: 128, heads: 10, features: Some(512) };
        let plan = Plan::choose(sizes, room(128 << 20, 1 << 30)).unwrap();
        assert!(plan.kept && !plan.half && plan.window == 50_000 && plan.blocks().len() == 1, "{plan}");
        let alone = Sizes { heads: 1, features: None, ..sizes };
        let plan = Plan::choose(alone, room(128 << 20, 1 << 30)).unwrap();
        assert!(plan.kept && plan.parts[0] == Part { name: "logits", bytes: 50_000 * 512 }, "{plan}");
    }

    #[test]
    fn slabs_stay_within_a_software_adapters_loops() {
        // Pairs of rows in `sinkhorn_pass`, columns of rows in `sinkhorn_wide`: 256 lanes at most fold in 8 steps.
        for (samples, clusters) in [(100_000_000, 4), (10_000_000, 100), (2_000_000, 3000), (1_281_167, 65_536)] {
            for binding in [1 << 27, (2 << 30) - 4] {
                let sizes = Sizes { samples, clusters, heads: 1, features: None };
                let plan =
                    Plan::choose(sizes, Room { binding, budget: None, most_rows: None, half: Half::Auto }).unwrap();
                assert!(plan.slab.div_ceil(2) * 10 < 65_535, "{plan}");
                assert!(plan.slab * (2 * clusters.div_ceil(1024) + 9) < 65_535, "{plan}");
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        let refused = |sizes, room| Plan::choose(sizes, room).unwrap_err().to_string();
        let text = refused(IMAGENET, room(128 << 20, 4_000_000_000));
        assert!(text.contains("4000000000") && text.contains("features, float16 4.89 GiB"), "{text}");
        let text = refused(IMAGENET, room(4096, 1 << 40));
        assert!(text.contains("12000") && text.contains("4096"), "one row passes a binding: {text}");
        let text = refused(Sizes { samples: 10, clusters: 11, heads: 1, features: None }, room(1 << 20, 1 << 20));
        assert!(text.contains("11 clusters for 10 samples"), "{text}");
        let text = refused(Sizes { samples: 10, clusters: 3, heads: 2, features: None }, room(1 << 20, 1 << 20));
        assert!(text.contains("not for 2"), "{text}");
    }

    #[test]
    fn blocks_cover_the_samples_and_start_at_sixteens() {
        let sizes = Sizes { samples: 1000, clusters: 7, heads: 1, features: Some(9) };
        for most in [None, Some(1), Some(40), Some(333)] {
            for half in [Half::Never, Half::Always] {
                let room = Room { binding: 4096, budget: Some(60_000), most_rows: most, half };
                let Ok(plan) = Plan::choose(sizes, room) else { continue };
                let blocks = plan.blocks();
                assert_eq!(blocks.iter().map(|b| b.rows).sum::<usize>(), 1000);
                for b in &blocks {
                    assert_eq!(b.first, b.window * plan.window + b.offset);
                    assert!(b.offset % 16 == 0 && b.offset + b.rows <= plan.window, "{b:?} of {plan}");
                }
            }
        }
    }
}
