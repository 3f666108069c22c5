//! A pass over a map that a convolution by bands spares: in a recording, the convolution, both passes of the statistics of its
//! output and the update of running ones become `conv2d_halo_stats` and `batch_norm_merge`. Values of half precision count as they
//! were before they were rounded.

use super::{batch_norm_merge, batch_norm_running, batch_norm_stats, conv2d_halo, conv2d_halo_stats};
use crate::base::{DType, Result, Shape};
use crate::gpu::{Cost, Dispatch, Recording, Shader, Tensor};

/// What it puts into recordings.
pub const KERNELS: [&Shader; 2] = [&conv2d_halo_stats::SHADER, &batch_norm_merge::SHADER];

/// Joins what fits, where the recording's variants name `conv2d_halo_stats`.
///
/// # Errors
/// When a tensor does not fit, which would be a mistake of this function.
pub fn join(recording: &mut Recording) -> Result<()> {
    if !recording.variants.names(&conv2d_halo_stats::SHADER) {
        return Ok(());
    }
    let all = std::mem::take(&mut recording.dispatches);
    let mut rest = all.as_slice();
    while let Some(next) = rest.first() {
        if let Some([convolution, slabs, merge, running]) = rest.first_chunk()
            && let Some(partial) = room(convolution, slabs, merge, running)
        {
            statistics(recording, convolution, &partial, merge, running)?;
            rest = &rest[4..];
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
    batch_norm_merge::record(recording, partial, update, &merge.tensors[1], &running.tensors[1])
}
