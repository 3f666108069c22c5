//! One kernel over its variants and over the other forms of the same work, at a shape or at its test cases.

use std::time::Instant;

use serde::Serialize;

use super::measure::Measured;
use crate::base::{DType, Error, Result, Shape, nearest};
use crate::gpu::timing::{self, Sampling, median_spread};
use crate::gpu::{Build, Dispatch, Engine, Factors, Program, Recording, Shader, Tensor};
use crate::kernels::product::{self, FORMS, Recorder};
use crate::kernels::work::{self, Tensors};
use crate::kernels::{self, Case, Kernel, REGISTRY, choose};

/// A form of a kernel at a shape, with its time.
#[derive(Clone, Debug, Serialize)]
pub struct Timed {
    /// The form; `node` is the shape in words. Its time is that of all dispatches that the form takes, such as the second
    /// stage of a sum; its work is that of the first.
    #[serde(flatten)]
    pub measured: Measured,
    /// Whether it is the form that training takes on this adapter.
    pub chosen: bool,
}

/// What was timed, and which forms were not.
#[derive(Clone, Debug, Default)]
pub struct Forms {
    /// Shape by shape, the fastest form first.
    pub timed: Vec<Timed>,
    /// Forms that were left out, and why.
    pub left_out: Vec<String>,
    /// The pipelines of what was timed, each once; then those of variants that were left out, as their shaders declare them.
    pub builds: Vec<Build>,
}

/// Work of one shape, recorded with whatever variants the recording asks for.
struct Work {
    shape: String,
    record: Recorder,
}

/// Times a kernel at `shape` ([`shapes`] says what one looks like), or without one at its test cases. All forms of a shape
/// take turns, so that a busy machine slows all.
///
/// # Errors
/// When there is no such kernel, the shape does not fit it, or the device fails.
pub fn forms(engine: &Engine, name: &str, shape: Option<&str>, sampling: Sampling) -> Result<Forms> {
    let kernel = find(name)?;
    let works = match shape {
        Some(shape) => vec![at_shape(engine, kernel, shape)?],
        None => (kernel.cases)().into_iter().map(|case| of_case(engine, case)).collect::<Result<_>>()?,
    };
    let mut forms = Forms::default();
    let mut offered = Vec::new();
    for kernel in family(kernel) {
        let (runs, lacks): (Vec<usize>, Vec<usize>) =
            (0..kernel.shader.variants.len()).partition(|&i| product::offered(engine, (kernel.shader, i)));
        offered.extend(runs.into_iter().map(|i| (kernel, i)));
        if let Some(&first) = lacks.first() {
            let names: Vec<&str> = lacks.iter().map(|&i| kernel.shader.variants[i].name).collect();
            let (name, needs) = (kernel.shader.name, product::needs((kernel.shader, first)));
            forms.left_out.push(format!("{name} ({}): it needs {needs}", names.join(", ")));
        }
    }
    let (count, mut unfit) = (works.len(), Vec::new());
    for work in works {
        at_work(engine, &work, &offered, sampling, &mut forms, &mut unfit)?;
    }
    forms.left_out.extend(unfit.iter().map(|unfit| unfit.line(count)));
    let all =
        family(kernel).into_iter().flat_map(|k| (0..k.shader.variants.len()).map(|i| Build::declared(k.shader, i)));
    for build in all {
        let is_form = |b: &Build| b.shader.name == build.shader.name && b.variant == build.variant;
        if !forms.builds.iter().any(is_form) {
            forms.builds.push(build);
        }
    }
    Ok(forms)
}

/// Variants of a kernel that shapes do not take.
struct Unfit {
    kernel: &'static str,
    variants: Vec<&'static str>,
    why: String,
    shapes: Vec<String>,
}

impl Unfit {
    /// One line, of `count` shapes in all.
    fn line(&self, count: usize) -> String {
        let shapes = match (&self.shapes[..], count) {
            ([shape], _) => shape.clone(),
            (shapes, count) => format!("{} of {count} shapes, such as {}", shapes.len(), shapes[0]),
        };
        format!("{} ({}): {} for {shapes}", self.kernel, self.variants.join(", "), self.why)
    }

