//! The training step of SLA with rotation: four views of each image, joint softmax cross-entropy over class × rotation,
//! gradients, SGD with momentum.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig, momentum::MomentumConfig};
use burn::prelude::*;

use crate::check::{agrees, tensor, uniform, values};
use crate::convolution::Convolution;
use crate::models::{ConvNet, Network, ResNet32, shortcut_a};
use crate::timing::{Plan, Row, time};

const CLASSES: usize = 10;
const VIEWS: usize = 4;
const RATE: f64 = 0.05;

/// The images turned by 0, 90, 180 and 270 degrees, rows image-major: `(B, C, H, H)` to `(4B, C, H, H)`.
fn rotations(x: Tensor<4>) -> Tensor<4> {
    let [images, channels, size, _] = x.dims();
    let quarter = x.clone().swap_dims(2, 3);
    let views = vec![x.clone(), quarter.clone().flip([2]), x.flip([2, 3]), quarter.flip([3])];
    Tensor::<4>::stack::<5>(views, 1).reshape([images * VIEWS, channels, size, size])
}

/// Images `(B, C, H, H)` that can be learnt: image b is a sawtooth of the period of its class (b mod 10) along the
/// height, so that every class and every rotation looks different, with some noise.
fn pictures(shape: [usize; 4]) -> Vec<f32> {
    let [_, channels, size, _] = shape;
    let mut values = uniform(shape.iter().product(), 6);
    for (i, value) in values.iter_mut().enumerate() {
        let (image, row) = (i / (channels * size * size), i / size % size);
        let period = image % CLASSES + 2;
        *value = 0.1 * *value + 2.0 * (row % period) as f32 / (period - 1) as f32 - 1.0;
    }
    values
}

/// A network in training on one resident batch.
struct Training<N> {
    network: Option<N>,
    optimizer: ModuleOptimizer,
    images: Tensor<4>,
    labels: Tensor<1, Int>,
}

impl<N: Network> Training<N> {
    fn new(network: N, images: [usize; 4], device: &Device) -> Self {
        let labels: Vec<i32> =
            (0..images[0] * VIEWS).map(|r| ((r / VIEWS % CLASSES) * VIEWS + r % VIEWS) as i32).collect();
        let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
        Self {
            network: Some(network),
            optimizer: SgdConfig::new().with_momentum(Some(momentum)).init(),
            images: tensor(&pictures(images), images, device),
            labels: Tensor::from_data(TensorData::new(labels, [images[0] * VIEWS]), device),
        }
    }

    /// One step; the loss before it.
    fn step(&mut self) -> Tensor<1> {
        let network = self.network.take().expect("put back after each step");
        let logits = network.logits(rotations(self.images.clone()));
        let loss = CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, self.labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        self.network = Some(self.optimizer.step(RATE, network, gradients));
        loss.inner()
    }

    /// Whether the loss is finite and falls by a tenth or more within ten steps on the same images.
    fn learns(&mut self, name: &str) -> bool {
        let parameters = self.network.as_ref().map_or(0, Module::num_params);
        let losses: Vec<f32> = (0..10).map(|_| self.step().into_scalar::<f32>()).collect();
        let (first, last) = (losses[0], losses[losses.len() - 1]);
        // Chance is ln 40 = 3.69; an untrained network of this kind stands near it.
        let learns = losses.iter().all(|l| l.is_finite()) && (2.0..8.0).contains(&first) && last < 0.9 * first;
        eprintln!(
            "{name}: {parameters} parameters, loss {first:.3} to {last:.3} in {} steps{}",
            losses.len(),
            if learns { "" } else { ": WRONG" }
        );
        learns
    }
}

fn measure<N: Network>(
    name: &'static str,
    network: N,
    images: [usize; 4],
    forward: [f64; 2],
    plan: Plan,
    device: &Device,
) -> Row {
    let mut training = Training::new(network, images, device);
    let (milliseconds, warm_up, over) = time(plan, device, || {
        let loss = training.step();
        // Known only when the whole backward pass and the update have run.
        let weight = training.network.as_ref().expect("put back after each step").first_weight().inner();
        Tensor::cat(vec![loss, weight.slice([0..1, 0..1, 0..1, 0..1]).reshape([1])], 0)
    });
    let checked = over && (!plan.check || rotates(device) & shortens(device));
    let [count, channels, size, _] = images;
    let shape = format!("{count} x {VIEWS} rows of {size}x{size}x{channels}");
    // Forward, then a gradient by weight and one by input of each layer, but none by the images.
    let flops = 3.0 * forward[0] - forward[1];
    Row { name, shape, milliseconds, warm_up, flops, images: Some(count), checked }
}

