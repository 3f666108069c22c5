//! Products of matrices and the three directions of a convolution, timed, and checked against float64 at the timed shape.

use burn::backend::Dispatch;
use burn::backend::ops::ModuleOps;
use burn::prelude::*;
use burn::tensor::module::{conv2d, conv2d_weight_backward};
use burn::tensor::ops::ConvOptions;

use crate::check::{agrees, tensor, uniform, values};
use crate::convolution::Convolution;
use crate::product::Product;
use crate::timing::{Plan, Row, time};

/// Four values of a tensor: cheap to read, and there only when all of it is computed.
fn corner(x: Tensor<4>) -> Tensor<4> {
    x.slice([0..1, 0..1, 0..1, 0..1])
}

/// Rows `conv2d`, `conv2d_input_grad`, `conv2d_weight_grad`, and `conv2d_autodiff`: forward and the gradients as a user of
/// burn runs them. What reads no gradient by its input has none.
pub fn convolution(shape: &Convolution, plan: Plan, device: &Device, report: &mut dyn FnMut(Row)) {
    let count = |shape: [usize; 4]| shape.iter().product::<usize>();
    let (x, w) = (uniform(count(shape.input_shape()), 1), uniform(count(shape.weight_shape()), 2));
    let g = uniform(count(shape.output_shape()), 3);
    let input = tensor(&x, shape.input_shape(), device);
    let weight = tensor(&w, shape.weight_shape(), device);
    let gradient = tensor(&g, shape.output_shape(), device);
    let options = || ConvOptions::new([shape.stride; 2], [shape.padding; 2], [1, 1], 1);
    let [terms, by_input_terms, by_weight_terms] = shape.terms();
    let row = |name: &str, (milliseconds, warm_up, over): (f64, f64, bool), flops, right: bool| Row {
        name: name.into(),
        shape: shape.text.clone(),
        milliseconds,
        warm_up,
        flops: Some(flops),
        images: None,
        checked: right && over,
    };

    let forward = || conv2d(input.clone(), weight.clone(), None, options());
    let timed = time(plan, device, || corner(forward()));
    let exact = |i| shape.forward(&x, &w, i);
    let right = !plan.check || agrees("conv2d", &values(forward()), shape.output_shape(), exact, terms);
    report(row("conv2d", timed, shape.flops(), right));

    if shape.input_gradient {
        let by_input = || {
            let [x, w, g] = [&input, &weight, &gradient].map(|t| t.clone().into_dispatch());
            Tensor::<4>::from_dispatch(Dispatch::conv2d_x_backward(x, w, g, options()))
        };
        let timed = time(plan, device, || corner(by_input()));
        let (name, exact) = ("conv2d_input_grad", |i| shape.input_gradient(&w, &g, i));
        let right = !plan.check || agrees(name, &values(by_input()), shape.input_shape(), exact, by_input_terms);
        report(row(name, timed, shape.flops(), right));
    }

    let by_weight = || conv2d_weight_backward(input.clone(), weight.clone(), gradient.clone(), options());
    let timed = time(plan, device, || corner(by_weight()));
    let (name, exact) = ("conv2d_weight_grad", |i| shape.weight_gradient(&x, &g, i));
    let right = !plan.check || agrees(name, &values(by_weight()), shape.weight_shape(), exact, by_weight_terms);
    report(row(name, timed, shape.flops(), right));

    let kernel = weight.autodiff().require_grad();
    let leaf = if shape.input_gradient { input.autodiff().require_grad() } else { input.autodiff() };
    let gradients = || {
        let gradients = conv2d(leaf.clone(), kernel.clone(), None, options()).backward();
        let by_weight = kernel.grad(&gradients).expect("a gradient of the weight");
        (leaf.grad(&gradients).filter(|_| shape.input_gradient), by_weight)
    };
    let timed = time(plan, device, || {
        let (by_input, by_weight) = gradients();
        Tensor::cat(by_input.into_iter().chain([by_weight]).map(corner).collect(), 0)
    });
    let right = !plan.check || {
        let (by_input, by_weight) = gradients();
        // `backward` of a tensor starts from ones.
        let ones = vec![1.0; g.len()];
        let exact = |i| shape.input_gradient(&w, &ones, i);
        by_input.is_some() == shape.input_gradient
            && by_input
                .is_none_or(|dx| agrees("gradient by input", &values(dx), shape.input_shape(), exact, by_input_terms))
            && {
                let exact = |i| shape.weight_gradient(&x, &ones, i);
                agrees("gradient by weight", &values(by_weight), shape.weight_shape(), exact, by_weight_terms)
            }
    };
    let directions = if shape.input_gradient { 3.0 } else { 2.0 };
    report(row("conv2d_autodiff", timed, directions * shape.flops(), right));
}

/// The row of a product of two matrices.
pub fn product(shape: &Product, plan: Plan, device: &Device, report: &mut dyn FnMut(Row)) {
    let shapes = shape.shapes();
    let [a, b] = [(shapes[0], 4), (shapes[1], 5)].map(|(shape, seed)| uniform(shape.iter().product(), seed));
    let [left, right] = [(&a, 0), (&b, 1)].map(|(values, i)| tensor(values, shapes[i], device));
    let facing = |matrix: &Tensor<2>, i: usize| {
        let matrix = matrix.clone();
        if shape.transposed[i] { matrix.transpose() } else { matrix }
    };
    let product = || facing(&left, 0).matmul(facing(&right, 1));
    let (milliseconds, warm_up, over) = time(plan, device, || product().slice([0..1, 0..1]));
    let (size, exact) = ([shape.rows, shape.columns], |i| shape.at(&a, &b, i));
    let checked = over && (!plan.check || agrees(&shape.name, &values(product()), size, exact, shape.inner));
    let (name, text, flops) = (shape.name.clone(), shape.text.clone(), Some(shape.flops()));
    report(Row { name, shape: text, milliseconds, warm_up, flops, images: None, checked });
}
