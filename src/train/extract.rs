//! One number per image and column, of every image of a set: a pass of the network that leaves its features on the
//! device.

use std::collections::HashMap;

use super::feed::Feed;
use super::images::Decode;
use super::network::Network;
use crate::base::{DType, Result, Shape};
use crate::data::Draw;
use crate::gpu::{Engine, Program, Tensor, Variants};
use crate::graph::{Executor, NodeId};
use crate::models::Backbone;
use crate::nn::{Builder, Phase};

use crate::transport::RowStore;

/// Appends what is kept of each image. Shapes: images `(B, H, W, C)` → `(B, columns)`.
pub type Build<'a> = &'a dyn Fn(&mut Builder, NodeId) -> Result<NodeId>;

/// A network on a device.
#[derive(Clone, Copy, Debug)]
pub struct Trunk<'a> {
    /// The device.
    pub engine: &'a Engine,
    /// How to build the network without its heads.
    pub backbone: &'a dyn Backbone,
    /// Its tensors, the heads' included.
    pub network: &'a Network,
    /// The kernels' variants for this device.
    pub variants: &'a Variants,
}

/// A planned pass over a set.
#[derive(Debug)]
pub struct Extractor {
    feed: Feed,
    program: Program,
    settings: Tensor,
}

/// Micro-batch numbers of extraction passes begin here, so that dropout does not repeat a training step's masks.
const FIRST_MICRO_BATCH: u32 = 1 << 31;

impl Extractor {
    /// Plans the pass: `build` on the images that `pixels` makes of the feed's bytes, into `store`, whose rows are the
    /// images. With [`Phase::Train`] batch normalisation uses (and moves) batch statistics, as the official SeLa does.
    ///
    /// # Errors
    /// When it does not fit the device.
    pub fn new(
        trunk: Trunk<'_>,
        feed: Feed,
        pixels: Decode,
        phase: Phase,
        seed: u64,
        build: Build<'_>,
        store: &RowStore,
    ) -> Result<Self> {
        let Trunk { engine, network, variants, .. } = trunk;
        let mut b = Builder::new(phase);
        b.seed = seed;
        let leaves = feed.leaves(&mut b.graph, pixels)?;
        let rows = build(&mut b, leaves.images)?;
        let settings = engine.tensor("extraction step", Shape::new(&[8]), DType::U32)?;
        let mut placed = HashMap::from([(b.step(), settings.clone())]);
        for (i, window) in store.windows().iter().enumerate() {
            let state = b.graph.state(&format!("window {i}"), window.shape.sizes());
            b.graph.scatter_rows(rows, leaves.draws, leaves.labels, state, i * store.window_rows(), store.half())?;
            placed.insert(state, window.clone());
        }
        network.place(&b.graph, &mut placed)?;
        feed.place(&leaves, &mut placed);
        let executor = Executor::new(engine, &b.graph, &[], &placed, variants)?;
        Ok(Self { program: Program::new(engine, executor.recording())?, feed, settings })
    }

    /// Fills the store. `order` lists every image once; in training mode it decides which images share a batch's
    /// statistics, and the last batch is filled up with the first images of the order, which do not count there.
    /// `epoch` and `step` number the random crops and the dropout masks.
    ///
    /// # Errors
    /// When the device fails.
    pub fn run(&self, engine: &Engine, order: &[u32], epoch: u32, step: u64) -> Result<()> {
        let rows = self.feed.rows();
        for (number, chunk) in order.chunks(rows).enumerate() {
            let filled = chunk.iter().chain(order.iter().cycle().take(rows - chunk.len()));
            let draws: Vec<Draw> = filled.map(|&index| Draw { index, epoch }).collect();
            self.feed.write_counted(engine, &draws, chunk.len(), None);
            engine.write_words(&self.settings, &[step as u32, 0, 0, 0, FIRST_MICRO_BATCH + number as u32, 0, 0, 0]);
            self.program.run(engine, 1)?;
        }
        Ok(())
    }
}

/// The trunk's features of all images of the feed's set, in evaluation mode. Shape of the rows: `(N, D)`.
///
/// # Errors
/// When memory does not suffice or the device fails.
pub fn features(trunk: Trunk<'_>, feed: Feed, pixels: Decode) -> Result<RowStore> {
    let Trunk { engine, backbone, .. } = trunk;
    let count = feed.set().count();
    let columns = width(&feed, pixels, backbone)?;
    let store = RowStore::new(engine, "features", count, columns, false, None)?;
    let build = |b: &mut Builder, x: NodeId| backbone.features(b, x);
    let extractor = Extractor::new(trunk, feed, pixels, Phase::Evaluate, 0, &build, &store)?;
    extractor.run(engine, &(0..count as u32).collect::<Vec<_>>(), 0, 0)?;
    Ok(store)
}

/// D: how many features the trunk has.
///
/// # Errors
/// When the images do not fit the network.
pub fn width(feed: &Feed, pixels: Decode, backbone: &dyn Backbone) -> Result<usize> {
    let mut b = Builder::new(Phase::Evaluate);
    let leaves = feed.leaves(&mut b.graph, pixels)?;
    let features = backbone.features(&mut b, leaves.images)?;
    Ok(b.graph.shape(features).last())
}
