//! What the network sees of images, as bytes again: for people to look at.

use std::collections::HashMap;
use std::sync::Arc;

use super::config::{Config, Resident};
use super::feed::Feed;
use super::images::Decode;
use crate::base::Result;
use crate::data::{Draw, ImageSet};
use crate::gpu::{Engine, Program, readback};
use crate::graph::{Executor, Graph};
use crate::kernels::choose;

/// Images as the network sees them, before normalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// Height, width and channels.
    pub size: [usize; 3],
    /// One row an image: as in evaluation, then as training draws it in the first epochs. `[rows, columns, H, W, C]`.
    pub pixels: Vec<u8>,
    /// Images a row.
    pub columns: usize,
}

/// Shows `images` of a set, evenly apart, each as evaluation sees it and as training would in its first `copies` epochs.
///
/// # Errors
/// When the set is empty of images, `config.augment` does not fit it, or the device fails.
pub fn preview(engine: &Engine, config: &Config, set: &Arc<ImageSet>, images: usize, copies: usize) -> Result<Preview> {
    let image = [set.height, set.width, set.channels];
    let images = images.min(set.count());
    let chosen: Vec<u32> = (0..images).map(|i| (i * set.count() / images) as u32).collect();
    // Without mean and deviation: values in [0, 1].
    let decode = |random| Decode::new(image, &[0.0; 3], &[1.0; 3], &config.augment, random);
    let (plain, augmented) = (decode(None)?, decode(Some(config.seed))?);
    let draws = |epoch: u32| chosen.iter().map(move |&index| Draw { index, epoch }).collect::<Vec<_>>();
    let mut columns = vec![render(engine, set, plain, &draws(0))?];
    for epoch in 0..copies as u32 {
        columns.push(render(engine, set, augmented, &draws(epoch))?);
    }
    let size = plain.output();
    let one: usize = size.iter().product();
    let pixels = (0..images).flat_map(|row| columns.iter().flat_map(move |c| &c[row * one..(row + 1) * one])).copied();
    Ok(Preview { size, pixels: pixels.collect(), columns: 1 + copies })
}

/// The network's input for some draws as bytes, `[draws, H, W, C]`.
fn render(engine: &Engine, set: &Arc<ImageSet>, decode: Decode, draws: &[Draw]) -> Result<Vec<u8>> {
    let feed = Feed::new(engine, Arc::clone(set), draws.len(), Resident::Stream)?;
    let mut graph = Graph::new();
    let leaves = feed.leaves(&mut graph, decode)?;
    let mut placed = HashMap::new();
    feed.place(&leaves, &mut placed);
    let executor = Executor::new(engine, &graph, &[leaves.images], &placed, &choose::preferred(engine))?;
    let program = Program::new(engine, executor.recording())?;
    feed.write(engine, draws, None);
    program.run(engine, 1)?;
    let values: Vec<f32> = readback::read(engine, executor.tensor(leaves.images)?)?;
    Ok(values.iter().map(|v| (v * 255.0).round() as u8).collect())
}
