//! A recording made ready: pipelines and bind groups built once, replayed in one compute pass.

use std::sync::PoisonError;

use super::{Access, Engine, Recording, readback};
use crate::base::{Error, Result};

/// A recording compiled for a device.
#[derive(Debug)]
pub struct Program {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    grid: [u32; 3],
    label: String,
}

impl Program {
    /// Builds pipelines, one uniform buffer with every dispatch's parameters, and the bind groups.
    ///
    /// # Errors
    /// When the device rejects a shader or a binding passes its limits.
    pub fn new(engine: &Engine, recording: &Recording) -> Result<Self> {
        let limits = engine.limits();
        let align = u64::from(limits.min_uniform_buffer_offset_alignment);
        let mut packed: Vec<u8> = Vec::new();
        let mut places = Vec::with_capacity(recording.dispatches.len());
        for d in &recording.dispatches {
            packed.resize((packed.len() as u64).next_multiple_of(align) as usize, 0);
            places.push(packed.len() as u64);
            packed.extend_from_slice(&d.params);
            packed.resize(packed.len().next_multiple_of(16), 0);
        }
        packed.resize(packed.len().max(16), 0);
        let params = engine.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("params"),
            size: packed.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        engine.queue.write_buffer(&params, 0, &packed);

        let scope = engine.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut steps = Vec::with_capacity(recording.dispatches.len());
        for (d, offset) in recording.dispatches.iter().zip(places) {
            let found = engine.pipeline(d.shader, d.variant)?;
            let window = |buffer, offset, bytes: u64| {
                wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer,
                    offset,
                    size: std::num::NonZeroU64::new(bytes),
                })
            };
            let mut entries = vec![wgpu::BindGroupEntry {
                binding: 0,
                resource: window(&params, offset, (d.params.len() as u64).next_multiple_of(16)),
            }];
            for (i, (t, b)) in d.tensors.iter().zip(d.shader.bindings).enumerate() {
                let most = match b.access {
                    Access::Uniform => limits.max_uniform_buffer_binding_size,
                    _ => limits.max_storage_buffer_binding_size,
                };
                if t.shape.bytes() > most {
                    return Err(Error::Memory(format!(
                        "{} ({}): `{}` {} takes {} bytes in one binding; the adapter allows {most}. Use a smaller batch, \
                         or keep the effective batch with --accumulate",
                        d.label,
                        d.shader.name,
                        b.name,
                        t.shape,
                        t.shape.bytes()
                    )));
                }
                let resource = window(&t.buffer, t.offset, t.shape.bytes());
                entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
            }
            let group = engine.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&d.label),
                layout: &found.layout,
                entries: &entries,
            });
            steps.push(Step { pipeline: found.pipeline, group, grid: d.groups, label: d.label.clone() });
        }
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::Device(format!("{}: {error}", engine.describe())));
        }
        Ok(Self { steps })
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Submits `times` replays in one compute pass and returns without waiting; at most two submissions stay in
    /// flight.
    ///
    /// # Errors
    /// When the device has reported an error or was lost.
    pub fn run(&self, engine: &Engine, times: usize) -> Result<()> {
        let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("step") });
        {
            let mut pass = encoder
                .begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("step"), timestamp_writes: None });
            for _ in 0..times {
                for step in &self.steps {
                    pass.push_debug_group(&step.label);
                    pass.set_pipeline(&step.pipeline);
                    pass.set_bind_group(0, &step.group, &[]);
                    pass.dispatch_workgroups(step.grid[0], step.grid[1], step.grid[2]);
                    pass.pop_debug_group();
                }
            }
        }
        let index = engine.queue.submit([encoder.finish()]);
        engine.in_flight.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        readback::throttle(engine, 2)?;
        engine.check()
    }
}
