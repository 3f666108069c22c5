//! The methods' losses of one batch.

use burn::nn::loss::CrossEntropyLossConfig;
use burn::prelude::*;
use burn::tensor::activation::log_softmax;

use crate::exported::Exported;
use crate::models::Network;

/// Quarter turns of an image.
const VIEWS: usize = 4;

/// A method with what its loss needs.
#[derive(Clone, Copy, Debug)]
pub enum Method {
    /// Supervised, without views.
    Baseline,
    /// The views as more images.
    Augmentation,
    /// Class and view by a head each.
    MultiTask,
    /// One head of class and view.
    Sla,
    /// The same, and a head of the class that learns from its mean over the views.
    Distillation {
        /// Divides both logits.
        temperature: f64,
        /// Factor of the labels' part.
        beta: f64,
    },
    /// Clusters for labels, as many heads as assignments of them.
    Sela {
        /// How many.
        heads: usize,
    },
}

/// A batch on the device.
#[derive(Clone, Debug)]
pub struct DeviceBatch {
    /// `(B, C, H, H)`.
    pub images: Tensor<4>,
    /// `(B)`.
    pub labels: Tensor<1, Int>,
    /// `(heads, B)`; no heads for most methods.
    pub assigned: Vec<Tensor<1, Int>>,
}

impl Method {
    /// That of a step; none for MAXL, as burn has no gradient of a gradient.
    ///
    /// # Errors
    /// When there is no such method, or the config lacks a setting.
    pub fn of(step: &Exported) -> Result<Option<Self>, String> {
        Ok(Some(match step.method.as_str() {
            "baseline" => Self::Baseline,
            "da" => Self::Augmentation,
            "mt" => Self::MultiTask,
            "sla" => Self::Sla,
            "sla-sd" => Self::Distillation {
                temperature: step.number("sla", "temperature")?,
                beta: step.number("sla", "beta")?,
            },
            "sela" => Self::Sela { heads: step.number("sela", "heads")? as usize },
            "maxl" => return Ok(None),
            name => return Err(format!("no method {name} here")),
        }))
    }

    /// Names of the heads, in the order of the logits.
    pub fn heads(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Baseline | Self::Augmentation => &["class"],
            Self::MultiTask => &["class", "transform"],
            Self::Sla => &["joint"],
            Self::Distillation { .. } => &["joint", "single"],
            Self::Sela { heads } => return (0..heads).map(|head| format!("top_layer{head}")).collect(),
        };
        names.iter().map(|&name| name.into()).collect()
    }

    /// Rows of the network for each image.
    pub fn views(self) -> usize {
        if matches!(self, Self::Baseline | Self::Sela { .. }) { 1 } else { VIEWS }
    }

    /// The loss, the mean over the batch.
    pub fn loss(self, network: &Network, batch: &DeviceBatch) -> Tensor<1> {
        let DeviceBatch { images, labels, assigned } = batch;
        let logits = network.logits(if self.views() == 1 { images.clone() } else { rotations(images.clone()) });
        let head = |i: usize| logits[i].clone();
        let all = || every_view(labels);
        match self {
            Self::Baseline => cross_entropy(head(0), labels.clone()),
            Self::Augmentation => cross_entropy(head(0), all()),
            Self::MultiTask => cross_entropy(head(0), all()) + cross_entropy(head(1), view_of(labels)),
            Self::Sla => joint(head(0), labels),
            Self::Distillation { temperature, beta } => {
                let single = head(1).slice(s![..;VIEWS as isize, ..]);
                let teacher = log_softmax(aggregated(head(0)) / temperature, 1);
                let student = log_softmax(single.clone() / temperature, 1);
                let divergence = (teacher.clone().exp() * (teacher - student)).sum() / images.dims()[0] as f64;
                joint(head(0), labels)
                    + divergence * (temperature * temperature)
                    + cross_entropy(single, labels.clone()) * beta
            }
            Self::Sela { heads } => {
                let each =
                    logits.into_iter().zip(assigned).map(|(logits, labels)| cross_entropy(logits, labels.clone()));
                each.reduce(|sum, loss| sum + loss).expect("a head") / heads as f64
            }
        }
    }
}

fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    CrossEntropyLossConfig::new().init(&logits.device()).forward(logits, labels)
}

/// The images turned by 0, 90, 180 and 270 degrees, rows image-major: `(B, C, H, H)` to `(4B, C, H, H)`.
fn rotations(x: Tensor<4>) -> Tensor<4> {
    let [images, channels, size, _] = x.dims();
    let quarter = x.clone().swap_dims(2, 3);
    let views = vec![x.clone(), quarter.clone().flip([2]), x.flip([2, 3]), quarter.flip([3])];
    Tensor::<4>::stack::<5>(views, 1).reshape([images * VIEWS, channels, size, size])
}

/// The label of each image for each of its views: `(B)` to `(4B)`.
fn every_view(labels: &Tensor<1, Int>) -> Tensor<1, Int> {
    let images = labels.dims()[0];
    labels.clone().reshape([images, 1]).repeat_dim(1, VIEWS).reshape([images * VIEWS])
}

/// Which view each row is: `(4B)`.
fn view_of(labels: &Tensor<1, Int>) -> Tensor<1, Int> {
    Tensor::arange(0..VIEWS as i64, &labels.device()).repeat_dim(0, labels.dims()[0])
}

/// SLA's loss over class and view.
fn joint(logits: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<1> {
    cross_entropy(logits, every_view(labels) * VIEWS as i32 + view_of(labels))
}

/// Logits `(4B, 4N)` of class and view as `(B, N)`: the mean over the views of those under an image's own view. A constant.
fn aggregated(logits: Tensor<2>) -> Tensor<2> {
    let [rows, outputs] = logits.dims();
    let (images, classes) = (rows / VIEWS, outputs / VIEWS);
    let by_view = logits.detach().reshape([images, VIEWS, classes, VIEWS]);
    let own = |view: usize| by_view.clone().slice(s![.., view, .., view]).reshape([images, classes]);
    (1..VIEWS).map(own).fold(own(0), |sum, part| sum + part) / VIEWS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why there is no MAXL: on the day that this fails there can be.
    #[test]
    fn gradients_have_no_gradients() {
        let device = Device::default().autodiff();
        assert_eq!(device.clone().autodiff(), device);
        let x = Tensor::<1>::from_floats([2.0], &device).require_grad();
        let gradient = x.grad(&x.clone().powi_scalar(3).backward()).expect("a gradient of the leaf");
        assert!(!gradient.device().is_autodiff());
        // x·(3x²) has the derivative 9x², with 3x² for a constant 3x².
        let product = x.clone() * gradient.autodiff();
        let again = x.grad(&product.backward()).expect("a gradient of the leaf").into_scalar::<f32>();
        assert_eq!(again, 12.0);
    }
}