/// Row `step demo sla`: images of 28×28×1, so many rows.
pub fn demo(rows: usize, plan: Plan, device: &Device) -> Row {
    let (name, images) = ("step demo sla", [rows.div_ceil(VIEWS), 1, 28, 28]);
    let device = device.clone().autodiff();
    let new = || ConvNet::new(1, CLASSES * VIEWS, &device);
    let layers = [(28, 1, 16, 2), (14, 16, 32, 2), (7, 32, 64, 2), (4, 64, 128, 2)];
    let mut row = measure(name, new(), images, flops(images[0] * VIEWS, &layers), plan, &device);
    row.checked &= !plan.check || Training::new(new(), images, &device).learns(name);
    row
}

/// Row `step resnet32 sla`: images of 32×32×3, so many rows.
pub fn resnet32(rows: usize, plan: Plan, device: &Device) -> Row {
    let (name, images) = ("step resnet32 sla", [rows.div_ceil(VIEWS), 3, 32, 32]);
    let device = device.clone().autodiff();
    let new = || ResNet32::new(3, CLASSES * VIEWS, &device);
    let mut layers = vec![(32, 3, 16, 1)];
    layers.extend([(32, 16, 16, 1); 10]);
    layers.push((32, 16, 32, 2));
    layers.extend([(16, 32, 32, 1); 9]);
    layers.push((16, 32, 64, 2));
    layers.extend([(8, 64, 64, 1); 9]);
    let mut row = measure(name, new(), images, flops(images[0] * VIEWS, &layers), plan, &device);
    row.checked &= !plan.check || Training::new(new(), images, &device).learns(name);
    row
}

/// Operations of all convolutions and the head, and of the first convolution alone, from `(size, input, output, stride)`.
fn flops(rows: usize, layers: &[(usize, usize, usize, usize)]) -> [f64; 2] {
    let each =
        |&(size, input, output, stride): &_| Convolution { network: "", rows, size, input, output, stride }.flops();
    let features = layers.last().map_or(0, |layer| layer.2);
    let head = 2.0 * (rows * features * CLASSES * VIEWS) as f64;
    [layers.iter().map(each).sum::<f64>() + head, each(&layers[0])]
}

/// Whether `rotations` turns: each view is the one before it by a quarter counter-clockwise.
fn rotates(device: &Device) -> bool {
    let (images, size) = (3, 5);
    let x = uniform(images * size * size, 7);
    let got = values(rotations(tensor(&x, [images, 1, size, size], device)).inner());
    let mut want = Vec::new();
    for image in x.chunks_exact(size * size) {
        let mut view = image.to_vec();
        for _ in 0..VIEWS {
            want.extend(view.iter().map(|&v| f64::from(v)));
            view = (0..size * size).map(|i| view[(i % size) * size + size - 1 - i / size]).collect();
        }
    }
    agrees("rotations", &got, &want, 1)
}

/// Whether the shortcut and its gradient are right: the gradient of the sum of w·shortcut(x) is w where x went.
fn shortens(device: &Device) -> bool {
    let (rows, channels, width, size) = (2, 3, 5, 6);
    let half = size / 2;
    let x = uniform(rows * channels * size * size, 8);
    let w = uniform(rows * width * half * half, 9);
    let leaf = tensor(&x, [rows, channels, size, size], device).require_grad();
    let y = shortcut_a(leaf.clone(), width);
    let gradients = (y.clone() * tensor(&w, [rows, width, half, half], device)).sum().backward();
    let dx = leaf.grad(&gradients).expect("a gradient of the leaf");
    let (mut want_y, mut want_dx) = (vec![0.0; w.len()], vec![0.0; x.len()]);
    for (o, value) in want_y.iter_mut().enumerate() {
        let (n, c, i, j) = (o / (width * half * half), o / (half * half) % width, o / half % half, o % half);
        if c < channels {
            let from = ((n * channels + c) * size + 2 * i) * size + 2 * j;
            *value = f64::from(x[from]);
            want_dx[from] = f64::from(w[o]);
        }
    }
    agrees("shortcut", &values(y.inner()), &want_y, 1) & agrees("shortcut's gradient", &values(dx), &want_dx, 1)
}
