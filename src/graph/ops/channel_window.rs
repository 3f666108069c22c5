//! `channel_window(x)` and its transpose, and what is made of them: option A shortcuts, concatenation, slices.

use super::{Example, single};
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::channel_window;
pub use crate::kernels::channel_window::ChannelWindow;

#[derive(Debug)]
struct Window {
    window: ChannelWindow,
}

#[derive(Debug)]
struct Transpose {
    window: ChannelWindow,
    shape: Shape,
}

impl Graph {
    /// Channels `from..from + count` of every `stride`-th pixel at `to..to + count` of `channels`, zero elsewhere.
    /// Shapes: `x (R, H, W, C)` → `(R, ⌈H/stride⌉, ⌈W/stride⌉, channels)`; `(R, D)` → `(R, channels)`.
    ///
    /// # Errors
    /// When `x` has another rank or the window does not fit.
    pub fn channel_window(&mut self, x: NodeId, window: ChannelWindow) -> Result<NodeId> {
        self.apply(Window { window }, &[x])
    }

    /// The transpose of [`Graph::channel_window`]: `dy` back to a tensor of `sizes`, zero where the window reads nothing.
    ///
    /// # Errors
    /// When `dy` is not what the window makes of `sizes`.
    pub fn channel_window_transpose(&mut self, dy: NodeId, window: ChannelWindow, sizes: &[usize]) -> Result<NodeId> {
        self.apply(Transpose { window, shape: Shape::new(sizes) }, &[dy])
    }

    /// Shortcut option A of He et al., 2016, section 4.2, as the usual CIFAR code has it: subsample by `stride`, append
    /// zero channels. Shapes: `x (R, H, W, C)` → `(R, ⌈H/stride⌉, ⌈W/stride⌉, channels)`.
    ///
    /// # Errors
    /// When `channels` is less than C.
    pub fn shortcut_a(&mut self, x: NodeId, stride: usize, channels: usize) -> Result<NodeId> {
        let count = self.shape(x).last();
        self.channel_window(x, ChannelWindow { from: 0, to: 0, count, channels, stride })
    }

    /// Channels of `a`, then those of `b`. Shapes: `a (…, A)`, `b (…, B)` → `(…, A + B)`; rank 2 or 4.
    ///
    /// # Errors
    /// When the other sizes differ.
    pub fn concatenate(&mut self, a: NodeId, b: NodeId) -> Result<NodeId> {
        let (left, right) = (self.shape(a).last(), self.shape(b).last());
        let channels = left + right;
        let a = self.channel_window(a, ChannelWindow { from: 0, to: 0, count: left, channels, stride: 1 })?;
        let b = self.channel_window(b, ChannelWindow { from: 0, to: left, count: right, channels, stride: 1 })?;
        self.add(a, b)
    }

    /// Channels `from..from + count`. Shapes: `x (…, C)` → `(…, count)`; rank 2 or 4.
    ///
    /// # Errors
    /// When `x` has fewer channels.
    pub fn slice_channels(&mut self, x: NodeId, from: usize, count: usize) -> Result<NodeId> {
        self.channel_window(x, ChannelWindow { from, to: 0, count, channels: count, stride: 1 })
    }
}

impl Operation for Window {
    fn name(&self) -> &'static str {
        "channel_window"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        self.window.infer(inputs[0])
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        channel_window::record(recording, self.window, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        channel_window::reference(self.window, inputs[0])
    }

    fn vjp(&self, g: &mut Graph, x: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let sizes = g.shape(x[0]).sizes().to_vec();
        Ok(single(g.channel_window_transpose(dy, self.window, &sizes)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.channel_window(t, self.window)).transpose()
    }
}

impl Operation for Transpose {
    fn name(&self) -> &'static str {
        "channel_window_transpose"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let expected = self.window.infer(&self.shape)?;
        if *inputs[0] != expected {
            return Err(Error::Shape(format!("dy {} where {expected} was expected", inputs[0])));
        }
        Ok(self.shape.clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        channel_window::record_transpose(recording, self.window, io.inputs[0], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        channel_window::reference_transpose(self.window, inputs[0], &self.shape)
    }

    fn vjp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, dy: NodeId, _: &[bool]) -> Result<Vec<Option<NodeId>>> {
        Ok(single(g.channel_window(dy, self.window)?))
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], _: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.channel_window_transpose(t, self.window, self.shape.sizes())).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let x = |sizes: &[usize], seed| Array::normal(sizes, 1.0, seed);
    let window = ChannelWindow { from: 1, to: 2, count: 3, channels: 6, stride: 2 };
    vec![
        Example::new("channel_window", vec![x(&[2, 3, 4, 5], 1)], move |g, x| g.channel_window(x[0], window)),
        Example::new("channel_window (R, D)", vec![x(&[3, 5], 2)], move |g, x| g.channel_window(x[0], window)),
        Example::new("channel_window_transpose", vec![x(&[2, 2, 2, 6], 3)], move |g, x| {
            g.channel_window_transpose(x[0], window, &[2, 3, 4, 5])
        }),
        Example::new("shortcut_a", vec![x(&[2, 3, 4, 5], 4)], |g, x| g.shortcut_a(x[0], 2, 11)),
        Example::new("concatenate", vec![x(&[2, 3, 4, 5], 5), x(&[2, 3, 4, 2], 6)], |g, x| g.concatenate(x[0], x[1])),
        Example::new("slice_channels", vec![x(&[2, 3, 4, 5], 7)], |g, x| g.slice_channels(x[0], 2, 3)),
    ]
}
