//! The only place that waits for the device.

use std::sync::PoisonError;
use std::sync::mpsc;

use super::{Engine, Tensor};
use crate::base::{DType, Error, Result};

fn poll(engine: &Engine, index: Option<wgpu::SubmissionIndex>) -> Result<()> {
    let _waiting = engine.span("wait");
    engine
        .device
        .poll(wgpu::PollType::Wait { submission_index: index, timeout: None })
        .map(drop)
        .map_err(|e| Error::Device(format!("{}: waiting for the device failed: {e}", engine.describe())))?;
    engine.check()
}

/// Waits until at most `most` submissions are in flight.
pub(super) fn throttle(engine: &Engine, most: usize) -> Result<()> {
    loop {
        let oldest = {
            let mut queue = engine.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
            if queue.len() <= most {
                return Ok(());
            }
            queue.remove(0)
        };
        poll(engine, Some(oldest))?;
    }
}

/// Waits for all submitted work.
///
/// # Errors
/// When the device has reported an error or was lost.
pub fn wait(engine: &Engine) -> Result<()> {
    engine.in_flight.lock().unwrap_or_else(PoisonError::into_inner).clear();
    poll(engine, None)
}

/// Reads the physical words (pads included) of several tensors, in one wait.
///
/// # Errors
/// When the device has reported an error or was lost.
pub fn read_words<T: bytemuck::Pod>(engine: &Engine, tensors: &[&Tensor]) -> Result<Vec<Vec<T>>> {
    let total: u64 = tensors.iter().map(|t| t.bytes().next_multiple_of(8)).sum();
    let limit = engine.limits().max_buffer_size;
    if total > limit {
        return tensors.iter().map(|t| Ok(read_words(engine, &[t])?.remove(0))).collect();
    }
    let staging = engine.device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: total.max(8),
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("readback") });
    let mut at = 0;
    for t in tensors {
        encoder.copy_buffer_to_buffer(&t.buffer, t.offset, &staging, at, t.bytes());
        at += t.bytes().next_multiple_of(8);
    }
    engine.queue.submit([encoder.finish()]);
    let (sender, receiver) = mpsc::channel();
    staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
        // The receiver only goes away when the wait below has failed already.
        let _ = sender.send(result);
    });
    wait(engine)?;
    let lost = |e: &dyn std::fmt::Display| Error::Device(format!("{}: reading back failed: {e}", engine.describe()));
    receiver.recv().map_err(|e| lost(&e))?.map_err(|e| lost(&e))?;
    let mapped = staging.get_mapped_range(..).map_err(|e| lost(&e))?;
    let mut out = Vec::with_capacity(tensors.len());
    let mut at = 0;
    for t in tensors {
        let bytes = &mapped[at as usize..(at + t.bytes()) as usize];
        out.push(bytemuck::pod_collect_to_vec(bytes));
        at += t.bytes().next_multiple_of(8);
    }
    Ok(out)
}

/// Reads the physical values (pads included) of a tensor of floats.
///
/// # Errors
/// When the device has reported an error or was lost.
pub fn read_floats(engine: &Engine, tensor: &Tensor) -> Result<Vec<f32>> {
    match tensor.dtype {
        DType::F16 => {
            let bits = read_words::<u16>(engine, &[tensor])?.remove(0);
            Ok(bits.into_iter().map(|bits| half::f16::from_bits(bits).to_f32()).collect())
        }
        _ => Ok(read_words(engine, &[tensor])?.remove(0)),
    }
}

/// Reads the logical values of one tensor.
///
/// # Errors
/// When the device has reported an error or was lost.
pub fn read<T: bytemuck::Pod>(engine: &Engine, tensor: &Tensor) -> Result<Vec<T>> {
    Ok(tensor.shape.unpad(&read_words::<T>(engine, &[tensor])?.remove(0)))
}
