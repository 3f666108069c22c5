//! Passes over a map that the one before spares, in a recording, where no graph can say it, because one pass leaves two results:
//!
//! - a convolution by bands, both passes of the statistics of its output and the update of running ones become
//!   `conv2d_halo_stats` and `batch_norm_merge`,
//! - the gradient where a residual branches off and the sums of batch normalisation over it become `batch_norm_residual_sums`.
//!
//! Values of half precision count as they were before they were rounded.

use super::{
    batch_norm_merge, batch_norm_residual_sums, batch_norm_running, batch_norm_stats, batch_norm_sums, conv2d_halo,
    conv2d_halo_stats, relu_derivative_sum,
};
use crate::base::{DType, Result, Shape};
use crate::gpu::{Access, Cost, Dispatch, Recording, Shader, Tensor};

/// What it puts into recordings in the place of measured forms.
pub const KERNELS: [&Shader; 2] = [&conv2d_halo_stats::SHADER, &batch_norm_merge::SHADER];

/// Joins what fits: convolutions where the recording's variants name `conv2d_halo_stats`.
///
/// # Errors
/// When a tensor does not fit, which would be a mistake of this function.
pub fn join(recording: &mut Recording) -> Result<()> {
    let bands = recording.variants.names(&conv2d_halo_stats::SHADER);
    let all = std::mem::take(&mut recording.dispatches);
    let mut rest = all.as_slice();
    while let Some(next) = rest.first() {
        if bands
            && let Some([convolution, slabs, merge, running]) = rest.first_chunk()
            && let Some(partial) = room(convolution, slabs, merge, running)
        {
            statistics(recording, convolution, &partial, merge, running)?;
            rest = &rest[4..];
        } else if let [gradient, sums, ..] = rest
            && meet(gradient, sums, &[])
        {
            recording.dispatches.push(residual(gradient, sums));
            rest = &rest[2..];
        } else if let [gradient, between, sums, ..] = rest
            && meet(gradient, sums, std::slice::from_ref(between))
        {
            recording.dispatches.extend([residual(gradient, sums), between.clone()]);
            rest = &rest[3..];
        } else {
            recording.dispatches.push(next.clone());
            rest = &rest[1..];
        }
    }
    Ok(())
}

/// Whether two tensors are the same values.
fn same(a: &Tensor, b: &Tensor) -> bool {
    a.buffer == b.buffer && a.offset == b.offset && a.dtype == b.dtype && a.shape.physical() == b.shape.physical()
}

/// The statistics of each workgroup's outputs, in the place of those of the slabs, if these dispatches are what [`join`] looks for.
fn room(convolution: &Dispatch, slabs: &Dispatch, merge: &Dispatch, running: &Dispatch) -> Option<Tensor> {
    let names = [convolution, slabs, merge, running].map(|d| d.shader.name);
    let [own, stats, moved] = [&conv2d_halo::SHADER, &batch_norm_stats::SHADER, &batch_norm_running::SHADER];
    if names != [own, stats, stats, moved].map(|shader| shader.name) {
        return None;
    }
    let (y, partial) = (&convolution.tensors[2], &slabs.tensors[1]);
    let found =
        same(&slabs.tensors[0], y) && same(&merge.tensors[0], partial) && same(&running.tensors[0], &merge.tensors[1]);
    // They are written earlier than the slabs were, into a buffer that holds nothing else: it must be none of the convolution's.
    let apart = convolution.tensors.iter().all(|t| t.buffer != partial.buffer);
    let groups = (convolution.groups[0] * convolution.groups[2]) as usize;
    let shape = Shape::new(&[groups, 3, y.shape.last()]);
    let fits = partial.offset == 0 && shape.bytes_of(DType::F32) <= partial.buffer.size();
    (found && apart && fits).then(|| Tensor { shape, ..partial.clone() })
}

fn statistics(
    recording: &mut Recording,
    convolution: &Dispatch,
    partial: &Tensor,
    merge: &Dispatch,
    running: &Dispatch,
) -> Result<()> {
    let Cost { operations, bytes } = convolution.cost;
    recording.dispatches.push(Dispatch {
        shader: &conv2d_halo_stats::SHADER,
        tensors: [convolution.tensors.as_slice(), std::slice::from_ref(partial)].concat(),
        // Three operations for each output more, and the parts' statistics written.
        cost: Cost {
            operations: operations + 3 * convolution.tensors[2].shape.elements() as u64,
            bytes: bytes + partial.bytes(),
        },
        ..convolution.clone()
    });
    recording.label(&merge.label);
    let update = bytemuck::pod_read_unaligned(&running.params);
    let count = convolution.tensors[2].shape.rows();
    batch_norm_merge::record(recording, partial, count, update, &merge.tensors[1], &running.tensors[1])
}

/// Whether `sums` go over the gradient, and may be found in it. What both write must be in other buffers than what both read.
/// The sums come earlier then: nothing between may have to do with what they write, or write what they read.
fn meet(gradient: &Dispatch, sums: &Dispatch, between: &[Dispatch]) -> bool {
    let names = [gradient, sums].map(|d| d.shader.name);
    if names != [&relu_derivative_sum::SHADER, &batch_norm_sums::SHADER].map(|shader| shader.name) {
        return false;
    }
    let ([y, a, b, u], [x, stats, over, out]) = (tensors(gradient), tensors(sums));
    let read = [y, a, b, x, stats];
    let apart = |one: &Tensor, others: &[&Tensor]| others.iter().all(|other| other.buffer != one.buffer);
    let reads = |access| matches!(access, Access::Read | Access::Uniform);
    let free = |d: &Dispatch| {
        let mut bound = d.shader.bindings.iter().zip(&d.tensors);
        bound.all(|(b, t)| apart(t, &[out]) && (reads(b.access) || apart(t, &[x, stats, u])))
    };
    same(u, over) && apart(u, &read) && apart(out, &read) && apart(out, &[u]) && between.iter().all(free)
}

/// The gradient `u` of `y, a, b`, and the sums `out` of `x, stats, u`, as one dispatch in the grid of the sums.
fn residual(gradient: &Dispatch, sums: &Dispatch) -> Dispatch {
    let ([y, a, b, u], [x, stats, _, out]) = (tensors(gradient), tensors(sums));
    // The gradient is not read again.
    let spared = u.bytes();
    Dispatch {
        shader: &batch_norm_residual_sums::SHADER,
        tensors: [y, a, b, x, stats, u, out].map(Tensor::clone).to_vec(),
        cost: Cost {
            operations: gradient.cost.operations + sums.cost.operations,
            bytes: gradient.cost.bytes + sums.cost.bytes - spared,
        },
        ..sums.clone()
    }
}

fn tensors(dispatch: &Dispatch) -> [&Tensor; 4] {
    [0, 1, 2, 3].map(|i| &dispatch.tensors[i])
}
