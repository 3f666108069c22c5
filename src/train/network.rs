//! The tensors of a network on the device, and their way to and from PyTorch's names and layouts.

use std::collections::HashMap;

use crate::base::{Error, Result, Shape};
use crate::gpu::{Engine, Tensor};
use crate::graph::{Graph, NodeId, Store};
use crate::nn::{Builder, TensorSpec, TorchTensor};

/// Parameters and running statistics of one network.
#[derive(Debug)]
pub struct Network {
    parameter_specs: Vec<TensorSpec>,
    state_specs: Vec<TensorSpec>,
    /// All parameters in one buffer.
    pub parameters: Store,
    /// All running statistics in one buffer.
    pub states: Store,
}

impl Network {
    /// Allocates what the layers of `b` asked for, filled with zeros.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn new(engine: &Engine, b: &Builder) -> Result<Self> {
        Self::part(engine, b, |_| true)
    }

    /// Allocates those tensors of `b` whose name `belongs` to this network, filled with zeros: a graph may hold several
    /// networks.
    ///
    /// # Errors
    /// When memory does not suffice.
    pub fn part(engine: &Engine, b: &Builder, belongs: impl Fn(&str) -> bool) -> Result<Self> {
        let own =
            |specs: &[TensorSpec]| -> Vec<TensorSpec> { specs.iter().filter(|s| belongs(&s.name)).cloned().collect() };
        let named = |specs: &[TensorSpec]| -> Vec<(String, Shape)> {
            specs.iter().map(|s| (s.name.clone(), s.shape())).collect()
        };
        let (parameter_specs, state_specs) = (own(b.parameters()), own(b.states()));
        Ok(Self {
            parameters: Store::new(engine, "parameters", &named(&parameter_specs))?,
            states: Store::new(engine, "running statistics", &named(&state_specs))?,
            parameter_specs,
            state_specs,
        })
    }

    /// Fresh weights from the layers' initialisers.
    ///
    /// # Errors
    /// When a write fails its shape check.
    pub fn initialise(&self, engine: &Engine, seed: u64) -> Result<()> {
        for spec in &self.parameter_specs {
            self.parameters.write(engine, &spec.name, &spec.initialise(seed)?)?;
        }
        for spec in &self.state_specs {
            self.states.write(engine, &spec.name, &spec.initialise(seed)?)?;
        }
        Ok(())
    }

    /// Specs of the parameters, in the order of the flat buffer.
    pub fn parameter_specs(&self) -> &[TensorSpec] {
        &self.parameter_specs
    }

    /// Specs of the running statistics, in the order of their flat buffer.
    pub fn state_specs(&self) -> &[TensorSpec] {
        &self.state_specs
    }

    /// Number of trained values, as PyTorch counts them.
    pub fn parameter_count(&self) -> usize {
        self.parameter_specs.iter().flat_map(TensorSpec::torch_parts).map(|(_, s)| s.iter().product::<usize>()).sum()
    }

    /// Weights and running statistics as PyTorch has them, for `load_state_dict`.
    ///
    /// # Errors
    /// When the device has failed.
    pub fn to_torch(&self, engine: &Engine) -> Result<Vec<TorchTensor>> {
        let mut out = slot_to_torch(engine, &self.parameter_specs, &self.parameters, "")?;
        out.extend(slot_to_torch(engine, &self.state_specs, &self.states, "")?);
        Ok(out)
    }

    /// Loads weights and running statistics.
    ///
    /// # Errors
    /// When a tensor is missing, has other sizes, or one is left that the network does not know.
    pub fn from_torch(&self, engine: &Engine, mut tensors: HashMap<String, TorchTensor>) -> Result<()> {
        tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        slot_from_torch(engine, &self.parameter_specs, &self.parameters, "", &mut tensors)?;
        slot_from_torch(engine, &self.state_specs, &self.states, "", &mut tensors)?;
        let mut left: Vec<&String> = tensors.keys().collect();
        left.sort();
        if let Some(first) = left.first() {
            return Err(Error::Checkpoint(format!(
                "the file holds {} tensors that this network has not, such as `{first}`: another architecture or method",
                left.len()
            )));
        }
        Ok(())
    }

    /// The device tensors of every parameter and state that `graph` uses, for an executor.
    ///
    /// # Errors
    /// When the graph asks for a tensor that this network has not.
    pub fn place(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) -> Result<()> {
        for id in graph.parameters() {
            self.parameters.get(&graph.node(id).name)?;
        }
        self.place_own(graph, placed);
        Ok(())
    }

    /// The device tensors of those parameters and states of `graph` that are this network's: one of several there.
    pub fn place_own(&self, graph: &Graph, placed: &mut HashMap<NodeId, Tensor>) {
        for (leaves, store) in [(graph.parameters(), &self.parameters), (graph.states(), &self.states)] {
            for id in leaves {
                if let Ok(tensor) = store.get(&graph.node(id).name) {
                    placed.insert(id, tensor.clone());
                }
            }
        }
    }
}

/// A store laid out like `specs` as PyTorch's tensors, each name behind `prefix`.
///
/// # Errors
/// When the device has failed.
pub fn slot_to_torch(engine: &Engine, specs: &[TensorSpec], store: &Store, prefix: &str) -> Result<Vec<TorchTensor>> {
    let values = store.read_all(engine)?;
    let mut out = Vec::new();
    for spec in specs {
        for mut tensor in spec.to_torch(&values[&spec.name]) {
            tensor.name.insert_str(0, prefix);
            out.push(tensor);
        }
    }
    Ok(out)
}

/// The inverse of [`slot_to_torch`]; takes the tensors it uses out of `tensors`.
///
/// # Errors
/// When a tensor is missing or has other sizes.
pub fn slot_from_torch(
    engine: &Engine,
    specs: &[TensorSpec],
    store: &Store,
    prefix: &str,
    tensors: &mut HashMap<String, TorchTensor>,
) -> Result<()> {
    for spec in specs {
        let values = spec.from_torch(|name| {
            let full = format!("{prefix}{name}");
            tensors.remove(&full).ok_or_else(|| {
                Error::Checkpoint(format!(
                    "`{full}` is missing: another architecture or method than the file was written for"
                ))
            })
        })?;
        store.write(engine, &spec.name, &values)?;
    }
    Ok(())
}
