//! How good the features are during a run: nearest neighbours of held-out images among the training images.

use std::sync::Arc;

use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::eval::knn;
use crate::gpu::Engine;
use crate::nn::{Builder, Phase};
use crate::train::extract::{self, Extractor, Trunk};
use crate::train::feed::Feed;
use crate::train::{Context, Measure};
use crate::transport::RowStore;

/// One set's images, and their features once they were extracted.
#[derive(Debug)]
struct Side {
    set: Arc<ImageSet>,
    extractor: Extractor,
    store: RowStore,
}

impl Side {
    fn new(context: Context<'_>, feed: Feed) -> Result<Self> {
        let Context { engine, config, data, network, backbone, variants, .. } = context;
        let pixels = data.decode(config, false)?;
        let set = Arc::clone(feed.set());
        let width = extract::width(&feed, pixels, backbone)?;
        let store = RowStore::new(engine, "features", set.count(), width, false, None)?;
        let trunk = Trunk { engine, backbone, network, variants };
        let build = |b: &mut Builder, images| backbone.features(b, images);
        let extractor = Extractor::new(trunk, feed, pixels, Phase::Evaluate, 0, &build, &store)?;
        Ok(Self { set, extractor, store })
    }

    fn run(&self, engine: &Engine) -> Result<()> {
        self.extractor.run(engine, &(0..self.set.count() as u32).collect::<Vec<_>>(), 0, 0)
    }
}

/// Weighted nearest neighbours by the features in evaluation mode.
#[derive(Debug)]
pub struct Neighbours {
    train: Side,
    held_out: Side,
    settings: knn::Settings,
    names: Vec<String>,
}

impl Neighbours {
    /// Plans both passes.
    ///
    /// # Errors
    /// When the sets have other classes, k is above the number of training images, or memory does not suffice.
    pub fn new(context: Context<'_>, set: &Arc<ImageSet>) -> Result<Self> {
        let Context { engine, config, data, feed, .. } = context;
        if set.classes != data.train.classes {
            return Err(Error::Data(format!(
                "{} and {} have different classes: their neighbours cannot vote",
                data.train.name, set.name
            )));
        }
        let rows = if config.evaluate.batch == 0 { feed.rows() } else { config.evaluate.batch };
        let train = Side::new(context, feed.with_rows(engine, rows.min(data.train.count()))?)?;
        let held_out = Feed::new(engine, Arc::clone(set), rows.min(set.count()), config.data.resident)?;
        Ok(Self {
            train,
            held_out: Side::new(context, held_out)?,
            settings: config.section("knn")?,
            names: vec!["knn_accuracy".into()],
        })
    }
}

impl Measure for Neighbours {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn images(&self) -> usize {
        self.held_out.set.count()
    }

    fn run(&mut self, engine: &Engine) -> Result<Vec<(String, f64)>> {
        self.train.run(engine)?;
        self.held_out.run(engine)?;
        let (train, test) = (&self.train.set, &self.held_out.set);
        let found = knn::classify(
            engine,
            self.train.store.windows(),
            &train.labels,
            self.held_out.store.windows(),
            test.count(),
            train.classes.len(),
            &self.settings,
        )?;
        let right = found.iter().zip(&test.labels).filter(|(a, b)| a == b).count();
        Ok(vec![(self.names[0].clone(), right as f64 / test.count() as f64)])
    }
}
