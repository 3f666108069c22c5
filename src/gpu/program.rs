//! A recording made ready: pipelines and bind groups built once, replayed in one compute pass.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use super::shader::WINDOW;
use super::trace::Stamps;
use super::{Access, Dispatch, Engine, Recording, readback};
use crate::base::{Error, Result};

/// A recording compiled for a device. Cloning clones the handle.
#[derive(Clone, Debug)]
pub struct Program(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    dispatches: Vec<Dispatch>,
    /// What each dispatch is played with.
    ready: Vec<Ready>,
}

#[derive(Debug)]
struct Ready {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl Program {
    /// Builds pipelines, one uniform buffer with every dispatch's parameters, and the bind groups.
    ///
    /// # Errors
    /// When the device rejects a shader or a binding passes its limits.
    pub fn new(engine: &Engine, recording: &Recording) -> Result<Self> {
        Self::named(engine, recording, "program")
    }

    /// [`Program::new`] under a name, which its pass and its parameters have on the device and a trace has too.
    ///
    /// # Errors
    /// As [`Program::new`].
    pub fn named(engine: &Engine, recording: &Recording, name: &str) -> Result<Self> {
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
            label: Some(&format!("{name}: parameters")),
            size: packed.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        engine.queue.write_buffer(&params, 0, &packed);

        let scope = engine.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let mut ready = Vec::with_capacity(recording.dispatches.len());
        for (d, offset) in recording.dispatches.iter().zip(places) {
            let found = engine.pipeline(d.build())?;
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
                let in_window = d.shader.variants[d.variant].windows.contains(&b.name);
                let most = match b.access {
                    _ if in_window => WINDOW,
                    Access::Uniform => limits.max_uniform_buffer_binding_size,
                    _ => limits.max_storage_buffer_binding_size,
                };
                if t.bytes() > most {
                    return Err(Error::Memory(format!(
                        "{} ({}): `{}` {} takes {} bytes in one binding; the adapter allows {most}. Use a smaller batch, \
                         or keep the effective batch with --accumulate",
                        d.label,
                        d.shader.name,
                        b.name,
                        t.shape,
                        t.bytes()
                    )));
                }
                let resource = window(&t.buffer, t.offset, if in_window { WINDOW } else { t.bytes() });
                entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
            }
            let group = engine.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&d.label),
                layout: &found.layout,
                entries: &entries,
            });
            ready.push(Ready { pipeline: found.pipeline, group });
        }
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::Device(format!("{}: {error}", engine.describe())));
        }
        Ok(Self(Arc::new(Inner { name: name.to_owned(), dispatches: recording.dispatches.clone(), ready })))
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it plays, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.0.dispatches
    }

    /// Whether both are handles of one program.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Number of dispatches.
    pub fn len(&self) -> usize {
        self.0.ready.len()
    }

    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        self.0.ready.is_empty()
    }

    /// Submits `times` replays in one compute pass and returns without waiting; at most two submissions stay in
    /// flight.
    ///
    /// # Errors
    /// When the device has reported an error or was lost.
    pub fn run(&self, engine: &Engine, times: usize) -> Result<()> {
        self.run_part(engine, 0..self.len(), times)
    }

    /// [`Program::run`] of some of its dispatches.
    ///
    /// # Errors
    /// As [`Program::run`].
    pub fn run_part(&self, engine: &Engine, part: Range<usize>, times: usize) -> Result<()> {
        let recording = engine.span("record");
        let label = Some(self.name());
        let mut encoder = engine.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label });
        let stamps = engine.stamps(times * part.len());
        let order = (0..times).flat_map(|_| part.clone()).enumerate();
        if let Some(stamps) = stamps.as_ref().filter(|stamps| stamps.needs_passes()) {
            for (i, place) in order {
                let writes = stamps.boundaries(i);
                let descriptor = wgpu::ComputePassDescriptor {
                    label: Some(&self.0.dispatches[place].label),
                    timestamp_writes: writes,
                };
                self.play(&mut encoder.begin_compute_pass(&descriptor), place);
            }
        } else {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
            let stamp = |pass: &mut wgpu::ComputePass<'_>, i| stamps.iter().for_each(|s: &Stamps| s.write(pass, i));
            stamp(&mut pass, 0);
            for (i, place) in order {
                self.play(&mut pass, place);
                stamp(&mut pass, i + 1);
            }
        }
        if let Some(stamps) = &stamps {
            stamps.resolve(&mut encoder);
        }
        let commands = encoder.finish();
        drop(recording);
        let submitting = engine.span("submit");
        let index = engine.queue.submit([commands]);
        drop(submitting);
        engine.played(self, stamps);
        engine.in_flight.lock().unwrap_or_else(PoisonError::into_inner).push(index);
        readback::throttle(engine, 2)?;
        engine.check()
    }

    fn play(&self, pass: &mut wgpu::ComputePass<'_>, place: usize) {
        let (dispatch, ready) = (&self.0.dispatches[place], &self.0.ready[place]);
        let [x, y, z] = dispatch.groups;
        pass.push_debug_group(&dispatch.label);
        pass.set_pipeline(&ready.pipeline);
        pass.set_bind_group(0, &ready.group, &[]);
        pass.dispatch_workgroups(x, y, z);
        pass.pop_debug_group();
    }
}
