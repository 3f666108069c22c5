//! PyTorch's initialisers under their names, drawn from a counter-based stream keyed by the tensor's name: a trunk gets
//! the same weights whatever heads stand on it.

use crate::base::hash::fnv1a;
use crate::base::philox::{Sequence, Stream};

/// How a tensor starts. `fan_in` and `fan_out` are PyTorch's: `k²·in` and `k²·out` for a convolution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initialiser {
    /// `init.zeros_`.
    Zeros,
    /// `init.ones_`.
    Ones,
    /// `init.normal_(std=0.01)`: what AlexNet and VGG give their linear layers.
    NormalHundredth,
    /// `init.kaiming_normal_(mode="fan_out", nonlinearity="relu")`: N(0, √(2 / fan_out)).
    KaimingNormalFanOut,
    /// The default of `nn.Conv2d` and `nn.Linear`: `init.kaiming_uniform_(a=√5)`, U(±1/√fan_in); their biases too.
    KaimingUniform,
    /// `init.xavier_uniform_`: U(±√(6 / (fan_in + fan_out))).
    XavierUniform,
    /// `init.xavier_normal_`: N(0, √(2 / (fan_in + fan_out))).
    XavierNormal,
}

impl Initialiser {
    /// `count` values for the tensor called `name`.
    pub fn draw(self, seed: u64, name: &str, count: usize, fan_in: usize, fan_out: usize) -> Vec<f32> {
        let mut random = Sequence::new(seed, Stream::Initialise, fnv1a(name));
        let (fan_in, fan_out) = (fan_in as f64, fan_out as f64);
        let mut normal = |deviation: f64| -> Vec<f32> {
            (0..count).map(|_| (f64::from(random.normal()) * deviation) as f32).collect()
        };
        match self {
            Self::Zeros => vec![0.0; count],
            Self::Ones => vec![1.0; count],
            Self::NormalHundredth => normal(0.01),
            Self::KaimingNormalFanOut => normal((2.0 / fan_out).sqrt()),
            Self::XavierNormal => normal((2.0 / (fan_in + fan_out)).sqrt()),
            Self::KaimingUniform => uniform(&mut random, count, 1.0 / fan_in.sqrt()),
            Self::XavierUniform => uniform(&mut random, count, (6.0 / (fan_in + fan_out)).sqrt()),
        }
    }
}

fn uniform(random: &mut Sequence, count: usize, bound: f64) -> Vec<f32> {
    (0..count).map(|_| ((2.0 * f64::from(random.unit()) - 1.0) * bound) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f32]) -> (f64, f64) {
        let n = values.len() as f64;
        let variance = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        let most = values.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        (variance.sqrt(), most)
    }

    #[test]
    fn spreads_are_pytorchs() {
        // A 3×3 convolution 16 → 32: fan_in 144, fan_out 288.
        let draw = |i: Initialiser| spread(&i.draw(1, "layer.weight", 20_000, 144, 288));
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.03;
        assert!(near(draw(Initialiser::KaimingNormalFanOut).0, (2.0f64 / 288.0).sqrt()));
        assert!(near(draw(Initialiser::NormalHundredth).0, 0.01));
        assert!(near(draw(Initialiser::XavierNormal).0, (2.0f64 / 432.0).sqrt()));
        assert!(near(draw(Initialiser::KaimingUniform).1, 1.0 / 12.0));
        assert!(near(draw(Initialiser::XavierUniform).1, (6.0f64 / 432.0).sqrt()));
    }

    #[test]
    fn names_and_seeds_matter() {
        let draw = |seed, name| Initialiser::KaimingUniform.draw(seed, name, 8, 4, 4);
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }
}
