//! From the names of kernels, forms and classes in a file to what recordings take, and back.

use super::VariantFile;
use crate::base::{Error, Result, Shape, nearest};
use crate::gpu::variants::Form;
use crate::gpu::{Engine, Factors, Recording, Shader, Variants, cooperative};
use crate::kernels::product::{FORMS, Product, needs, offered};
use crate::kernels::{self, REGISTRY, choose};

/// The names of a form's shader and variant.
pub(super) fn names((kernel, variant): Form) -> [String; 2] {
    let shader = kernels::named(kernel).map(|k| k.shader);
    [kernel.to_owned(), shader.map_or("", |s: &Shader| s.variants[variant].name).to_owned()]
}

/// The forms that a file names.
///
/// # Errors
/// When a kernel, a form or a class does not exist, or the device cannot run a form.
pub(super) fn named(engine: &Engine, file: &VariantFile) -> Result<Variants> {
    let mut variants = choose::built_in(engine);
    if let Some(kernels) = &file.kernels {
        variants.kernels.clear();
        for (kernel, form) in kernels {
            let (name, variant) = find(engine, kernel, form)?;
            variants.insert(name, variant);
        }
    }
    for (class, taken) in &file.classes {
        let Some(product) = Product::of_class(class) else {
            return Err(Error::Config(format!(
                "`{class}` is not a class of shapes; they look like `conv2d 128x32x32x16-16,k3,s1,p1` and `matmul 128x64x16`"
            )));
        };
        let own = product.class() + Factors::of_class(class).1.suffix();
        if *class != own {
            return Err(Error::Config(format!(
                "`{class}` is no class of its own: its rows, or all sizes of matrices, are rounded up to powers of two: `{own}`"
            )));
        }
        let found = find(engine, &taken.kernel, &taken.form)?;
        let forms = FORMS.iter().find(|(plain, _)| plain.name == product.plain().name).map_or(&[][..], |f| f.1);
        if !forms.iter().any(|&(shader, variant)| (shader.name, variant) == found) {
            let names: Vec<String> =
                forms.iter().map(|(s, v)| format!("{} ({})", s.name, s.variants[*v].name)).collect();
            return Err(Error::Config(format!(
                "`{class}` has no form {} ({}); there are {}",
                taken.kernel,
                taken.form,
                names.join(", ")
            )));
        }
        variants.classes.insert(class.clone(), found);
    }
    Ok(variants)
}

/// A form by the names of its shader and its variant.
fn find(engine: &Engine, kernel: &str, form: &str) -> Result<Form> {
    let Some(shader) = kernels::named(kernel).map(|k| k.shader) else {
        let near = nearest(kernel, REGISTRY.iter().map(|k| k.shader.name));
        return Err(Error::Config(format!("there is no kernel `{kernel}`; the nearest is `{near}`")));
    };
    let Some(variant) = shader.variants.iter().position(|v| v.name == form) else {
        let all: Vec<&str> = shader.variants.iter().map(|v| v.name).collect();
        let near = nearest(form, all.iter().copied());
        return Err(Error::Config(format!(
            "`{kernel}` has no form `{form}`; it has {} (the nearest is `{near}`)",
            all.join(", ")
        )));
    };
    if !offered(engine, (shader, variant)) {
        return Err(Error::Config(format!(
            "{} cannot run `{kernel}` in the form `{form}`: {}",
            engine.describe(),
            lacks(engine, (shader, variant))
        )));
    }
    Ok((shader.name, variant))
}

/// Why an adapter cannot run a form.
fn lacks(engine: &Engine, (shader, variant): (&Shader, usize)) -> String {
    let form = &shader.variants[variant];
    let side = form.needs.contains(cooperative::NEEDS).then(|| form.constant("SIDE"));
    match (engine.cooperative(), side) {
        (Some(own), Some(side)) if own != side => {
            format!("the adapter's matrices are {own} x {own}, this form needs {side} x {side}")
        }
        _ => format!("it needs {}", needs((shader, variant))),
    }
}

/// Those classes of a file's forms that can never take theirs, as its shape does not fit; a class whose tensors do not fit the
/// device is none of them.
pub(super) fn never_taken<'a>(engine: &Engine, variants: &'a Variants) -> Vec<(&'a str, Form)> {
    let gives_way = |(class, form): (&'a String, &Form)| {
        let product = Product::of_class(class)?;
        let factors = Factors::of_class(class).1;
        let operands = || {
            product.operands(engine, product.maps(factors), &mut |sizes, dtype| {
                engine.tensor("class", Shape::new(sizes), dtype)
            })
        };
        let mut recording = Recording::new();
        recording.variants = Variants { kernels: [*form].into(), factors, ..Variants::default() };
        (engine.passing(operands).ok()?.record)(&mut recording).ok()?;
        let first = recording.dispatches.first()?;
        (first.shader.name != form.0).then_some((class.as_str(), *form))
    };
    variants.classes.iter().filter_map(gives_way).collect()
}
