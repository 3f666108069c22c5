//! Matmul and the three directions of a convolution, each checked against float64 at the timed shape, then timed.

use burn::backend::Dispatch;
use burn::backend::ops::ModuleOps;
use burn::prelude::*;
use burn::tensor::module::{conv2d, conv2d_weight_backward};
use burn::tensor::ops::ConvOptions;

use crate::check::{agrees, tensor, uniform, values};
use crate::convolution::{Convolution, KERNEL, PADDING};
use crate::timing::{Plan, Row, time};

/// Four values of a tensor: cheap to read, and there only when all of it is computed.
fn corner(x: Tensor<4>) -> Tensor<4> {
    x.slice([0..1, 0..1, 0..1, 0..1])
}

/// Rows `conv2d`, `conv2d_input_grad`, `conv2d_weight_grad`, and `conv2d_autodiff`: forward and both gradients as a
/// user of burn runs them.
pub fn convolution(shape: &Convolution, plan: Plan, device: &Device, report: &mut dyn FnMut(Row)) {
    let count = |shape: [usize; 4]| shape.iter().product::<usize>();
    let (x, w) = (uniform(count(shape.input_shape()), 1), uniform(count(shape.weight_shape()), 2));
    let g = uniform(count(shape.output_shape()), 3);
    let input = tensor(&x, shape.input_shape(), device);
    let weight = tensor(&w, shape.weight_shape(), device);
    let gradient = tensor(&g, shape.output_shape(), device);
    let options = || ConvOptions::new([shape.stride; 2], [PADDING; 2], [1, 1], 1);
    let window = KERNEL * KERNEL;
    let sums = shape.rows * shape.out() * shape.out();
    let row = |name, (milliseconds, warm_up, over): (f64, f64, bool), flops, right: bool| Row {
        name,
        shape: shape.text(),
        milliseconds,
        warm_up,
        flops,
        images: None,
        checked: right && over,
    };

    let forward = || conv2d(input.clone(), weight.clone(), None, options());
    let timed = time(plan, device, || corner(forward()));
    let right = !plan.check || agrees("conv2d", &values(forward()), &shape.forward(&x, &w), window * shape.input);
    report(row("conv2d", timed, shape.flops(), right));

    let by_input = || {
        let [x, w, g] = [&input, &weight, &gradient].map(|t| t.clone().into_dispatch());
        Tensor::<4>::from_dispatch(Dispatch::conv2d_x_backward(x, w, g, options()))
    };
    let timed = time(plan, device, || corner(by_input()));
    let right = agrees("conv2d_input_grad", &values(by_input()), &shape.input_gradient(&w, &g), window * shape.output);
    report(row("conv2d_input_grad", timed, shape.flops(), right));

    let by_weight = || conv2d_weight_backward(input.clone(), weight.clone(), gradient.clone(), options());
    let timed = time(plan, device, || corner(by_weight()));
    let right = !plan.check || agrees("conv2d_weight_grad", &values(by_weight()), &shape.weight_gradient(&x, &g), sums);
    report(row("conv2d_weight_grad", timed, shape.flops(), right));

    let (leaf, kernel) = (input.autodiff().require_grad(), weight.autodiff().require_grad());
    let both = || {
        let gradients = conv2d(leaf.clone(), kernel.clone(), None, options()).backward();
        [&leaf, &kernel].map(|t| t.grad(&gradients).expect("a gradient of each leaf"))
    };
    let timed = time(plan, device, || Tensor::cat(both().map(corner).to_vec(), 0));
    let right = !plan.check || {
        let [dx, dw] = both();
        // `backward` of a tensor starts from ones.
        let ones = vec![1.0; g.len()];
        agrees("gradient by input", &values(dx), &shape.input_gradient(&w, &ones), window * shape.output)
            & agrees("gradient by weight", &values(dw), &shape.weight_gradient(&x, &ones), sums)
    };
    report(row("conv2d_autodiff", timed, 3.0 * shape.flops(), right));
}

/// Row `matmul` of two square matrices.
pub fn matmul(size: usize, plan: Plan, device: &Device, report: &mut dyn FnMut(Row)) {
    let (a, b) = (uniform(size * size, 4), uniform(size * size, 5));
    let (left, right) = (tensor(&a, [size, size], device), tensor(&b, [size, size], device));
    let product = || left.clone().matmul(right.clone());
    let (milliseconds, warm_up, over) = time(plan, device, || product().slice([0..1, 0..1]));
    let checked = over && (!plan.check || agrees("matmul", &values(product()), &exact_product(&a, &b, size), size));
    let flops = 2.0 * (size as f64).powi(3);
    let shape = format!("a·b, {size}");
    report(Row { name: "matmul", shape, milliseconds, warm_up, flops, images: None, checked });
}

/// Product of two square matrices in float64.
fn exact_product(a: &[f32], b: &[f32], size: usize) -> Vec<f64> {
    let mut product = vec![0.0; size * size];
    for (i, row) in product.chunks_exact_mut(size).enumerate() {
        for k in 0..size {
            for (j, sum) in row.iter_mut().enumerate() {
                *sum += f64::from(a[i * size + k]) * f64::from(b[k * size + j]);
            }
        }
    }
    product
}
