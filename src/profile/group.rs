//! Dispatches put together by kernel, layer, node or way, each group beside the ceilings.

use serde::Serialize;

use super::measure::Measured;
use super::roofline::{Binds, Roofline};
use crate::graph::Way;

/// What a group has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The kernel and its variant.
    Kernel,
    /// The layer, with its derivatives.
    Layer,
    /// The node.
    Node,
    /// Forward, backward, tangent, update, of each program.
    Way,
}

impl By {
    fn key(self, d: &Measured) -> String {
        match self {
            Self::Kernel if d.variant == "plain" => d.kernel.clone(),
            Self::Kernel => format!("{} ({})", d.kernel, d.variant),
            Self::Layer => d.layer.clone(),
            Self::Node => d.node.clone(),
            Self::Way => format!("{}: {}", d.program, d.way),
        }
    }
}

/// Dispatches of one kernel, layer, node or way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// What they have in common.
    pub name: String,
    /// Dispatches in a step, on average.
    pub dispatches: f64,
    /// Seconds of a step.
    pub seconds: f64,
    /// Of these: forward, backward, tangent, update.
    pub ways: [f64; 4],
    /// The share of the step's device time.
    pub share: f64,
    /// Operations of a step.
    pub operations: f64,
    /// Bytes of a step.
    pub bytes: f64,
    /// The share of the ceiling of operations.
    pub of_operations: f64,
    /// The share of the ceiling of bytes.
    pub of_bytes: f64,
    /// Seconds at the ceilings that bind each dispatch.
    pub floor: f64,
    /// The ceiling that binds the larger part of the floor.
    pub binds: Binds,
}

impl Group {
    /// Operations a second.
    pub fn operations_per_s(&self) -> f64 {
        rate(self.operations, self.seconds)
    }

    /// Bytes a second.
    pub fn bytes_per_s(&self) -> f64 {
        rate(self.bytes, self.seconds)
    }

    /// Operations a byte.
    pub fn intensity(&self) -> f64 {
        rate(self.operations, self.bytes)
    }

    /// How much of the best time it reaches: its floor over its seconds.
    pub fn of_roof(&self) -> f64 {
        rate(self.floor, self.seconds)
    }
}

fn rate(amount: f64, per: f64) -> f64 {
    if per > 0.0 { amount / per } else { 0.0 }
}

/// The groups, slowest first.
pub fn group(dispatches: &[Measured], by: By, roofline: &Roofline) -> Vec<Group> {
    let total: f64 = dispatches.iter().map(Measured::in_step).sum();
    let mut groups: Vec<(Group, f64)> = Vec::new();
    for d in dispatches {
        let name = by.key(d);
        let place = groups.iter().position(|(g, _)| g.name == name).unwrap_or_else(|| {
            groups.push((empty(name), 0.0));
            groups.len() - 1
        });
        let (group, by_operations) = &mut groups[place];
        let floor = roofline.floor(d.cost()) * d.runs;
        group.dispatches += d.runs;
        group.seconds += d.in_step();
        let way = Way::ALL.iter().position(|w| *w == d.way).expect("all ways are listed");
        group.ways[way] += d.in_step();
        group.operations += d.operations as f64 * d.runs;
        group.bytes += d.bytes as f64 * d.runs;
        group.floor += floor;
        if roofline.binds(d.cost()) == Binds::Operations {
            *by_operations += floor;
        }
    }
    let mut groups: Vec<Group> = groups
        .into_iter()
        .map(|(g, by_operations)| Group {
            share: rate(g.seconds, total),
            of_operations: g.operations_per_s() / roofline.operations_per_s,
            of_bytes: g.bytes_per_s() / roofline.bytes_per_s,
            binds: if 2.0 * by_operations > g.floor { Binds::Operations } else { Binds::Bytes },
            ..g
        })
        .collect();
    groups.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    groups
}

