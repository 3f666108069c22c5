//! The networks that SeLa and MAXL use, beside their PyTorch twins: `tests/fixtures/networks.py` made the stored features.

use std::collections::{BTreeSet, HashMap};

use relabel::base::{Array, DType};
use relabel::graph::interpret::interpret;
use relabel::models::{ModelSettings, backbone};
use relabel::nn::{Builder, Phase, TensorSpec, TorchTensor};

const STORED: &str = include_str!("fixtures/networks.txt");

/// The script's `uniform`.
fn uniform(name: &str, count: usize) -> Vec<f64> {
    let start = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let value = |i: u64| {
        let z = start.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f64 / 8_388_608.0 - 1.0
    };
    (0..count as u64).map(value).collect()
}

/// The script's `fill`, for one tensor under PyTorch's name and sizes.
fn fill(name: &str, sizes: &[usize]) -> TorchTensor {
    let fan_in: usize = sizes[1..].iter().product();
    let value = |u: f64| {
        if name.ends_with("running_var") {
            1.0 + u / 2.0
        } else if sizes.len() > 1 {
            u * (3.0 / fan_in as f64).sqrt()
        } else if name.ends_with("weight") {
            1.0 + u / 4.0
        } else {
            u / 4.0
        }
    };
    let values = uniform(name, sizes.iter().product()).into_iter().map(|u| value(u) as f32).collect();
    TorchTensor { name: name.to_owned(), sizes: sizes.to_vec(), values }
}

fn value(spec: &TensorSpec) -> Array {
    let parts = spec.torch_parts();
    let find = |name: &str| {
        let (_, sizes) = parts.iter().find(|(n, _)| n == name).expect("one of the parts");
        Ok(fill(name, sizes))
    };
    let values = spec.from_torch(find).expect("sizes of the parts");
    Array::new(spec.shape().sizes(), values.into_iter().map(f64::from).collect())
}

#[test]
fn features_are_those_of_the_pytorch_twins() {
    let mut seen = BTreeSet::new();
    for line in STORED.lines().filter(|l| !l.starts_with("parameters")) {
        let fields: Vec<&str> = line.split(' ').collect();
        let (height, width) = fields[1].split_once('x').expect("HxW");
        let (height, width) = (height.parse::<usize>().unwrap(), width.parse::<usize>().unwrap());
        let widths = fields[2].split(',').map(|w| w.parse().unwrap()).collect();
        let settings = ModelSettings { name: fields[0].into(), widths, ..ModelSettings::default() };
        let mut b = Builder::new(Phase::Evaluate);
        let sizes = [2, height, width, 3];
        let x = b.graph.input("images", &sizes, DType::F32);
        let features = backbone(&settings).unwrap().features(&mut b, x).unwrap();
        let mut leaves = HashMap::from([(x, Array::new(&sizes, uniform("images", 2 * 3 * height * width)))]);
        for spec in b.parameters() {
            leaves.insert(b.graph.clone().parameter(&spec.name, spec.shape().sizes()), value(spec));
        }
        for spec in b.states() {
            leaves.insert(b.graph.clone().state(&spec.name, spec.shape().sizes()), value(spec));
        }
        let found = interpret(&b.graph, &leaves, &[features]).unwrap().remove(&features).unwrap();
        let expected: Vec<f64> = fields[3..].iter().map(|v| v.parse().unwrap()).collect();
        assert_eq!(found.data.len(), expected.len(), "{}", fields[0]);
        // The weights are float32 here and float64 there: 6e-8 each, through at most fifty layers.
        let worst = found.data.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        assert!(largest > 0.1 && worst <= 2e-6 * largest, "{}: {worst:e} of {largest}", fields[0]);
        seen.insert(fields[0]);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["alexnet", "cifar_resnet18", "resnetv2_50", "vgg16"]);
}

#[test]
fn parameter_counts_are_those_of_the_pytorch_twins() {
    let lines: Vec<&str> = STORED.lines().filter_map(|l| l.strip_prefix("parameters ")).collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let (name, count) = line.split_once(' ').expect("name and count");
        let mut b = Builder::new(Phase::Train { update: true });
        let x = b.graph.input("images", &[2, 224, 224, 3], DType::F32);
        let settings = ModelSettings { name: name.into(), ..ModelSettings::default() };
        backbone(&settings).unwrap().features(&mut b, x).unwrap();
        let sizes = b.parameters().iter().flat_map(TensorSpec::torch_parts);
        let found: usize = sizes.map(|(_, s)| s.iter().product::<usize>()).sum();
        assert_eq!(found.to_string(), count, "{name}");
    }
}
