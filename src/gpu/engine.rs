//! A device with its queue, its pipelines and its memory account.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;

use rayon::prelude::*;

use super::adapter::{self, AdapterChoice};
use super::constants::with_constants;
use super::elements::{arrays, kept_as};
use super::shader::Key;
use super::texels;
use super::trace::Tracing;
use super::variants::{Choice, Form};
use super::{Access, Build, Dispatch, Places, Tensor, cooperative, readback};
use crate::base::{Array, DType, Error, Result, Shape};

/// How to open a device.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which adapter.
    pub adapter: AdapterChoice,
    /// Keep wgpu's bounds checks and loop bounds in shaders. Kernels guard themselves, so release builds leave them
    /// out; tests run both ways. `RELABEL_SAFE_SHADERS=1` forces them.
    pub checked: bool,
    /// Bytes that relabel may take on the device; `None` asks the system on a software adapter and the driver (at
    /// allocation) elsewhere, because WebGPU does not tell.
    pub memory: Option<u64>,
    /// Give the driver the labels of buffers, passes and pipelines also in a release build: graphics debuggers show
    /// them.
    pub labels: bool,
    /// Read all inputs from textures that can be, also where copying them takes longer than it saves: for tests.
    pub all_textures: bool,
    /// Load cooperative matrices from arrays of numbers, as on Metal, where vectors would do: for tests.
    pub numbers: bool,
    /// Make parameters constants also on a software adapter, whose compiler takes minutes over loops that it can unroll: for tests.
    pub constants: bool,
}

impl Options {
    /// For a debug build that times what a release build runs: checked where `asked` or the environment says so alone.
    pub fn as_released(&mut self, asked: bool) {
        self.checked = asked || forced();
    }
}

fn forced() -> bool {
    std::env::var("RELABEL_SAFE_SHADERS").is_ok_and(|v| v != "0")
}

impl Default for Options {
    fn default() -> Self {
        Self {
            adapter: AdapterChoice::Auto,
            checked: cfg!(debug_assertions) || forced(),
            memory: None,
            labels: false,
            all_textures: false,
            numbers: false,
            constants: false,
        }
    }
}

/// What helps when memory does not suffice.
pub const WAY_OUT: &str = "Use a smaller batch (--accumulate N, or train.accumulate, keeps the effective one: it is \
                           computed in N parts), a smaller network (model.widths, model.depth) or smaller images";

/// A ready pipeline.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// An opened device. Cheap to share behind an `Arc`; all methods take `&self`.
#[derive(Debug)]
pub struct Engine {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    checked: bool,
    pipelines: Mutex<HashMap<Key, Pipeline>>,
    all_textures: bool,
    numbers: bool,
    constant_parameters: bool,
    textures: Mutex<Vec<Weak<wgpu::Texture>>>,
    trouble: Arc<Mutex<Option<String>>>,
    allocated: AtomicU64,
    memory: Option<u64>,
    cooperative: Option<u32>,
    pub(super) in_flight: Mutex<Vec<wgpu::SubmissionIndex>>,
    pub(super) tracing: Mutex<HashMap<ThreadId, Tracing>>,
    pub(super) choice: Mutex<Choice>,
}

/// What kernels' variants may use when the adapter offers it.
const WANTED: wgpu::Features = wgpu::Features::TIMESTAMP_QUERY
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES)
    .union(wgpu::Features::SUBGROUP)
    .union(wgpu::Features::SHADER_INT64)
    .union(wgpu::Features::SHADER_F16);