    /// Puts together what is said of several shapes alike.
    fn merge(self, all: &mut Vec<Self>) {
        let alike = |o: &&mut Self| (o.kernel, &o.variants, &o.why) == (self.kernel, &self.variants, &self.why);
        match all.iter_mut().find(alike) {
            Some(other) => other.shapes.extend(self.shapes),
            None => all.push(self),
        }
    }
}

fn at_work(
    engine: &Engine,
    work: &Work,
    offered: &[(&'static Kernel, usize)],
    sampling: Sampling,
    found: &mut Forms,
    unfit: &mut Vec<Unfit>,
) -> Result<()> {
    let mut usual = Recording::new();
    usual.variants = choose::preferred(engine);
    (work.record)(&mut usual)?;
    let mut forms = Vec::new();
    let mut left_out: Vec<Unfit> = Vec::new();
    for (kernel, variant) in offered {
        let shader = kernel.shader;
        let mut recording = Recording::new();
        recording.variants.insert(shader.name, *variant);
        recording.variants.factors = Factors::Half;
        recording.label(&work.shape);
        // What the usual form takes, another may not: too many workgroups in a row.
        let refused = match (work.record)(&mut recording) {
            Err(Error::Shape(text)) => Some(text),
            other => other.map(|()| None)?,
        };
        let is_form = |d: &Dispatch| d.shader.name == shader.name && d.variant == *variant;
        let Some(own) = recording.dispatches.iter().find(|d| is_form(d) && refused.is_none()) else {
            let taken = recording.dispatches.iter().find(|d| d.shader.name == shader.name);
            let why = match (refused, taken.map(|d| shader.variants[d.variant].name)) {
                (Some(text), _) => text,
                (None, Some(other)) => format!("takes the form {other}"),
                (None, None) => "has no form".into(),
            };
            let own = shader.variants[*variant].name;
            match left_out.iter_mut().find(|unfit| unfit.kernel == shader.name && unfit.why == why) {
                Some(unfit) => unfit.variants.push(own),
                None => {
                    let shapes = vec![work.shape.clone()];
                    left_out.push(Unfit { kernel: shader.name, variants: vec![own], why, shapes });
                }
            }
            continue;
        };
        let cost = recording.dispatches.iter().filter(|d| is_form(d)).map(|d| d.cost).sum();
        let own = Dispatch { cost, ..own.clone() };
        let measured = Measured { node: work.shape.clone(), ..Measured::new("kernel", 0, &own) };
        let chosen = usual.dispatches.iter().any(is_form);
        let since = Instant::now();
        let program = Program::named(engine, &recording, shader.name)?;
        for build in program.builds() {
            if !found.builds.contains(build) {
                found.builds.push(build.clone());
            }
        }
        timing::awake(engine, since, || timing::run(engine, &program, 0..program.len(), 1).map(drop))?;
        let times = timing::warmed(engine, sampling, &program, 0..program.len())?;
        forms.push((Timed { measured, chosen }, program, times, Vec::new()));
    }
    left_out.into_iter().for_each(|left| left.merge(unfit));
    for _ in 0..sampling.repeats {
        for (_, program, times, samples) in &mut forms {
            samples.push(timing::run(engine, program, 0..program.len(), *times)? / *times as f64);
        }
    }
    let mut timed: Vec<Timed> = Vec::new();
    for (mut form, _, _, mut samples) in forms {
        (form.measured.seconds, form.measured.spread) = median_spread(&mut samples);
        timed.push(form);
    }
    timed.sort_by(|a, b| a.measured.seconds.total_cmp(&b.measured.seconds));
    found.timed.extend(timed);
    Ok(())
}

/// The kernel of that name.
///
/// # Errors
/// When there is none: the nearest, and all that there are.
pub fn find(name: &str) -> Result<&'static Kernel> {
    kernels::named(name).ok_or_else(|| {
        let names: Vec<&str> = REGISTRY.iter().map(|k| k.shader.name).collect();
        Error::Config(format!(
            "there is no kernel `{name}`; did you mean `{}`? There are: {}",
            nearest(name, names.iter().copied()),
            names.join(", ")
        ))
    })
}

/// Kernels that do the same work: the forms of a product, else those with the same parameters and bindings where one's name
/// begins with the other's and has no work of its own. A form of several products counts for the first.
pub fn family(kernel: &'static Kernel) -> Vec<&'static Kernel> {
    if let Some((_, forms)) = product_of(kernel) {
        return REGISTRY.iter().filter(|k| forms.iter().any(|(form, _)| form.name == k.shader.name)).collect();
    }
    let bindings = |k: &Kernel| k.shader.bindings.iter().map(|b| b.name).collect::<Vec<_>>();
    let root = |k: &Kernel| {
        if work::form(k.shader.name).is_some() {
            return Some(k.shader.name);
        }
        let same = REGISTRY.iter().filter(|o| o.fields == k.fields && bindings(o) == bindings(k));
        let begins = |o: &&Kernel| k.shader.name.starts_with(o.shader.name);
        same.filter(begins).map(|o| o.shader.name).min_by_key(|name| name.len())
    };
    let own = root(kernel);
    REGISTRY.iter().filter(|k| root(k) == own).collect()
}

/// The product that a kernel is a form of: its plain form and all of them.
fn product_of(kernel: &Kernel) -> Option<(&'static Shader, &'static [(&'static Shader, usize)])> {
    FORMS.into_iter().find(|(_, forms)| forms.iter().any(|(form, _)| form.name == kernel.shader.name))
}

/// What a shape of a kernel looks like; `None` for kernels that are only profiled at their test cases.
pub fn shapes(kernel: &Kernel) -> Option<&'static str> {
    work::form(root_name(kernel))
}

/// Every kernel that takes a shape, by what the shape looks like.
pub fn all_shapes() -> String {
    let lines = work::forms().into_iter().map(|(text, kernels)| format!("{}: {text}", kernels.join(", ")));
    lines.collect::<Vec<_>>().join("\n")
}

fn root_name(kernel: &Kernel) -> &'static str {
    if let Some((plain, _)) = product_of(kernel) {
        return plain.name;
    }
    let own = kernels::named(kernel.shader.name);
    own.map_or("", |own| family(own).iter().map(|k| k.shader.name).min_by_key(|n| n.len()).unwrap_or(""))
}

fn at_shape(engine: &Engine, kernel: &Kernel, text: &str) -> Result<Work> {
    if shapes(kernel).is_none() {
        return Err(Error::Config(format!(
            "--shape is not known for `{}`; without it, the kernel's test cases are profiled. There are shapes for\n{}",
            kernel.shader.name,
            all_shapes()
        )));
    }
    // What is asked for on matrix units runs on maps, or matrices, in half precision.
    let maps = if kernel.shader.rounds() { DType::F16 } else { DType::F32 };
    let record = work::record(&Tensors::new(engine), root_name(kernel), text, maps).map_err(|e| match e {
        Error::Config(text) => Error::Config(format!("--shape {text}")),
        other => other,
    })?;
    Ok(Work { shape: text.to_owned(), record })
}

fn of_case(engine: &Engine, case: Case) -> Result<Work> {
    let inputs: Vec<Tensor> = case.inputs.iter().map(|(a, d)| engine.upload("case", a, *d)).collect::<Result<_>>()?;
    let outputs: Vec<Tensor> = case
        .outputs
        .iter()
        .map(|o| engine.upload("case", o.initial.as_ref().unwrap_or(&o.expected), o.dtype))
        .collect::<Result<_>>()?;
    let scratch = |shape: &Shape| engine.tensor("scratch", shape.clone(), DType::F32);
    let scratch: Vec<Tensor> = case.scratch.iter().map(scratch).collect::<Result<_>>()?;
    let Case { name, record, .. } = case;
    Ok(Work { shape: in_words(&name), record: Box::new(move |r| record(r, &inputs, &outputs, &scratch)) })
}

/// A case's name without Rust's braces: `Pool { kernel: 2, stride: 1 }` as `kernel 2, stride 1`.
fn in_words(name: &str) -> String {
    let mut text = String::new();
    for (i, part) in name.split(" {").enumerate() {
        if i > 0 {
            // The type's name.
            text.truncate(text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len());
        }
        text += part.trim_start_matches(if i > 0 { " " } else { "" });
    }
    if text.len() == name.len() { text } else { text.replace(" }", "").replace(": ", " ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_told_in_words() {
        assert_eq!(in_words("(2, 3) Pool { kernel: 1, stride: 2 }"), "(2, 3) kernel 1, stride 2");
        assert_eq!(in_words("A { b: C { d: [1, 2], e: F }, g: 0.5 }"), "b d [1, 2], e F, g 0.5");
        assert_eq!(in_words("[4] by [3] to x: y"), "[4] by [3] to x: y");
    }

    #[test]
    fn what_shapes_do_not_take_is_told_once() {
        let unfit = |why: &str, shape: &str| Unfit {
            kernel: "conv2d",
            variants: vec!["8", "16"],
            why: why.into(),
            shapes: vec![shape.into()],
        };
        let mut all = Vec::new();
        for (why, shape) in [("has no form", "1x2"), ("takes the form 4", "3x4"), ("has no form", "5x6")] {
            unfit(why, shape).merge(&mut all);
        }
        let lines: Vec<String> = all.iter().map(|unfit| unfit.line(7)).collect();
        let first = "conv2d (8, 16): has no form for 2 of 7 shapes, such as 1x2";
        assert_eq!(lines, [first, "conv2d (8, 16): takes the form 4 for 3x4"]);
    }

    fn names(kernel: &str) -> Vec<&'static str> {
        family(find(kernel).expect("there")).iter().map(|k| k.shader.name).collect()
    }

    #[test]
    fn families_do_the_same_work() {
        for name in ["conv2d", "conv2d_subgroup"] {
            let family = names(name);
            assert!(family.contains(&"conv2d") && family.contains(&"conv2d_subgroup"), "{family:?}");
            assert!(family.iter().all(|n| !n.contains("_grad")), "{family:?}");
        }
        for name in ["conv2d_winograd", "conv2d_winograd_array", "conv2d_strip", "conv2d_array"] {
            assert!(names("conv2d").contains(&name) && names("conv2d_input_grad").contains(&name), "{name}");
            assert_eq!(root_name(find(name).expect("there")), "conv2d");
        }
        assert!(names("matmul").contains(&"matmul_wide"));
        let gradient = names("conv2d_weight_grad_sliding");
        assert!(gradient.contains(&"conv2d_weight_grad") && !gradient.contains(&"conv2d"), "{gradient:?}");
        assert_eq!(names("relu"), ["relu"]);
        assert_eq!(names("max_pool"), ["max_pool"], "what has a work of its own is no form of another");
        assert_eq!(names("sinkhorn_pass"), ["sinkhorn_pass", "sinkhorn_pass_subgroup"]);
        assert!(REGISTRY.iter().all(|k| names(k.shader.name).contains(&k.shader.name)), "each is of its own family");
    }

    #[test]
    fn unknown_kernels_and_the_form_of_shapes_are_told() {
        let error = find("conv2").expect_err("unknown").to_string();
        assert!(error.contains("did you mean `conv2d`") && error.contains("softmax"), "{error}");
        assert!(shapes(find("conv2d_subgroup").expect("there")).is_some_and(|s| s.contains("16-16,k3")));
        assert!(shapes(find("crop_taps").expect("there")).is_none());
        assert!(all_shapes().contains("max_pool_grad") && all_shapes().contains("16x32x32x64,k2,s2,p0"));
    }
}
