//! Losses and transformations against PyTorch's float64 answers in `assets/golden`: each file's graph, built from the
//! operations alone, on the device.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use relabel::base::compare::relative_error;
use relabel::base::{DType, LabelRule, TransformSet};
use relabel::gpu::{Program, Tensor, readback};
use relabel::graph::{Executor, Graph, NodeId, reverse};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use crate::common;

/// One golden file.
struct Golden {
    config: Value,
    rtol: f64,
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
}

impl Golden {
    fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).expect("the file");
        let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
        let metadata = header.metadata().clone().expect("metadata");
        let file = SafeTensors::deserialize(&bytes).expect("tensors");
        let words = |data: &[u8]| data.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]).collect::<Vec<_>>();
        let values = |dtype, data: &[u8]| -> Vec<f64> {
            match dtype {
                Dtype::F32 => words(data).into_iter().map(|b| f64::from(f32::from_le_bytes(b))).collect(),
                Dtype::I32 => words(data).into_iter().map(|b| f64::from(i32::from_le_bytes(b))).collect(),
                Dtype::F64 => {
                    data.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))).collect()
                }
                other => panic!("{other:?} in a golden file"),
            }
        };
        let tensors = file
            .tensors()
            .into_iter()
            .map(|(name, view)| (name, (view.shape().to_vec(), values(view.dtype(), view.data()))));
        Self {
            config: serde_json::from_str(&metadata["config"]).expect("JSON"),
            rtol: metadata["rtol"].parse().expect("a number"),
            tensors: tensors.collect(),
        }
    }

    fn number(&self, key: &str) -> f64 {
        self.config[key].as_f64().unwrap_or_else(|| panic!("config {key}"))
    }

    fn count(&self, key: &str) -> usize {
        self.number(key) as usize
    }
}

/// A graph under construction with the values of its leaves.
struct Case<'a> {
    golden: &'a Golden,
    graph: Graph,
    values: Vec<(NodeId, Vec<f64>)>,
    answers: Vec<(&'static str, NodeId)>,
}

impl<'a> Case<'a> {
    fn new(golden: &'a Golden) -> Self {
        Self { golden, graph: Graph::new(), values: Vec::new(), answers: Vec::new() }
    }

    fn leaf(&mut self, name: &str, dtype: DType) -> NodeId {
        let (sizes, values) = &self.golden.tensors[&format!("in.{name}")];
        let id = self.graph.input(name, sizes, dtype);
        self.values.push((id, values.clone()));
        id
    }

    /// Mean cross-entropy over the rows.
    fn loss(&mut self, logits: NodeId, labels: NodeId, rule: LabelRule, views: usize) -> NodeId {
        let rows = self.graph.cross_entropy(logits, labels, rule, views).expect("shapes");
        self.graph.mean_all(rows).expect("shapes")
    }

    /// Runs the graph and gives, for each answer, its error against the file.
    fn errors(self) -> Vec<(&'static str, f64)> {
        let engine = common::engine();
        let mut placed: HashMap<NodeId, Tensor> = HashMap::new();
        for (id, values) in &self.values {
            let node = self.graph.node(*id);
            let tensor = engine.tensor(&node.name, node.shape.clone(), node.dtype).expect("memory");
            match node.dtype {
                DType::F32 => engine.write(&tensor, &values.iter().map(|&v| v as f32).collect::<Vec<_>>()),
                DType::U32 => engine.write(&tensor, &values.iter().map(|&v| v as u32).collect::<Vec<_>>()),
            }
            placed.insert(*id, tensor);
        }
        let outputs: Vec<NodeId> = self.answers.iter().map(|a| a.1).collect();
        let executor = Executor::new(&engine, &self.graph, &outputs, &placed, &HashMap::new()).expect("a plan");
        Program::new(&engine, executor.recording()).expect("a program").run(&engine, 1).expect("a run");
        let error = |(name, id): &(&'static str, NodeId)| {
            let actual: Vec<f32> = readback::read(&engine, executor.tensor(*id).expect("an output")).expect("a read");
            (*name, relative_error(&actual, &self.golden.tensors[&format!("out.{name}")].1))
        };
        self.answers.iter().map(error).collect()
    }
}

