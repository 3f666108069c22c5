//! A pipeline's shader in the languages of the drivers: WGSL as the device gets it, and what naga makes of it with the
//! variant's override constants put in: SPIR-V, MSL, HLSL.

use naga::back::{hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

use crate::gpu::{Build, Shader, cooperative};

/// A text or binary to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// [`Build::name`] and an ending.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Override constants by name.
pub type Constants<'a> = &'a [(&'static str, f64)];

/// The shader of a pipeline built of `text` ([`crate::gpu::Engine::text`]) and `constants`
/// ([`crate::gpu::Engine::constants`]), in every language; where a back end refuses it, a `.txt` holds the reason. `checked`
/// keeps the bounds checks that wgpu would put in.
pub fn languages(build: &Build, text: &str, constants: Constants, checked: bool) -> Vec<File> {
    let &Build { shader, variant, .. } = build;
    let chosen = &shader.variants[variant];
    let stem = build.name();
    let file = |ending: &str, bytes: Vec<u8>| File { name: format!("{stem}.{ending}"), bytes };
    let mut wgsl = text.to_owned();
    for (name, value) in constants {
        // At the end, so that line numbers stay those of the file.
        wgsl += &format!("\n// override of this pipeline: {name} = {value}");
    }
    let mut files = vec![file("wgsl", (wgsl + "\n").into_bytes())];
    let made = match module(shader, text, constants) {
        Ok(parsed) => {
            let metal = for_metal(build, text, constants, &parsed)
                .and_then(|(module, info)| to_msl(shader, &module, &info, checked));
            let (module, info) = parsed;
            vec![
                ("spv", "SPIR-V", to_spirv(shader, &module, &info, checked)),
                ("metal", "MSL", metal),
                ("hlsl", "HLSL", to_hlsl(shader, &module, &info, checked)),
            ]
        }
        Err(reason) => vec![("naga", "its form without overrides", Err(reason))],
    };
    for (ending, language, made) in made {
        files.push(match made {
            Ok(bytes) => file(ending, bytes),
            Err(reason) => {
                let text = format!("there is no {language} for {}, variant {}: {reason}\n", shader.name, chosen.name);
                file(&format!("{ending}.txt"), text.into_bytes())
            }
        });
    }
    files
}

type Made = Result<Vec<u8>, String>;
type Parsed = (Module, ModuleInfo);

/// The module as Metal would get it: cooperative matrices of its own size, in arrays of numbers ([`cooperative::sized`]).
fn for_metal(build: &Build, text: &str, constants: Constants, parsed: &Parsed) -> Result<Parsed, String> {
    let variant = &build.shader.variants[build.variant];
    if !variant.needs.contains(cooperative::NEEDS) {
        return Ok(parsed.clone());
    }
    match (variant.constant("SIDE"), variant.sets("SUBGROUPS")) {
        (8, None) => module(build.shader, &cooperative::sized(text, variant, true), constants),
        (8, Some(_)) => Err("it scales and adds matrices, and Metal has no operators for them".into()),
        (side, _) => Err(format!("Metal's matrices are 8 x 8, not {side} x {side}")),
    }
}

/// The module with its override constants put in.
fn module(shader: &Shader, text: &str, constants: Constants) -> Result<Parsed, String> {
    let module = naga::front::wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::all());
    let info = validator
        .subgroup_stages(ShaderStages::all())
        .subgroup_operations(SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(text))?;
    let constants = constants.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    let entry = Some((ShaderStage::Compute, shader.name));
    let (module, info) =
        pipeline_constants::process_overrides(&module, &info, entry, &constants).map_err(|e| e.to_string())?;
    Ok((module.into_owned(), info.into_owned()))
}

fn policies(checked: bool) -> BoundsCheckPolicies {
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy }
}

fn to_spirv(shader: &Shader, module: &Module, info: &ModuleInfo, checked: bool) -> Made {
    let options = spv::Options {
        lang_version: (1, 3), // subgroups
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: checked,
        ..spv::Options::default()
    };
    let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: shader.name.to_owned() };
    let words = spv::write_vec(module, info, &options, Some(&entry)).map_err(|e| e.to_string())?;
    Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn to_msl(shader: &Shader, module: &Module, info: &ModuleInfo, checked: bool) -> Made {
    let options = msl::Options {
        lang_version: (2, 4), // subgroups
        bounds_check_policies: policies(checked),
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: checked,
        ..msl::Options::default()
    };
    let entry = msl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, shader.name.to_owned())),
        ..msl::PipelineOptions::default()
    };
    let (text, _) = msl::write_string(module, info, &options, &entry).map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

