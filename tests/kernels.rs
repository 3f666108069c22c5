//! Walks the kernel registry: shader text, reflected layout, and every case of every variant against the float64 twin.

use std::collections::HashSet;

use relabel::base::compare::compare;
use relabel::base::{Array, DType};
use relabel::gpu::{Access, Engine, Program, Recording, Tensor, readback};
use relabel::kernels::product::offered;
use relabel::kernels::{Case, Kernel, REGISTRY};

use crate::common;

fn module(kernel: &Kernel) -> naga::Module {
    let text = kernel.shader.text();
    naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|e| panic!("{}: {}", kernel.shader.name, e.emit_to_string(&text)))
}

#[test]
fn shaders_are_valid_and_match_their_rust_files() {
    assert!(REGISTRY.len() > 1, "the registry is empty");
    let mut names = HashSet::new();
    for kernel in REGISTRY {
        let name = kernel.shader.name;
        assert!(names.insert(name), "{name} stands twice in the registry");
        let module = module(kernel);
        // A kernel all of whose variants need a feature may use it; all others keep to the base tier.
        let all_need = |feature| kernel.shader.variants.iter().all(|v| v.needs.contains(feature));
        // pack2x16float and its inverse are core WGSL; naga asks for a capability because OpenGL ES may lack them.
        let core = naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        let mut allowed = core;
        for (capability, feature) in [
            (naga::valid::Capabilities::SUBGROUP, wgpu::Features::SUBGROUP),
            (naga::valid::Capabilities::SHADER_FLOAT16, wgpu::Features::SHADER_F16),
            (naga::valid::Capabilities::COOPERATIVE_MATRIX, wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
        ] {
            allowed.set(capability, all_need(feature));
        }
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), allowed)
            .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
            .subgroup_operations(naga::valid::SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(&kernel.shader.text())));
        assert_eq!(module.entry_points.len(), 1, "{name}: one entry point");
        assert_eq!(module.entry_points[0].name, name, "the entry point is named like the file");
        let mut storage = 0;
        let mut bound = 0;
        for (_, variable) in module.global_variables.iter() {
            let Some(place) = &variable.binding else { continue };
            let ty = &module.types[variable.ty].inner;
            if place.binding == 0 {
                let naga::TypeInner::Struct { members, .. } = ty else { panic!("{name}: params is not a struct") };
                let found: Vec<(&str, usize)> =
                    members.iter().map(|m| (m.name.as_deref().unwrap_or(""), m.offset as usize)).collect();
                assert_eq!(found, kernel.fields, "{name}: fields of Params, shader against Rust");
                assert_eq!(kernel.shader.params, kernel.fields.len() * 4, "{name}: 4-byte scalars only");
                continue;
            }
            bound += 1;
            let binding = &kernel.shader.bindings[place.binding as usize - 1];
            assert_eq!(variable.name.as_deref(), Some(binding.name), "{name}: binding {}", place.binding);
            let read_only = naga::AddressSpace::Storage { access: naga::StorageAccess::LOAD };
            match binding.access {
                Access::Read => assert_eq!(variable.space, read_only, "{name}: {}", binding.name),
                Access::Uniform => assert_eq!(variable.space, naga::AddressSpace::Uniform, "{name}: {}", binding.name),
                Access::Write | Access::ReadWrite | Access::Update => {
                    assert!(
                        matches!(variable.space, naga::AddressSpace::Storage { access } if access.contains(naga::StorageAccess::STORE)),
                        "{name}: {} is not writable",
                        binding.name
                    );
                }
            }
            storage += usize::from(binding.access != Access::Uniform);
        }
        assert_eq!(bound, kernel.shader.bindings.len(), "{name}: bindings, shader against Rust");
        assert!(storage <= 8, "{name}: {storage} storage bindings, WebGPU's default limit is 8");
    }
}

/// A bit pattern that no kernel writes: NaN as a float, huge as an integer.
const POISON: u32 = 0x7fc0_dead;

fn upload(engine: &Engine, array: &Array, dtype: DType) -> Tensor {
    engine.upload("test", array, dtype).expect("memory")
}

