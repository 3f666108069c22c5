//! A kernel's work from its name and a shape in words, for the benches and the profiler: inputs, outputs, and how it is
//! recorded on them. A kernel is timed by standing in one of these lists; products have theirs in [`super::product`].

mod assign;
mod columns;
mod images;
mod optimise;
mod pointwise;
mod rows;
pub mod shape;
pub mod tensors;

use shape::{Asked, Form};
pub use tensors::Tensors;

use super::product::{FORMS, MOST, Product, Recorder};
use super::tune;
use crate::base::{DType, Error, Result};
use crate::gpu::Recording;

const ELEMENTS: Form = Form::sizes([1, 4], "one to four sizes of the tensor, such as 32x32x32x16 or 4096x1024");
const ROWS: Form = Form::sizes([2, 2], "ROWSxCOLUMNS, such as 4096x1024");
const ONE: Form = Form::sizes([1, 1], "1: it works on single numbers");

/// How a kernel's work is made.
#[derive(Debug)]
struct Work {
    kernel: &'static str,
    form: &'static Form,
    make: fn(&Tensors<'_>, &Asked) -> Result<Recorder>,
}

impl Work {
    const fn new(
        kernel: &'static str,
        form: &'static Form,
        make: fn(&Tensors<'_>, &Asked) -> Result<Recorder>,
    ) -> Self {
        Self { kernel, form, make }
    }
}

const CONVOLUTIONS: &str = "ROWSxHEIGHTxWIDTHxCHANNELS-OUTPUTS[,kSIDE][,sSTRIDE][,pPADDING], such as 32x32x32x16-16,k3,s1,p1 \
                            (the values taken when left out; SIDE and PADDING at most 64, or SIDE as 3x5)";
const MATRICES: &str = "MxKxN[,ta][,tb] (transposed a, b), such as 512x512x512";

fn all() -> impl Iterator<Item = &'static Work> {
    [pointwise::WORKS, columns::WORKS, images::WORKS, rows::WORKS, assign::WORKS, optimise::WORKS].into_iter().flatten()
}

fn find(kernel: &str) -> Option<&'static Work> {
    all().find(|work| work.kernel == kernel)
}

/// How shapes of a kernel are written; `None` where it has no work by shapes. A product goes by its plain form.
pub fn form(kernel: &str) -> Option<&'static str> {
    match kernel {
        "matmul" => Some(MATRICES),
        _ if FORMS.iter().any(|(plain, _)| plain.name == kernel) => Some(CONVOLUTIONS),
        _ => find(kernel).map(|work| work.form.text),
    }
}

/// Each way to write shapes, with the kernels that take it.
pub fn forms() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut forms: Vec<(&str, Vec<&str>)> = Vec::new();
    for kernel in FORMS.iter().map(|(plain, _)| plain.name).chain(all().map(|work| work.kernel)) {
        let text = form(kernel).unwrap_or_default();
        match forms.iter_mut().find(|(own, _)| *own == text) {
            Some((_, kernels)) => kernels.push(kernel),
            None => forms.push((text, vec![kernel])),
        }
    }
    forms
}

/// The shape of a kernel as tables have it, such as `16x32x32x64, 2x2, stride 2`.
///
/// # Errors
/// When it is not understood.
pub fn words(kernel: &str, shape: &str) -> Result<String> {
    let asked = find(kernel).and_then(|work| work.form.parse(shape));
    asked.map(|asked| asked.words()).ok_or_else(|| wrong(kernel, shape))
}

/// The work of a kernel at a shape. `maps` is the type of a product's images, or of all its matrices.
///
/// # Errors
/// When the shape is not understood or does not fit the kernel, or the adapter has no room.
pub fn record(tensors: &Tensors<'_>, kernel: &str, shape: &str, maps: DType) -> Result<Recorder> {
    if FORMS.iter().any(|(plain, _)| plain.name == kernel) {
        let product = Product::parse(kernel, shape)?.ok_or_else(|| wrong(kernel, shape))?;
        let mut fill = |sizes: &[usize], dtype| tune::random(tensors.engine, sizes, dtype, 0);
        return Ok(product.operands(tensors.engine, maps, &mut fill)?.record);
    }
    let fits = |e| match e {
        Error::Shape(text) | Error::Config(text) => Error::Config(format!("{shape} of `{kernel}`: {text}")),
        other => other,
    };
    let work = find(kernel).ok_or_else(|| wrong(kernel, shape))?;
    let asked = work.form.parse(shape).ok_or_else(|| wrong(kernel, shape))?;
    let record = (work.make)(tensors, &asked).map_err(fits)?;
    // Kernels check their shapes when they are recorded.
    record(&mut Recording::new()).map_err(fits)?;
    Ok(record)
}

fn wrong(kernel: &str, shape: &str) -> Error {
    let form = form(kernel).unwrap_or("no shape");
    Error::Config(format!("{shape} of `{kernel}`: expected {form}; no size above {MOST}, none of 0 but a border"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::REGISTRY;

    #[test]
    fn every_work_is_of_one_kernel_and_has_an_example_that_it_takes() {
        for work in all() {
            assert!(REGISTRY.iter().any(|k| k.shader.name == work.kernel), "{}", work.kernel);
            assert_eq!(all().filter(|other| other.kernel == work.kernel).count(), 1, "{}", work.kernel);
            let text = work.form.text;
            let example = text.split_once("such as ").map_or("1", |(_, rest)| rest);
            let example = example.split([' ', ';', ')']).next().unwrap_or_default().trim_end_matches(',');
            assert!(work.form.parse(example).is_some(), "{}: {example} of {text}", work.kernel);
        }
    }

    #[test]
    fn forms_name_each_kernel_once() {
        let kernels: Vec<&str> = forms().into_iter().flat_map(|(_, kernels)| kernels).collect();
        assert!(kernels.iter().all(|k| kernels.iter().filter(|other| *other == k).count() == 1), "{kernels:?}");
        for kernel in ["conv2d", "matmul", "relu", "max_pool_grad", "adam", "sinkhorn_pass", "top_k"] {
            assert!(kernels.contains(&kernel), "{kernel}");
        }
        assert!(form("conv2d_weight_grad").is_some_and(|s| s.contains("16-16,k3")) && form("crop_taps").is_none());
    }
}