/// What each group takes of the device's time, largest first.
pub fn shares(dispatches: &[Measured], by: By) -> Vec<(String, f64)> {
    let total: f64 = dispatches.iter().map(Measured::in_step).sum();
    let mut shares: Vec<(String, f64)> = Vec::new();
    for d in dispatches {
        let (name, share) = (by.key(d), rate(d.in_step(), total));
        match shares.iter_mut().find(|(other, _)| *other == name) {
            Some((_, sum)) => *sum += share,
            None => shares.push((name, share)),
        }
    }
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

fn empty(name: String) -> Group {
    Group {
        name,
        dispatches: 0.0,
        seconds: 0.0,
        ways: [0.0; 4],
        share: 0.0,
        operations: 0.0,
        bytes: 0.0,
        of_operations: 0.0,
        of_bytes: 0.0,
        floor: 0.0,
        binds: Binds::Bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOF: Roofline = Roofline { operations_per_s: 1000.0, bytes_per_s: 100.0 };

    /// Program, node, kernel, operations, bytes, runs, seconds.
    type Made = (&'static str, &'static str, &'static str, u64, u64, f64, f64);

    fn made((program, node, kernel, operations, bytes, runs, seconds): Made) -> Measured {
        let place = crate::graph::Place::of(node);
        Measured {
            program: program.into(),
            index: 0,
            node: node.into(),
            layer: place.layer.into(),
            way: place.way,
            kernel: kernel.into(),
            variant: if kernel == "copy" { "plain" } else { "8" }.into(),
            shape: String::new(),
            grid: [1; 3],
            operations,
            bytes,
            runs,
            seconds,
            spread: 0.0,
        }
    }

    fn step() -> Vec<Measured> {
        [
            ("step", "conv1.conv2d", "conv2d", 2000, 20, 1.0, 4.0),
            ("step", "conv1.relu", "relu", 10, 50, 1.0, 1.0),
            ("step", "grad.conv1.conv2d.conv2d_weight_grad", "conv2d_weight_grad", 2000, 20, 1.0, 3.0),
            ("meta step", "head.relu", "relu", 10, 150, 0.5, 4.0),
            ("step", "update.optimizer", "copy", 0, 0, 1.0, 0.0),
        ]
        .map(made)
        .into()
    }

    #[test]
    fn groups_add_up_and_stand_slowest_first() {
        for by in [By::Kernel, By::Layer, By::Node, By::Way] {
            let groups = group(&step(), by, &ROOF);
            let sum = |of: fn(&Group) -> f64| groups.iter().map(of).sum::<f64>();
            assert!((sum(|g| g.share) - 1.0).abs() < 1e-12, "{by:?}");
            assert!((sum(|g| g.seconds) - 10.0).abs() < 1e-12, "{by:?}");
            assert!((sum(|g| g.dispatches) - 4.5).abs() < 1e-12, "{by:?}");
            assert!(groups.iter().all(|g| (g.ways.iter().sum::<f64>() - g.seconds).abs() < 1e-12), "{by:?}");
            assert!(groups.windows(2).all(|w| w[0].seconds >= w[1].seconds), "{by:?}");
            let shares = shares(&step(), by);
            assert_eq!(shares.len(), groups.len(), "{by:?}");
            for ((name, share), group) in shares.iter().zip(&groups) {
                assert!(*name == group.name && (share - group.share).abs() < 1e-12, "{by:?}: {name} {share}");
            }
        }
    }

    #[test]
    fn a_layer_holds_its_derivatives() {
        let layers = group(&step(), By::Layer, &ROOF);
        let conv = &layers[0];
        assert_eq!((conv.name.as_str(), conv.dispatches, conv.ways), ("conv1", 3.0, [5.0, 3.0, 0.0, 0.0]));
        assert_eq!((conv.operations, conv.bytes), (4010.0, 90.0));
        assert_eq!(conv.operations_per_s(), 4010.0 / 8.0);
        assert_eq!(conv.of_operations, 4010.0 / 8.0 / 1000.0);
        assert_eq!(conv.of_bytes, 90.0 / 8.0 / 100.0);
        // 2 s of arithmetic in each convolution, half a second of memory in the ReLU.
        assert_eq!((conv.floor, conv.binds), (4.5, Binds::Operations));
        assert_eq!(conv.of_roof(), 4.5 / 8.0);
    }

    #[test]
    fn kernels_are_weighted_by_their_runs() {
        let kernels = group(&step(), By::Kernel, &ROOF);
        let relu = kernels.iter().find(|g| g.name == "relu (8)").expect("there");
        assert_eq!((relu.dispatches, relu.seconds, relu.bytes), (1.5, 3.0, 125.0));
        assert_eq!((relu.floor, relu.binds), (1.25, Binds::Bytes));
        let none = kernels.iter().find(|g| g.name == "copy").expect("its only form is not named");
        assert_eq!((none.operations_per_s(), none.of_bytes, none.of_roof()), (0.0, 0.0, 0.0));
    }

    #[test]
    fn ways_are_told_apart_by_program() {
        let names: Vec<String> = group(&step(), By::Way, &ROOF).into_iter().map(|g| g.name).collect();
        assert_eq!(names, ["step: forward", "step: backward", "meta step: forward", "step: update"]);
    }
}