fn run(engine: &Engine, kernel: &Kernel, variant: usize, case: &Case, constant: bool) -> Result<(), String> {
    let inputs: Vec<Tensor> = case.inputs.iter().map(|(a, d)| upload(engine, a, *d)).collect();
    let poisoned = |shape: &relabel::base::Shape, dtype| {
        let tensor = engine.tensor("output", shape.clone(), dtype).expect("memory");
        engine.write_words(&tensor, &vec![POISON; shape.physical()]);
        tensor
    };
    let outputs: Vec<Tensor> = case
        .outputs
        .iter()
        .map(|o| match &o.initial {
            Some(a) => upload(engine, a, o.dtype),
            None => poisoned(&o.expected.shape, o.dtype),
        })
        .collect();
    let scratch: Vec<Tensor> = case.scratch.iter().map(|s| poisoned(s, DType::F32)).collect();
    let mut recording = Recording::new();
    recording.variants.insert(kernel.shader.name, variant);
    (case.record)(&mut recording, &inputs, &outputs, &scratch).map_err(|e| e.to_string())?;
    // A form that is not taken gives way to another, whose answer would be right as well.
    // The choice by shape may.
    let by_shape = kernel.shader.variants[variant].name.ends_with("by shape");
    if !by_shape && !recording.dispatches.iter().any(|d| d.shader.name == kernel.shader.name) {
        return Err("recorded another kernel".into());
    }
    recording.dispatches.iter_mut().for_each(|d| d.constant |= constant);
    let program = Program::new(engine, &recording).map_err(|e| e.to_string())?;
    assert!(!constant || program.builds().all(|build| !build.params.is_empty()), "parameters in a uniform");
    program.run(engine, 1).map_err(|e| e.to_string())?;
    for (i, (tensor, output)) in outputs.iter().zip(&case.outputs).enumerate() {
        let words = readback::read_words::<u32>(engine, &[tensor]).map_err(|e| e.to_string())?.remove(0);
        let shape = &tensor.shape;
        if output.dtype == DType::F32 {
            let pad = words
                .chunks_exact(shape.stride())
                .any(|row| row[shape.last()..].iter().any(|&w| f32::from_bits(w) != 0.0));
            if pad {
                return Err(format!("output {i}: a pad lane is not zero"));
            }
        }
        let logical = shape.unpad(&words);
        let actual: Vec<f32> = match output.dtype {
            DType::F32 => logical.iter().map(|&w| f32::from_bits(w)).collect(),
            DType::U32 | DType::F16 => logical.iter().map(|&w| w as f32).collect(),
        };
        compare(&actual, &output.expected.data, output.tolerance).map_err(|e| format!("output {i}: {e}"))?;
    }
    Ok(())
}

fn walk(engine: &Engine) {
    let only = std::env::var("RELABEL_TEST_KERNEL").ok();
    let (mut count, mut failures) = (0, Vec::new());
    for kernel in REGISTRY.iter().filter(|k| only.as_deref().is_none_or(|o| k.shader.name == o)) {
        let cases = (kernel.cases)();
        assert!(!cases.is_empty(), "{} has no cases", kernel.shader.name);
        for (index, variant) in kernel.shader.variants.iter().enumerate() {
            // A kernel that is asked for by name runs wherever it can, slow or not.
            let side = variant.sets("SIDE").is_none_or(|side| engine.cooperative() == Some(side));
            let slow = only.is_some() && engine.features().contains(variant.needs) && side;
            if !slow && !offered(engine, (kernel.shader, index)) {
                eprintln!("{} {}: not offered by this adapter", kernel.shader.name, variant.name);
                continue;
            }
            for case in &cases {
                count += 1;
                if let Err(text) = run(engine, kernel, index, case, false) {
                    failures.push(format!("{} [{}] {}: {text}", kernel.shader.name, variant.name, case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn kernels_match_their_twins_checked() {
    walk(&common::engine());
}

#[test]
fn kernels_match_their_twins_unchecked() {
    walk(&common::unchecked_engine());
}

/// The text for Metal, on whatever has matrices: each kernel on them in its smallest forms, since the
/// software adapter compiles large ones for seconds.
#[test]
fn matrices_out_of_numbers_match_their_twins() {
    let engine = common::engine_with_numbers();
    let Some(side) = engine.cooperative() else {
        eprintln!("no matrix units on this adapter");
        return;
    };
    let smallest = if side == 16 { ["16 64x16", "16 16x16"] } else { ["8 32x8", "8 16x16"] };
    for kernel in REGISTRY.iter().filter(|k| k.shader.variants[0].sets("SIDE").is_some()) {
        let cases = (kernel.cases)();
        // A tile's name goes on with the transposes of a matrix product, and of bands with what makes them larger.
        let small = |name: &str| smallest.contains(&name.trim_end_matches([' ', 'n', 't']));
        let forms = kernel.shader.variants.iter().enumerate().filter(|(_, variant)| small(variant.name));
        let mut ran = 0;
        for (index, variant) in forms.filter(|(index, _)| offered(&engine, (kernel.shader, *index))) {
            ran += 1;
            for case in cases.iter().take(2) {
                run(&engine, kernel, index, case, false)
                    .unwrap_or_else(|e| panic!("{} [{}] {}: {e}", kernel.shader.name, variant.name, case.name));
            }
        }
        // Metal has no forms by bands.
        assert!(ran > 0 || engine.info().backend == wgpu::Backend::Metal, "{}", kernel.shader.name);
    }
}

/// Parameters as constants of the text, as GPUs get those of bands: fields of every type, and a form by bands where there are
/// matrices.
#[test]
fn parameters_can_be_constants() {
    let engine = common::engine_with_constants();
    for (name, form) in [("axpby", None), ("sum_rows", None), ("batch_norm_sums", None), ("conv2d_halo", Some("16x16"))]
    {
        let kernel = REGISTRY.iter().find(|k| k.shader.name == name).expect("a kernel");
        let fits = |i: &usize| {
            let shape = kernel.shader.variants[*i].name.split_once(' ');
            form.is_none_or(|form| shape.is_some_and(|(_, f)| f == form)) && offered(&engine, (kernel.shader, *i))
        };
        let Some(index) = (0..kernel.shader.variants.len()).find(fits) else {
            eprintln!("{name}: not offered by this adapter");
            continue;
        };
        for case in (kernel.cases)().iter().take(2) {
            run(&engine, kernel, index, case, true).unwrap_or_else(|e| panic!("{name} {}: {e}", case.name));
        }
    }
}
