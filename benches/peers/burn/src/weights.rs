//! Weights from a file into a network, and how far training took them from there.

use std::collections::{BTreeMap, HashMap};

use burn::module::{ModuleVisitor, Param, ParamId};
use burn::prelude::*;

use crate::check::{uniform, values};
use crate::exported::{Exported, HostTensor};

/// A last bit: what a nudge adds to a weight or takes from it, as a part of the weight.
const NUDGE: f32 = f32::EPSILON;

/// Hands out each weight of a file once.
pub struct Loader<'a> {
    left: BTreeMap<&'a str, &'a HostTensor>,
    device: &'a Device,
    nudged: bool,
    start: HashMap<ParamId, Vec<f32>>,
}

/// The values that a network started from, by parameter.
pub struct Start(HashMap<ParamId, Vec<f32>>);

impl<'a> Loader<'a> {
    /// The weights of a step; `nudged` moves each of them by its last bit, up or down.
    pub fn new(step: &'a Exported, nudged: bool, device: &'a Device) -> Self {
        // Steps normalise by the batch; running statistics do not enter them.
        let left = step.weights.iter().filter(|(name, _)| !name.contains(".running_"));
        let left = left.map(|(name, tensor)| (name.as_str(), tensor)).collect();
        Self { left, device, nudged, start: HashMap::new() }
    }

    /// Where the parameters lie.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// A parameter of rank `D`.
    ///
    /// # Errors
    /// When the file has none of this name and rank left.
    pub fn take<const D: usize>(&mut self, name: &str) -> Result<Param<Tensor<D>>, String> {
        let (shape, values) = self.host::<D>(name)?;
        Ok(self.parameter(values, shape))
    }

    /// A matrix with its axes exchanged.
    ///
    /// # Errors
    /// When the file has no matrix of this name left.
    pub fn take_transposed(&mut self, name: &str) -> Result<Param<Tensor<2>>, String> {
        let ([rows, columns], values) = self.host::<2>(name)?;
        let transposed = (0..columns).flat_map(|column| (0..rows).map(move |row| row * columns + column));
        Ok(self.parameter(transposed.map(|i| values[i]).collect(), [columns, rows]))
    }

    fn host<const D: usize>(&mut self, name: &str) -> Result<([usize; D], Vec<f32>), String> {
        let tensor = self.left.remove(name).ok_or_else(|| format!("there is no weight {name} left"))?;
        let shape = tensor.shape.as_slice().try_into();
        let shape = shape.map_err(|_| format!("{name} has shape {:?}, not of rank {D}", tensor.shape))?;
        let mut values = tensor.values.clone();
        if self.nudged {
            let signs = uniform(values.len(), self.left.len() as u64);
            values.iter_mut().zip(signs).for_each(|(value, sign)| *value += sign.signum() * NUDGE * *value);
        }
        Ok((shape, values))
    }

    fn parameter<const D: usize>(&mut self, values: Vec<f32>, shape: [usize; D]) -> Param<Tensor<D>> {
        let parameter = Param::from_data(TensorData::new(values.clone(), shape), self.device);
        self.start.insert(parameter.id, values);
        parameter
    }

    /// The start, once the network is made.
    ///
    /// # Errors
    /// When it left weights of the file alone.
    pub fn finish(self) -> Result<Start, String> {
        match self.left.keys().next() {
            Some(name) => Err(format!("the network has no {name}")),
            None => Ok(Start(self.start)),
        }
    }
}

impl Start {
    /// The root of the sum of squares of what a network's parameters differ by from the start; NaN when it lacks one.
    pub fn distance(&self, network: &impl Module) -> f64 {
        let mut distance = Distance { start: &self.0, sum: 0.0, met: 0 };
        network.visit(&mut distance);
        if distance.met == self.0.len() { distance.sum.sqrt() } else { f64::NAN }
    }
}

struct Distance<'a> {
    start: &'a HashMap<ParamId, Vec<f32>>,
    sum: f64,
    met: usize,
}

impl ModuleVisitor for Distance<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(start) = self.start.get(&parameter.id) {
            let now = values(parameter.val().inner());
            self.sum += start.iter().zip(now).map(|(a, b)| (f64::from(*a) - f64::from(b)).powi(2)).sum::<f64>();
            self.met += 1;
        }
    }
}
