//! A recording made ready: pipelines and bind groups built once, replayed in one compute pass, or in as many as copies of
//! inputs into textures stand between.

use std::ops::Range;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use super::texels::{Plan, UPDATED, bytes};
use super::trace::Stamps;
use super::{Access, Build, Dispatch, Engine, Places, Recording, readback};
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
    /// The copies into textures.
    texels: Plan,
    textures: Vec<Arc<wgpu::Texture>>,
}

#[derive(Debug)]
struct Ready {
    build: Build,
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

/// What each dispatch's pipeline is built of, and how textures hold those inputs that are read from them.
fn builds(engine: &Engine, recording: &Recording) -> impl Iterator<Item = (Build, Vec<Option<wgpu::TextureFormat>>)> {
    recording.dispatches.iter().map(|dispatch| {
        let formats = engine.formats(dispatch);
        (engine.build_of(dispatch, Places::of(formats.iter().map(Option::is_some))), formats)
    })
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
        let (mut builds, formats): (Vec<Build>, Vec<_>) = builds(engine, recording).unzip();
        let mut texels = Plan::new(&recording.dispatches, &formats);
        let textures = engine.textures(&texels.slots).unwrap_or_else(|| {
            texels = Plan::default();
            builds = recording.dispatches.iter().map(|d| engine.build_of(d, Places::default())).collect();
            Vec::new()
        });
        engine.prepare(&builds);
        let views: Vec<wgpu::TextureView> = textures.iter().map(|t| t.create_view(&Default::default())).collect();
        let mut ready = Vec::with_capacity(recording.dispatches.len());
        for (at, ((d, build), offset)) in recording.dispatches.iter().zip(builds).zip(places).enumerate() {
            let found = engine.pipeline(&build)?;
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
                if let Some(&copy) = texels.read.get(&(at, i)) {
                    let resource = wgpu::BindingResource::TextureView(&views[texels.copies[copy].slot]);
                    let updated = b.access == Access::Update;
                    let binding = i as u32 + if updated { UPDATED } else { 1 };
                    entries.push(wgpu::BindGroupEntry { binding, resource });
                    if !updated {
                        continue;
                    }
                }
                let most = match b.access {
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
                let resource = window(&t.buffer, t.offset, t.bytes());
                entries.push(wgpu::BindGroupEntry { binding: i as u32 + 1, resource });
            }
            let group = engine.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(&d.label),
                layout: &found.layout,
                entries: &entries,
            });
            ready.push(Ready { build, pipeline: found.pipeline, group });
        }
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::Device(format!("{}: {error}", engine.describe())));
        }
        let (name, dispatches) = (name.to_owned(), recording.dispatches.clone());
        Ok(Self(Arc::new(Inner { name, dispatches, ready, texels, textures })))
    }

    /// Builds what programs of these recordings need, on all cores at once.
    pub fn prepare<'a>(engine: &Engine, recordings: impl IntoIterator<Item = &'a Recording>) {
        let builds = recordings.into_iter().flat_map(|recording| builds(engine, recording));
        engine.prepare(&builds.map(|(build, _)| build).collect::<Vec<_>>());
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it plays, in order.
    pub fn dispatches(&self) -> &[Dispatch] {
        &self.0.dispatches
    }

    /// What the pipelines of its dispatches are built of.
    pub fn builds(&self) -> impl Iterator<Item = &Build> {
        self.0.ready.iter().map(|ready| &ready.build)
    }

    /// Before which dispatches inputs are copied into textures, in order, one a copy.
    pub fn copies(&self) -> Vec<usize> {
        self.0.texels.copies.iter().map(|copy| copy.at).collect()
    }

    /// Bytes of the textures that its inputs are read from; other programs may use them too.
    pub fn texture_bytes(&self) -> u64 {
        self.0.textures.iter().map(|texture| bytes(texture)).sum()
    }

    /// Whether it plays what was recorded: the same kernels in the same forms with the same parameters and tensors.
    pub fn plays(&self, recording: &Recording) -> bool {
        let (own, others) = (self.dispatches(), &recording.dispatches);
        own.len() == others.len() && own.iter().zip(others).all(|(a, b)| a.does(b))
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
        let mut pass: Option<wgpu::ComputePass<'static>> = None;
        for (i, place) in (0..times).flat_map(|_| part.clone()).enumerate() {
            let copies = self.0.texels.copies_before(place, place == part.start);
            let boundaries = stamps.as_ref().and_then(|stamps| stamps.boundaries(i));
            if !copies.is_empty() || boundaries.is_some() {
                pass = None;
            }
            for copy in copies {
                copy.source.copy(&mut encoder, &self.0.textures[copy.slot]);
            }
            let label = if boundaries.is_some() { Some(self.0.dispatches[place].label.as_str()) } else { label };
            let descriptor = wgpu::ComputePassDescriptor { label, timestamp_writes: boundaries };
            // The pass ends before anything else is recorded.
            let pass = pass.get_or_insert_with(|| encoder.begin_compute_pass(&descriptor).forget_lifetime());
            let stamp = |pass: &mut wgpu::ComputePass<'_>, i| stamps.iter().for_each(|s: &Stamps| s.write(pass, i));
            if i == 0 {
                stamp(pass, 0);
            }
            self.play(pass, place);
            stamp(pass, i + 1);
        }
        drop(pass);
        if let Some(stamps) = &stamps {
            stamps.resolve(&mut encoder);
        }
        let commands = encoder.finish();
        drop(recording);
        let (submitting, since) = (engine.span("submit"), Instant::now());
        let index = engine.queue.submit([commands]);
        drop(submitting);
        engine.played(self, stamps, since);
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
