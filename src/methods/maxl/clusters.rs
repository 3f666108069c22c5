//! Auxiliary labels by k-means of the images of each class, made once before the first step: `maxl-kmeans`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;

use super::HIERARCHY;
use super::given::{AUXILIARY, Given, firsts};
use super::settings::{AUTOENCODER, MaxlSettings};
use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::gpu::{Engine, Tensor};
use crate::graph::{Graph, NodeId};
use crate::kmeans::{self, kmeans};
use crate::nn::{Builder, Phase};
use crate::train::autoencoder::{self, latents};
use crate::train::checkpoint::{Checkpoint, NamedTensor, TensorData};
use crate::train::events::Relabelled;
use crate::train::extract::{self, Extractor, Trunk};
use crate::train::network::slot_from_torch;
use crate::train::snapshot::weights;
use crate::train::{Context, Labeller, Network};
use crate::transport::RowStore;

/// What the clusters are made of, until they are made.
#[derive(Debug)]
enum Features {
    /// The trunk of a checkpoint.
    Trunk { extractor: Box<Extractor>, store: RowStore },
    /// An autoencoder's latent values.
    Autoencoder { settings: autoencoder::Settings, mean: Vec<f32>, std: Vec<f32> },
}

/// The clusters' labels, in the columns of their classes.
#[derive(Debug)]
pub struct Clusters {
    engine: Arc<Engine>,
    set: Arc<ImageSet>,
    hierarchy: Vec<usize>,
    seed: u64,
    features: Option<Features>,
    given: Given,
    /// The autoencoder's loss, until it is reported.
    loss: Option<f64>,
}

impl Clusters {
    /// Plans the features that `settings` name.
    ///
    /// # Errors
    /// When a class has fewer images than clusters, the checkpoint is of another network, or memory does not suffice.
    pub fn new(settings: &MaxlSettings, hierarchy: &[usize], context: Context<'_>) -> Result<Self> {
        let Context { engine, config, data, .. } = context;
        let set = Arc::clone(&data.train);
        check(&set, hierarchy)?;
        let features = if settings.features == AUTOENCODER {
            let settings = autoencoder::Settings { latent: settings.latent, epochs: settings.autoencoder_epochs };
            Features::Autoencoder { settings, mean: data.mean.clone(), std: data.std.clone() }
        } else {
            trunk(Path::new(&settings.features), context)?
        };
        Ok(Self {
            given: Given::from(engine, vec![0; set.count()])?,
            engine: Arc::clone(engine),
            hierarchy: hierarchy.to_vec(),
            seed: config.seed,
            features: Some(features),
            set,
            loss: None,
        })
    }
}

/// Refuses classes with fewer images than clusters.
fn check(set: &ImageSet, hierarchy: &[usize]) -> Result<()> {
    let counts = set.class_counts();
    let few = |(&images, &clusters): (&usize, &usize)| images > 0 && images < clusters;
    let Some(class) = counts.iter().zip(hierarchy).position(few) else { return Ok(()) };
    Err(Error::Config(format!(
        "maxl.hierarchy: {} clusters of the {} training images of `{}`; k-means needs an image for each: lower \
         maxl.hierarchy",
        hierarchy[class], counts[class], set.classes[class]
    )))
}

/// The pass through the trunk of the checkpoint at `path`.
fn trunk(path: &Path, context: Context<'_>) -> Result<Features> {
    let Context { engine, config, data, backbone, feed, variants, .. } = context;
    let checkpoint = Checkpoint::read(path)?;
    let pixels = data.decode(config, false)?;
    let feed = feed.with_rows(engine, feed.rows())?;
    let mut b = Builder::new(Phase::Evaluate);
    let leaves = feed.leaves(&mut b.graph, pixels)?;
    backbone.features(&mut b, leaves.images)?;
    let network = Network::new(engine, &b)?;
    let mut tensors = weights(&checkpoint, path)?;
    let stores = [(network.parameter_specs(), &network.parameters), (network.state_specs(), &network.states)];
    for (specs, store) in stores {
        slot_from_torch(engine, specs, store, "", &mut tensors).map_err(|e| match e {
            Error::Checkpoint(text) => Error::Checkpoint(format!("maxl.features: {}: {text}", path.display())),
            other => other,
        })?;
    }
    let width = extract::width(&feed, pixels, backbone)?;
    let store = RowStore::new(engine, "features", data.train.count(), width, false, None)?;
    let trunk = Trunk { engine, backbone, network: &network, variants };
    let build = |b: &mut Builder, x: NodeId| backbone.features(b, x);
    let extractor = Extractor::new(trunk, feed, pixels, Phase::Evaluate, 0, &build, &store)?;
    Ok(Features::Trunk { extractor: Box::new(extractor), store })
}

/// Clusters of the rows of each class, in the columns of the class.
fn within_classes(features: &[f32], set: &ImageSet, hierarchy: &[usize], seed: u64) -> Result<Vec<u32>> {
    let columns = features.len() / set.count();
    let firsts = firsts(hierarchy);
    let mut members = vec![Vec::new(); hierarchy.len()];
    set.labels.iter().enumerate().for_each(|(i, &class)| members[class as usize].push(i));
    let sort = |(class, members): (usize, &Vec<usize>)| -> Result<Vec<u32>> {
        let rows: Vec<f32> = members.iter().flat_map(|&i| &features[i * columns..][..columns]).copied().collect();
        let found = kmeans(&rows, columns, hierarchy[class], kmeans::Settings::default(), seed, class as u32)?;
        Ok(found.labels.into_iter().map(|k| firsts[class] as u32 + k).collect())
    };
    let classes = members.par_iter().enumerate().filter(|(_, members)| !members.is_empty());
    let sorted: Vec<(usize, Vec<u32>)> = classes.map(|c| Ok((c.0, sort(c)?))).collect::<Result<_>>()?;
    let mut labels = vec![0; set.count()];
    for (class, found) in sorted {
        members[class].iter().zip(found).for_each(|(&i, label)| labels[i] = label);
    }
    Ok(labels)
}