impl Engine {
    /// Opens the adapter that fits, with the limits it offers.
    ///
    /// # Errors
    /// When no adapter fits or its driver fails to create a device.
    pub fn open(options: &Options) -> Result<Arc<Self>> {
        let adapter = adapter::choose(options.labels, &options.adapter)?;
        let info = adapter.get_info();
        let cooperative = cooperative::side(&adapter);
        let numbers = options.numbers || info.backend == wgpu::Backend::Metal;
        let (features, experimental) = match cooperative {
            // SAFETY: wgpu warns that experimental features may be unsound; this one's only shaders are our own, which
            // keep to what wgpu's documentation says of them, and are taken where they gave the plain form's answer.
            Some(_) => (WANTED | cooperative::NEEDS, unsafe { wgpu::ExperimentalFeatures::enabled() }),
            None => (WANTED, wgpu::ExperimentalFeatures::disabled()),
        };
        let request = adapter.request_device(&wgpu::DeviceDescriptor {
            label: Some("relabel"),
            required_features: adapter.features() & features,
            required_limits: adapter.limits(),
            experimental_features: experimental,
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        });
        let (device, queue) = pollster::block_on(request).map_err(|e| {
            Error::Device(format!(
                "the driver of {} could not create a device: {e}; try another one with --adapter (see `relabel adapters`)",
                adapter::describe(&info)
            ))
        })?;
        let trouble: Arc<Mutex<Option<String>>> = Arc::default();
        let note = |trouble: &Arc<Mutex<Option<String>>>, text: String| {
            trouble.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        };
        let sink = Arc::clone(&trouble);
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| note(&sink, e.to_string())));
        let sink = Arc::clone(&trouble);
        device.set_device_lost_callback(move |reason, text| {
            if reason != wgpu::DeviceLostReason::Destroyed {
                note(&sink, format!("the device was lost: {text}"));
            }
        });
        let constant_parameters = options.constants || info.device_type != wgpu::DeviceType::Cpu;
        Ok(Arc::new(Self {
            device,
            queue,
            info,
            checked: options.checked,
            pipelines: Mutex::default(),
            all_textures: options.all_textures,
            numbers,
            constant_parameters,
            textures: Mutex::default(),
            trouble,
            allocated: AtomicU64::new(0),
            memory: options.memory,
            cooperative,
            in_flight: Mutex::default(),
            tracing: Mutex::default(),
            choice: Mutex::default(),
        }))
    }

    /// Name, kind, backend and driver on one line.
    pub fn describe(&self) -> String {
        adapter::describe(&self.info)
    }

    /// Whether wgpu's checks are in the shaders.
    pub fn checked(&self) -> bool {
        self.checked
    }

    /// What wgpu knows of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The limits that the device was opened with: all that the adapter has.
    pub fn limits(&self) -> wgpu::Limits {
        self.device.limits()
    }

    /// The features that the device was opened with.
    pub fn features(&self) -> wgpu::Features {
        self.device.features()
    }

    /// The side of the cooperative matrices that shaders can use, where there are any.
    pub fn cooperative(&self) -> Option<u32> {
        self.cooperative
    }

    /// Bytes of all tensors made so far, and of the textures that programs read their inputs from.
    pub fn allocated(&self) -> u64 {
        let textures = self.textures.lock().unwrap_or_else(PoisonError::into_inner);
        let inputs: u64 = textures.iter().filter_map(Weak::upgrade).map(|texture| texels::bytes(&texture)).sum();
        self.tensor_bytes() + inputs
    }

    /// Bytes of all tensors made so far.
    pub fn tensor_bytes(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// Bytes that may still be allocated, as far as anybody can tell before trying.
    pub fn memory_left(&self) -> Option<u64> {
        match self.memory {
            Some(budget) => Some(budget.saturating_sub(self.allocated())),
            None if self.is_software() => system_memory(),
            None => None,
        }
    }

    /// Fails with the first error that the device has reported since it was opened.
    ///
    /// # Errors
    /// A validation error, an allocation that failed, or a lost device.
    pub fn check(&self) -> Result<()> {
        match self.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(text) => Err(Error::Device(format!("{}: {text}", self.describe()))),
        }
    }

    /// A new tensor of zeros in a buffer of its own.
    ///
    /// # Errors
    /// When it passes the adapter's binding or buffer size, or memory has run out.
    pub fn tensor(&self, label: &str, shape: Shape, dtype: DType) -> Result<Tensor> {
        let bytes = shape.bytes_of(dtype).next_multiple_of(256);
        let limits = self.limits();
        let most = limits.max_buffer_size.min(limits.max_storage_buffer_binding_size);
        if bytes > most {
            return Err(Error::Memory(format!(
                "{label} {shape} needs {bytes} bytes in one binding; {} allows {most}. {WAY_OUT}",
                self.describe()
            )));
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE
                | wgpu::BufferUsages::UNIFORM
                | wgpu::BufferUsages::COPY_SRC
                | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(Error::Memory(format!(
                "{label} {shape}: {} has no room for {bytes} more bytes after {} ({error}). {WAY_OUT}",
                self.describe(),
                self.allocated()
            )));
        }
        self.allocated.fetch_add(bytes, Ordering::Relaxed);
        Ok(Tensor { buffer, offset: 0, shape, dtype })
    }

    /// Writes raw physical words (pads included) from the start of a tensor; fewer than it holds is allowed.
    pub fn write_words<T: bytemuck::Pod>(&self, tensor: &Tensor, words: &[T]) {
        let bytes: &[u8] = bytemuck::cast_slice(words);
        assert!(bytes.len() as u64 <= tensor.bytes(), "{} bytes into {}", bytes.len(), tensor.shape);
        self.queue.write_buffer(&tensor.buffer, tensor.offset, bytes);
    }

    /// Writes logical values, padding each row with zeros.
    pub fn write<T: bytemuck::Pod + Default>(&self, tensor: &Tensor, logical: &[T]) {
        self.write_words(tensor, &tensor.shape.pad(logical));
    }

    /// Runs `work` inside a capture of an attached graphics debugger (RenderDoc, Xcode); without one, nothing is
    /// captured. The device is idle before and after.
    ///
    /// # Errors
    /// Those of `work`, or when the device has failed.
    pub fn capture<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        readback::wait(self)?;
        // SAFETY: no other capture of this device is active, because nothing else begins one, and all work has ended.
        unsafe { self.device.start_graphics_debugger_capture() };
        let out = work().and_then(|out| readback::wait(self).map(|()| out));
        // SAFETY: the capture began above and the device is idle, or has failed.
        unsafe { self.device.stop_graphics_debugger_capture() };
        out
    }

    /// A tensor with an array's values.
    ///
    /// # Errors
    /// As [`Engine::tensor`].
    pub fn upload(&self, label: &str, array: &Array, dtype: DType) -> Result<Tensor> {
        let tensor = self.tensor(label, array.shape.clone(), dtype)?;
        match dtype {
            DType::U32 => self.write(&tensor, &array.data.iter().map(|&v| v as u32).collect::<Vec<_>>()),
            DType::F32 | DType::F16 => self.write_floats(&tensor, array.data.iter().map(|&v| v as f32)),
        }
        Ok(tensor)
    }

    /// Writes logical values into a tensor of floats, padding each row with zeros.
    pub fn write_floats(&self, tensor: &Tensor, logical: impl Iterator<Item = f32>) {
        match tensor.dtype {
            DType::F16 => self.write(tensor, &logical.map(|v| half::f16::from_f32(v).to_bits()).collect::<Vec<u16>>()),
            _ => self.write(tensor, &logical.collect::<Vec<f32>>()),
        }
    }

    /// Writes one value into every element of a tensor of floats, pads included.
    pub fn fill(&self, tensor: &Tensor, value: f32) {
        let count = tensor.shape.physical();
        match tensor.dtype {
            DType::F16 => self.write_words(tensor, &vec![half::f16::from_f32(value).to_bits(); count]),
            _ => self.write_words(tensor, &vec![value; count]),
        }
    }

    /// Runs work whose tensors are all gone afterwards: they do not stay in the memory account.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn passing<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let before = self.allocated.load(Ordering::Relaxed);
        let out = work();
        self.allocated.store(before, Ordering::Relaxed);
        out
    }

    /// The pipeline of a kernel's variant, built at first use.
    pub(super) fn pipeline(&self, build: &Build) -> Result<Pipeline> {
        let mut pipelines = self.pipelines();
        if let Some(found) = pipelines.get(&build.key()) {
            return Ok(found.clone());
        }
        let made = self.build(build)?;
        pipelines.insert(build.key(), made.clone());
        Ok(made)
    }

    /// Builds those of the pipelines that are not there yet, on all cores at once: a GPU's driver compiles one for up to half a second.
    /// What fails is left to [`Engine::pipeline`], which says how.
    pub(super) fn prepare(&self, builds: &[Build]) {
        let mut missing: HashMap<Key, &Build> = builds.iter().map(|build| (build.key(), build)).collect();
        let known = self.pipelines();
        missing.retain(|key, _| !known.contains_key(key));
        drop(known);
        if missing.len() > 1 {
            let made = missing.into_par_iter().filter_map(|(key, build)| Some((key, self.build(build).ok()?)));
            let made: Vec<_> = made.collect();
            self.pipelines().extend(made);
        }
    }

    /// The forms of kernels whose pipelines were built so far.
    pub fn built(&self) -> BTreeSet<Form> {
        self.pipelines().keys().map(|key| (key.0, key.1)).collect()
    }

    fn pipelines(&self) -> MutexGuard<'_, HashMap<Key, Pipeline>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it computes on the processor (lavapipe, WARP).
    pub fn is_software(&self) -> bool {
        self.info.device_type == wgpu::DeviceType::Cpu
    }

    /// Whether storage arrays are read and written as 64-bit words: the drivers of software adapters go word by word, so these are half
    /// as many. Checked shaders are built as they stand in their files.
    fn loads_words(&self) -> bool {
        let software = self.is_software();
        // Other languages than SPIR-V may round otherwise when they pack two floats.
        let vulkan = self.info.backend == wgpu::Backend::Vulkan;
        vulkan && software && !self.checked && self.features().contains(wgpu::Features::SHADER_INT64)
    }

    /// Whether inputs can be read from textures, and are where that pays: on Mesa's software adapter, where a texel takes a fraction
    /// of a storage load (others were not measured). Checked shaders are built as they stand in their files.
    pub fn reads_textures(&self) -> bool {
        let measured = self.is_software() && adapter::mesa(&self.info).is_some();
        let fits = u64::from(self.limits().max_texture_dimension_2d) * u64::from(texels::WIDTH) * 4 >= texels::MOST;
        self.info.backend == wgpu::Backend::Vulkan && measured && !self.checked && fits
    }

    /// Whether the time of copies into textures is well spent.
    fn worth_textures(&self, dispatch: &Dispatch) -> bool {
        // Where storage loads are no loop over the lanes, only products, which load everything several times, gain enough.
        let least = if adapter::recent_mesa(&self.info) { texels::REUSE } else { 0 };
        let bytes = dispatch.tensors.iter().map(Tensor::bytes).sum::<u64>();
        self.all_textures || (bytes >= texels::LEAST && dispatch.cost.operations >= least * bytes)
    }

    /// What a dispatch's pipeline is built of on this device.
    pub(super) fn build_of(&self, dispatch: &Dispatch, texels: Places) -> Build {
        let build = dispatch.build(texels);
        if self.constant_parameters { build } else { Build { params: Vec::new(), ..build } }
    }

    /// How textures hold those tensors of a dispatch that are read from them.
    pub(super) fn formats(&self, dispatch: &Dispatch) -> Vec<Option<wgpu::TextureFormat>> {
        let most = match self.reads_textures() && self.worth_textures(dispatch) {
            true => self.limits().max_storage_textures_per_shader_stage,
            false => 0,
        };
        texels::formats(dispatch, most as usize, if self.all_textures { 0 } else { texels::LEAST })
    }

    /// Textures of these formats and rows, which programs share while they live: each fills what it reads before it reads.
    /// `None` where they do not fit beside what is in use: inputs are read from their buffers then.
    pub(super) fn textures(&self, wanted: &[(wgpu::TextureFormat, u32)]) -> Option<Vec<Arc<wgpu::Texture>>> {
        let left = self.memory_left();
        let mut pool = self.textures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free: Vec<Arc<wgpu::Texture>> = pool.iter().filter_map(Weak::upgrade).collect();
        *pool = free.iter().map(Arc::downgrade).collect();
        let mut places = Vec::with_capacity(wanted.len());
        let mut missing = 0;
        for &(format, rows) in wanted {
            let fits = |t: &wgpu::Texture| t.format() == format && (rows..=2 * rows).contains(&t.height());
            let best = (0..free.len()).filter(|&i| fits(&free[i])).min_by_key(|&i| free[i].height());
            let found = best.map(|place| free.swap_remove(place));
            missing += if found.is_some() { 0 } else { texels::bytes_of(format, rows) };
            places.push(found);
        }
        if left.is_some_and(|left| missing > left) {
            return None;
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let take = |(found, &(format, rows)): (Option<Arc<wgpu::Texture>>, &(wgpu::TextureFormat, u32))| {
            found.unwrap_or_else(|| {
                let made = Arc::new(self.device.create_texture(&wgpu::TextureDescriptor {
                    label: Some("inputs"),
                    size: wgpu::Extent3d { width: texels::WIDTH, height: rows, depth_or_array_layers: 1 },
                    mip_level_count: 1,
                    sample_count: 1,
                    dimension: wgpu::TextureDimension::D2,
                    format,
                    usage: wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_DST,
                    view_formats: &[],
                }));
                pool.push(Arc::downgrade(&made));
                made
            })
        };
        let textures = places.into_iter().zip(wanted).map(take).collect();
        pollster::block_on(scope.pop()).is_none().then_some(textures)
    }

    /// The text that a pipeline is built of on this device.
    pub fn text(&self, build: &Build) -> String {
        let text = cooperative::sized(&build.shader.text(), &build.shader.variants[build.variant], self.numbers);
        let names = |places: Places| places.names(build.shader);
        let text = kept_as(&text, &names(build.halves), &names(build.texels), self.loads_words());
        if build.params.is_empty() { text } else { with_constants(&text, &build.params) }
    }

    /// The override constants that a pipeline is built of on this device.
    pub fn constants(&self, build: &Build) -> Vec<(&'static str, f64)> {
        let sizes = [self.info.subgroup_min_size, cooperative::largest_subgroup(&self.info)];
        cooperative::constants(&build.shader.variants[build.variant], sizes, build.scales())
    }

    fn build(&self, build: &Build) -> Result<Pipeline> {
        let (text, shader) = (self.text(build), build.shader);
        if let Some(folder) = std::env::var_os("RELABEL_DUMP_SHADERS") {
            let path = Path::new(&folder).join(format!("{}.wgsl", build.name()));
            std::fs::create_dir_all(&folder).map_err(|e| Error::io("making the folder", Path::new(&folder), e))?;
            std::fs::write(&path, &text).map_err(|e| Error::io("writing the shader", &path, e))?;
        }
        let label = build.name();
        // What wgpu refuses, and what the driver's compiler does.
        let [scope, inner] = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal]
            .map(|filter| self.device.push_error_scope(filter));
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(&label), source: wgpu::ShaderSource::Wgsl(text.into()) };
        let checks =
            if self.checked { wgpu::ShaderRuntimeChecks::checked() } else { wgpu::ShaderRuntimeChecks::unchecked() };
        // SAFETY: every kernel guards its own indices and bounds its loops; the tests run all of them checked as well.
        let module = unsafe { self.device.create_shader_module_trusted(descriptor, checks) };
        let entry = |binding: usize, ty: wgpu::BindingType| wgpu::BindGroupLayoutEntry {
            binding: binding as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty,
            count: None,
        };
        let buffer = |ty| wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None };
        let texture = |name: &str| {
            let half = build.halves.names(shader).contains(&name);
            let array = arrays(shader.source).into_iter().find(|array| array.name == name);
            let format = array.and_then(|array| texels::format(&array.element, half)).expect("a texture holds it");
            let (access, view_dimension) = (wgpu::StorageTextureAccess::ReadOnly, wgpu::TextureViewDimension::D2);
            wgpu::BindingType::StorageTexture { access, format, view_dimension }
        };
        let mut entries = vec![entry(0, buffer(wgpu::BufferBindingType::Uniform))];
        entries.extend(shader.bindings.iter().enumerate().map(|(i, b)| {
            let ty = match b.access {
                Access::Read if build.texels.contains(i) => texture(b.name),
                Access::Uniform => buffer(wgpu::BufferBindingType::Uniform),
                Access::Read => buffer(wgpu::BufferBindingType::Storage { read_only: true }),
                Access::Write | Access::ReadWrite | Access::Update => {
                    buffer(wgpu::BufferBindingType::Storage { read_only: false })
                }
            };
            entry(i + 1, ty)
        }));
        let updated = shader.bindings.iter().enumerate();
        let updated = updated.filter(|(i, b)| b.access == Access::Update && build.texels.contains(*i));
        entries.extend(updated.map(|(i, b)| entry(texels::UPDATED as usize + i, texture(b.name))));
        let layout = self
            .device
            .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(&label), entries: &entries });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(&label),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(&label),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some(shader.name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants: &self.constants(build),
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        let [refused, failed] = [inner.pop(), scope.pop()].map(pollster::block_on);
        if let Some(error) = refused.or(failed) {
            return Err(Error::Device(format!("{} rejects the shader {label}: {error}", self.describe())));
        }
        Ok(Pipeline { pipeline, layout })
    }
}

/// Memory that the system can give without swapping, in bytes (Linux; elsewhere unknown).
fn system_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
