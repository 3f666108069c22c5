//! `masked_softmax(x, labels, hierarchy)`: the softmax of each row over the columns of its class alone.
//!
//! Source: Liu, Davison and Johns 2019 (MAXL), section 3.2. Masked entries are exactly zero, as the official code means
//! it; the paper's text would leave each of them `exp(0)`.

use super::rows::{expect, matrix};
use super::{Example, single};
use crate::base::labels::IGNORED;
use crate::base::{Array, Error, Result, Shape};
use crate::gpu::Recording;
use crate::graph::{Graph, Io, NodeId, Operation};
use crate::kernels::masked_softmax;

#[derive(Debug)]
struct MaskedSoftmax;

impl Graph {
    /// Softmax of each row over the auxiliary labels of its class: `hierarchy[y]` columns from
    /// `hierarchy[..y].sum()` on. Zero in every other column, and in rows without a label.
    /// Shapes: `x (B, K)`, K the hierarchy's sum, `labels (B)` unsigned → `(B, K)`.
    ///
    /// # Errors
    /// When the hierarchy is empty, has a zero, or does not sum to the columns of `x`.
    pub fn masked_softmax(&mut self, x: NodeId, labels: NodeId, hierarchy: &[usize]) -> Result<NodeId> {
        let columns: usize = hierarchy.iter().sum();
        if hierarchy.is_empty() || hierarchy.contains(&0) || self.shape(x).last() != columns {
            return Err(Error::Shape(format!(
                "masked_softmax: {} columns for the hierarchy {hierarchy:?}, whose sizes must be at least 1 and sum to them",
                self.shape(x).last()
            )));
        }
        let offsets = self.table(&masked_softmax::offsets(hierarchy));
        self.apply(MaskedSoftmax, &[x, labels, offsets])
    }
}

impl Operation for MaskedSoftmax {
    fn name(&self) -> &'static str {
        "masked_softmax"
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [rows, _] = matrix("x", inputs[0])?;
        expect("labels", inputs[1], &[rows])?;
        Ok(inputs[0].clone())
    }

    fn record(&self, recording: &mut Recording, io: &Io<'_>) -> Result<()> {
        masked_softmax::record(recording, io.inputs[0], io.inputs[1], io.inputs[2], io.output)
    }

    fn interpret(&self, inputs: &[&Array]) -> Array {
        masked_softmax::reference(inputs[0], inputs[1], inputs[2])
    }

    // Both rules are the plain softmax's: where the value is zero, so is its derivative.
    fn vjp(&self, g: &mut Graph, _: &[NodeId], y: NodeId, dy: NodeId, wanted: &[bool]) -> Result<Vec<Option<NodeId>>> {
        let mut out = single(g.softmax_grad(y, dy)?);
        debug_assert!(!wanted[1] && !wanted[2], "labels and offsets are whole numbers");
        out.extend([None, None]);
        Ok(out)
    }

    fn jvp(&self, g: &mut Graph, _: &[NodeId], y: NodeId, t: &[Option<NodeId>]) -> Result<Option<NodeId>> {
        t[0].map(|t| g.softmax_grad(y, t)).transpose()
    }
}

/// For the gradient checks.
pub fn examples() -> Vec<Example> {
    let hierarchies: [&[usize]; 3] = [&[3, 3], &[2, 5, 1, 4], &[1, 2]];
    let example = |hierarchy: &'static [usize]| {
        let x = Array::normal(&[5, hierarchy.iter().sum()], 2.0, 1);
        let label = |r| if r == 1 { f64::from(IGNORED) } else { ((r + 1) % hierarchy.len()) as f64 };
        let name = format!("masked_softmax {hierarchy:?}");
        Example::new(name, vec![x, Array::from_fn(&[5], label)], move |g, x| g.masked_softmax(x[0], x[1], hierarchy))
            .integer_input(1)
    };
    hierarchies.into_iter().map(example).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DType;

    #[test]
    fn hierarchies_that_do_not_fit_are_refused() {
        let mut g = Graph::new();
        let x = g.parameter("x", &[4, 6]);
        let labels = g.input("labels", &[4], DType::U32);
        assert!(g.masked_softmax(x, labels, &[1, 5]).is_ok());
        for hierarchy in [&[2, 3][..], &[6, 0], &[]] {
            let error = g.masked_softmax(x, labels, hierarchy).expect_err("does not fit").to_string();
            assert!(error.contains(&format!("{hierarchy:?}")) && error.contains('6'), "{error}");
        }
    }
}