impl Labeller for Clusters {
    fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()> {
        self.given.place(graph, placed)
    }

    fn notes(&self) -> Vec<String> {
        let of = match &self.features {
            None => return Vec::new(),
            Some(Features::Trunk { store, .. }) => format!("{} features of the checkpoint's trunk", store.columns()),
            Some(Features::Autoencoder { settings, .. }) => {
                format!("{} latent values of an autoencoder, trained {} epochs first", settings.latent, settings.epochs)
            }
        };
        vec![format!("auxiliary labels: k-means within each class, of {of}")]
    }

    fn due(&self, _: u64) -> bool {
        self.features.is_some()
    }

    fn update(&mut self, _: u64, _: f64) -> Result<Vec<Relabelled>> {
        let Some(features) = self.features.take() else { return Ok(Vec::new()) };
        let values = match features {
            Features::Trunk { extractor, store } => {
                extractor.run(&self.engine, &(0..self.set.count() as u32).collect::<Vec<_>>(), 0, 0)?;
                store.read(&self.engine)?
            }
            Features::Autoencoder { settings, mean, std } => {
                let latents = latents(&self.engine, &self.set, &mean, &std, settings, self.seed)?;
                self.loss = Some(latents.loss);
                latents.values
            }
        };
        self.given.set(&self.engine, within_classes(&values, &self.set, &self.hierarchy, self.seed)?);
        Ok(Vec::new())
    }

    fn report(&mut self) -> Result<Vec<(String, f64)>> {
        Ok(self.loss.take().map(|loss| ("autoencoder_loss".into(), loss)).into_iter().collect())
    }

    fn tensors(&self) -> Result<Vec<NamedTensor>> {
        if self.features.is_some() {
            return Ok(Vec::new());
        }
        let hierarchy: Vec<i64> = self.hierarchy.iter().map(|&n| n as i64).collect();
        let hierarchy =
            NamedTensor { name: HIERARCHY.into(), shape: vec![hierarchy.len()], data: TensorData::I64(hierarchy) };
        Ok(vec![self.given.tensor(), hierarchy])
    }

    fn history(&self) -> Result<String> {
        Ok("[]".into())
    }

    /// Takes the labels as they are: another device might cluster an image or two otherwise.
    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        if checkpoint.meta.step == 0 && checkpoint.get(AUXILIARY).is_err() {
            return Ok(());
        }
        let others = |what: String| Err(Error::Checkpoint(format!("its auxiliary labels are {what}")));
        match &checkpoint.get(HIERARCHY)?.data {
            TensorData::I64(own) if own.iter().copied().eq(self.hierarchy.iter().map(|&n| n as i64)) => {}
            TensorData::I64(own) => {
                return others(format!("those of maxl.hierarchy = {own:?}, this run has {:?}", self.hierarchy));
            }
            other => return others(format!("of `{HIERARCHY}` as {}, not I64", other.dtype())),
        }
        let TensorData::I32(labels) = &checkpoint.get(AUXILIARY)?.data else { return others("not I32".into()) };
        let firsts = firsts(&self.hierarchy);
        let own = |(&label, &class): (&i32, &u32)| {
            let first = firsts[class as usize];
            usize::try_from(label).is_ok_and(|label| (first..first + self.hierarchy[class as usize]).contains(&label))
        };
        if labels.len() != self.set.count() || !labels.iter().zip(&self.set.labels).all(own) {
            return others(format!("no labels of the {} training images within their classes", self.set.count()));
        }
        self.given.set(&self.engine, labels.iter().map(|&label| label as u32).collect());
        self.features = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(labels: &[u32]) -> ImageSet {
        ImageSet {
            name: "set".into(),
            height: 1,
            width: 1,
            channels: 1,
            pixels: vec![0; labels.len()],
            labels: labels.to_vec(),
            classes: ["a", "b", "c"].map(String::from).to_vec(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
            finer: Vec::new(),
        }
    }

    #[test]
    fn each_class_is_sorted_by_itself() {
        // Classes by turns; the second feature of a class's images has two values, far apart, and they cross the classes.
        let set = set(&(0..60).map(|i| i % 3).collect::<Vec<_>>());
        let group = |i: usize| i / 3 % 2;
        let features: Vec<f32> = (0..60).flat_map(|i| [0.01 * (i % 7) as f32, 5.0 * group(i) as f32]).collect();
        let labels = within_classes(&features, &set, &[2, 1, 3], 4).unwrap();
        let columns = [0..2, 2..3, 3..6];
        for (i, &label) in labels.iter().enumerate() {
            assert!(columns[i % 3].contains(&label));
        }
        for i in (0..60).step_by(3) {
            assert_eq!(labels[i] == labels[0], group(i) == group(0), "image {i}");
        }
        let used = |class: usize| labels.iter().skip(class).step_by(3).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!([0, 1, 2].map(used), [2, 1, 3]);
    }

    #[test]
    fn a_class_needs_an_image_for_each_cluster() {
        let set = set(&[0, 0, 1, 1, 1]);
        check(&set, &[2, 3, 4]).unwrap();
        let error = check(&set, &[2, 4, 1]).unwrap_err().to_string();
        assert!(error.contains("4 clusters of the 3 training images of `b`"), "{error}");
    }
}