fn label_augmentation(golden: &Golden) -> Vec<(&'static str, f64)> {
    let mut case = Case::new(golden);
    let m = golden.count("transforms");
    let joint = case.leaf("joint_logits", DType::F32);
    let single = case.leaf("single_logits", DType::F32);
    let labels = case.leaf("labels", DType::U32);
    let joint_loss = case.loss(joint, labels, LabelRule::Joint, m);
    let single_loss = case.loss(single, labels, LabelRule::Class, 1);
    let g = &mut case.graph;
    let alone = g.single_inference_logits(joint, m).expect("shapes");
    let aggregated = g.aggregated_logits(joint, m).expect("shapes");
    let probabilities = g.softmax(aggregated).expect("shapes");
    let rows = g.distillation(single, aggregated, golden.number("temperature") as f32, labels).expect("shapes");
    let divergence = g.mean_all(rows).expect("shapes");
    let both = g.add(joint_loss, divergence).expect("shapes");
    let total = g.weighted_sum(both, 1.0, single_loss, golden.number("beta") as f32).expect("shapes");
    // The file's gradient by the joint logits is that of the joint loss alone: the teacher passes nothing on.
    let gradients = reverse(g, total, &[joint, single]).expect("rules");
    case.answers = vec![
        ("joint_cross_entropy", joint_loss),
        ("grad_joint_logits", gradients[0]),
        ("single_inference_logits", alone),
        ("aggregated_logits", aggregated),
        ("aggregated_probabilities", probabilities),
        ("distillation_kl", divergence),
        ("single_cross_entropy", single_loss),
        ("total", total),
        ("grad_single_logits", gradients[1]),
    ];
    case.errors()
}

fn multi_task(golden: &Golden) -> Vec<(&'static str, f64)> {
    let mut case = Case::new(golden);
    let m = golden.count("transforms");
    let class = case.leaf("class_logits", DType::F32);
    let view = case.leaf("transform_logits", DType::F32);
    let labels = case.leaf("labels", DType::U32);
    let class_loss = case.loss(class, labels, LabelRule::Class, m);
    let view_loss = case.loss(view, labels, LabelRule::View, m);
    let loss = case.graph.add(class_loss, view_loss).expect("shapes");
    let gradients = reverse(&mut case.graph, loss, &[class, view]).expect("rules");
    case.answers = vec![
        ("augmentation_only_loss", class_loss),
        ("loss", loss),
        ("grad_class_logits", gradients[0]),
        ("grad_transform_logits", gradients[1]),
    ];
    case.errors()
}

/// `(R, C, H, W)` to `(R, H, W, C)`.
fn channels_last((sizes, values): &(Vec<usize>, Vec<f64>)) -> (Vec<usize>, Vec<f64>) {
    let [r, c, h, w] = sizes[..] else { panic!("images have four sizes, not {sizes:?}") };
    let at = |i: usize| {
        let (row, pixel, channel) = (i / (h * w * c), i / c % (h * w), i % c);
        values[(row * c + channel) * h * w + pixel]
    };
    (vec![r, h, w, c], (0..values.len()).map(at).collect())
}

fn transform(golden: &Golden) -> Vec<(&'static str, f64)> {
    let tensors = golden.tensors.iter().map(|(name, tensor)| (name.clone(), channels_last(tensor))).collect();
    let golden = Golden { config: golden.config.clone(), rtol: golden.rtol, tensors };
    let mut case = Case::new(&golden);
    let images = case.leaf("images", DType::F32);
    let set: TransformSet = golden.config["transform"].as_str().expect("a name").parse().expect("a set");
    case.answers = vec![("views", case.graph.transform_views(images, set).expect("fits"))];
    case.errors()
}

fn walk(prefix: &str, least: usize, errors: impl Fn(&Golden) -> Vec<(&'static str, f64)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/golden");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("golden files").map(|e| e.expect("entry").path()).collect();
    paths.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)));
    assert!(paths.len() >= least, "{} files {prefix}*", paths.len());
    for path in paths {
        let golden = Golden::read(&path);
        let answers = golden.tensors.keys().filter(|n| n.starts_with("out.")).count();
        let found = errors(&golden);
        assert_eq!(found.len(), answers, "{}: every answer is compared", path.display());
        for (name, error) in found {
            assert!(error <= golden.rtol, "{}: {name} is off by {error}", path.display());
        }
    }
}

#[test]
fn label_augmentation_losses() {
    walk("sla_", 5, label_augmentation);
}

#[test]
fn multi_task_losses() {
    walk("multitask_", 2, multi_task);
}

#[test]
fn transformations() {
    walk("transform_", 8, transform);
}