fn to_hlsl(shader: &Shader, module: &Module, info: &ModuleInfo, checked: bool) -> Made {
    let options = hlsl::Options {
        shader_model: hlsl::ShaderModel::V6_0, // subgroups
        zero_initialize_workgroup_memory: false,
        restrict_indexing: checked,
        force_loop_bounding: checked,
        ..hlsl::Options::default()
    };
    let entry = hlsl::PipelineOptions { entry_point: Some((ShaderStage::Compute, shader.name.to_owned())) };
    let mut text = String::new();
    let mut writer = hlsl::Writer::new(&mut text, &options, &entry);
    writer.write(module, info, None).map_err(|e| e.to_string())?;
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use naga::{Expression, TypeInner};

    use super::*;
    use crate::gpu::constants::with_constants;
    use crate::gpu::{Variant, read, write};
    use crate::kernels::{REGISTRY, matmul};

    fn text(files: &[File], ending: &str) -> String {
        let file = files.iter().find(|f| f.name.ends_with(ending));
        let file =
            file.unwrap_or_else(|| panic!("{ending} among {:?}", files.iter().map(|f| &f.name).collect::<Vec<_>>()));
        String::from_utf8_lossy(&file.bytes).into_owned()
    }

    fn of(shader: &'static Shader, variant: usize) -> Vec<File> {
        let chosen = &shader.variants[variant];
        let text = cooperative::sized(&shader.text(), chosen, false);
        languages(&Build::declared(shader, variant), &text, &cooperative::constants(chosen, [32, 32], true), false)
    }

    #[test]
    fn every_pipeline_has_spirv_and_is_written_or_refused_in_each_language() {
        for kernel in REGISTRY {
            for variant in 0..kernel.shader.variants.len() {
                let files = of(kernel.shader, variant);
                let name = format!("{} {}", kernel.shader.name, kernel.shader.variants[variant].name);
                assert_eq!(files.len(), 4, "{name}");
                let spirv = files
                    .iter()
                    .find(|f| f.name.ends_with(".spv"))
                    .unwrap_or_else(|| panic!("{name}: {}", text(&files, ".txt")));
                assert_eq!(spirv.bytes[..4], 0x0723_0203u32.to_le_bytes(), "{name}: SPIR-V's magic number");
                assert!(files.iter().all(|f| f.bytes.len() > 40), "{name}");
            }
        }
    }

    #[test]
    fn matrices_are_written_for_metal_where_it_has_such() {
        for kernel in REGISTRY.iter().filter(|kernel| kernel.shader.variants[0].needs.contains(cooperative::NEEDS)) {
            for (i, variant) in kernel.shader.variants.iter().enumerate() {
                let (side, files) = (variant.constant("SIDE"), of(kernel.shader, i));
                let name = format!("{} {}", kernel.shader.name, variant.name);
                assert!(text(&files, ".wgsl").contains(&format!("coop_mat{side}x{side}<")), "{name}");
                if side == 8 && variant.sets("SUBGROUPS").is_none() {
                    assert!(in_numbers(&text(&files, ".metal")), "{name}");
                } else {
                    assert!(text(&files, ".metal.txt").contains("Metal"), "{name}");
                }
            }
        }
    }

    #[test]
    fn override_constants_are_put_in() {
        let widths: Vec<String> = (0..2).map(|v| text(&of(&matmul::SHADER, v), ".hlsl")).collect();
        for (text, variant) in widths.iter().zip(matmul::SHADER.variants) {
            let threads = format!("[numthreads({}, ", variant.constant("WIDTH"));
            assert!(text.contains(&threads), "{threads} in {text}");
        }
        let wgsl = text(&of(&matmul::SHADER, 1), ".wgsl");
        assert!(wgsl.starts_with(matmul::SHADER.source) && wgsl.contains("WIDTH = "), "{wgsl}");
    }

    #[test]
    fn parameters_can_be_constants_in_every_language() {
        for kernel in REGISTRY {
            let shader = kernel.shader;
            let (whole, bound) = (shader.text(), of(shader, 0));
            let fields =
                whole.split_once("struct Params {").and_then(|(_, rest)| rest.split_once("\n}")).expect("fields").0;
            let numbers = fields.lines().filter_map(|line| line.split("//").next()?.split_once(':'));
            let ones = numbers.map(|(_, ty)| if ty.contains("f32") { 1f32.to_bits() } else { 1 });
            let params: Vec<u8> = ones.flat_map(u32::to_le_bytes).collect();
            let build = Build { params, ..Build::declared(shader, 0) };
            let text = with_constants(&whole, &build.params);
            let files = languages(&build, &text, shader.variants[0].constants, false);
            let endings = |files: &[File]| -> Vec<String> {
                files.iter().map(|f| f.name.rsplit_once('.').expect("an ending").1.to_owned()).collect()
            };
            assert_eq!(endings(&files), endings(&bound), "{}: refused where a uniform is not", shader.name);
        }
    }

    #[test]
    fn a_refusal_says_why() {
        static WRONG: Shader = Shader {
            name: "wrong",
            source: "@compute @workgroup_size(1) fn wrong() { let x = missing; }",
            shared: &[],
            params: 0,
            bindings: &[read("x"), write("y")],
            variants: &[Variant::base("plain", &[])],
        };
        let files = of(&WRONG, 0);
        assert_eq!(files.len(), 2);
        assert!(text(&files, ".txt").contains("missing"), "{}", text(&files, ".txt"));
    }

    /// Whether every matrix of a text for Metal is loaded from halves (a sum from floats) and stored to floats of workgroup memory, not
    /// vectors of them. What is stored to a tensor belongs to forms that are not offered there.
    fn in_numbers(msl: &str) -> bool {
        let lies = |call: &str, numbers: &[&str]| {
            let mut calls = msl.lines().filter_map(|line| Some(line.split_once(call)?.1.split_once('&')?.1)).peekable();
            assert!(calls.peek().is_some(), "{call} in {msl}");
            calls.all(|place| {
                let Some((array, _)) = place.split_once(".inner[") else { return place.starts_with("part[") };
                let (before, _) = msl.split_once(&format!("& {array}")).expect("workgroup arrays are handed on");
                let ty = before.rsplit(' ').next().unwrap_or_default();
                numbers.iter().any(|number| msl.contains(&format!("struct {ty} {{\n    {number} inner[")))
            })
        };
        // The function's own definition has no `&`.
        lies("NagaCooperativeLoad(", &["half", "float"]) && lies("simdgroup_store(", &["float"])
    }

    /// Whether matrices are scaled or added.
    fn scales(module: &Module, info: &ModuleInfo) -> bool {
        let functions = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
        let entries = module.entry_points.iter().enumerate().map(|(i, e)| (&e.function, info.get_entry_point(i)));
        functions.chain(entries).any(|(function, info)| {
            function.expressions.iter().any(|(e, what)| {
                let ty = info[e].ty.inner_with(&module.types);
                matches!((what, ty), (Expression::Binary { .. }, TypeInner::CooperativeMatrix { .. }))
            })
        })
    }

    #[test]
    fn every_variant_has_a_file_name_of_its_own() {
        let mut names = Vec::new();
        for kernel in REGISTRY {
            names.extend((0..kernel.shader.variants.len()).map(|i| Build::declared(kernel.shader, i).name()));
        }
        let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        assert!(
            names.iter().all(|name| plain(name) && !name.contains("--") && !name.ends_with(['-', '.'])),
            "{names:?}"
        );
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "one file a variant");
    }

    #[test]
    fn metal_loads_matrices_from_numbers() {
        for kernel in REGISTRY.iter().filter(|kernel| kernel.shader.variants[0].needs.contains(cooperative::NEEDS)) {
            for variant in kernel.shader.variants.iter().filter(|variant| variant.constant("SIDE") == 8) {
                let name = format!("{} {}", kernel.shader.name, variant.name);
                let constants = cooperative::constants(variant, [4, 32], true);
                let made = [false, true].map(|numbers| {
                    let text = cooperative::sized(&kernel.shader.text(), variant, numbers);
                    let (module, info) = module(kernel.shader, &text, &constants).expect(&name);
                    // Metal has no operators for matrices: such forms are not offered there (`kernels::product::offered`).
                    assert_eq!(scales(&module, &info), variant.sets("SUBGROUPS").is_some(), "{name}");
                    let text = to_msl(kernel.shader, &module, &info, true).expect(&name);
                    in_numbers(&String::from_utf8_lossy(&text))
                });
                assert_eq!(made, [false, true], "{name}");
            }
        }
    }
}
