//! Colour jitter and random greyscale of float images in [0, 1]: torchvision's `ColorJitter` and `RandomGrayscale` on
//! float tensors. Settings and float64 twin of `grey_sums` and `colour_jitter`; the device's form of the same is
//! `shaders/shared/colour.wgsl`.

use crate::base::philox::{self, Stream, below, unit};

/// How much colours vary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// Brightness is multiplied by a factor in `[max(0, 1 − b), 1 + b]`.
    pub brightness: f32,
    /// The difference to the image's mean grey is multiplied by such a factor.
    pub contrast: f32,
    /// The difference to the pixel's grey is multiplied by such a factor.
    pub saturation: f32,
    /// The hue turns by a part of the circle in `[−h, h]`, at most 1/2.
    pub hue: f32,
    /// Probability of an image without colour.
    pub greyscale: f32,
    /// Seed.
    pub seed: u64,
}

/// One of the four adjustments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// Blend with black.
    Brightness,
    /// Blend with the image's mean grey.
    Contrast,
    /// Blend with the pixel's grey.
    Saturation,
    /// Turn of the hue.
    Hue,
}

/// What is done to one image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// The adjustments in their order, with factors, and the hue's part of the circle.
    pub adjustments: [(Adjustment, f64); 4],
    /// Whether colour is taken away after them.
    pub greyscale: bool,
}

impl Jitter {
    /// Whether it changes images of so many channels.
    pub fn changes(&self, channels: usize) -> bool {
        let grey = self.brightness > 0.0 || self.contrast > 0.0;
        grey || channels == 3 && (self.saturation > 0.0 || self.hue > 0.0 || self.greyscale > 0.0)
    }

    /// What it does to images of so many channels: saturation, hue and greyscale leave grey ones as they are.
    #[must_use]
    pub fn on(self, channels: usize) -> Self {
        if channels == 3 { self } else { Self { saturation: 0.0, hue: 0.0, greyscale: 0.0, ..self } }
    }

    /// The adjustments of a draw.
    pub fn plan(&self, sample: u32, epoch: u32) -> Plan {
        let key = philox::key(self.seed, Stream::Augment);
        let [amount, choice] = [16, 17].map(|block| philox::philox4x32([sample, epoch, block, 0], key));
        let factor = |strength: f32, word: u32| {
            let (low, high) = (f64::from((1.0 - strength).max(0.0)), 1.0 + f64::from(strength));
            low + (high - low) * f64::from(unit(word))
        };
        let mut left = vec![
            (Adjustment::Brightness, factor(self.brightness, amount[0])),
            (Adjustment::Contrast, factor(self.contrast, amount[1])),
            (Adjustment::Saturation, factor(self.saturation, amount[2])),
            (Adjustment::Hue, f64::from(self.hue) * (2.0 * f64::from(unit(amount[3])) - 1.0)),
        ];
        let mut number = below(choice[0], 24) as usize;
        let adjustments = [6, 2, 1, 1].map(|count| {
            let chosen = left.remove(number / count);
            number %= count;
            chosen
        });
        Plan { adjustments, greyscale: unit(choice[1]) < self.greyscale }
    }
}

/// The grey of a pixel: `0.2989 R + 0.587 G + 0.114 B`, or its one channel.
pub fn grey(pixel: &[f64]) -> f64 {
    match pixel {
        [r, g, b] => 0.2989 * r + 0.587 * g + 0.114 * b,
        _ => pixel[0],
    }
}

/// The hue of a colour turned by a part of the circle, through hue, saturation and value, as torchvision writes it.
pub fn turned_hue([r, g, b]: [f64; 3], part: f64) -> [f64; 3] {
    let (most, least) = (r.max(g).max(b), r.min(g).min(b));
    let chroma = most - least;
    let divisor = if chroma == 0.0 { 1.0 } else { chroma };
    let [rc, gc, bc] = [r, g, b].map(|v| (most - v) / divisor);
    let sixths = if most == r {
        bc - gc
    } else if most == g {
        2.0 + rc - bc
    } else {
        4.0 + gc - rc
    };
    let hue = (sixths / 6.0 + 1.0 + part).rem_euclid(1.0);
    let saturation = if chroma == 0.0 { 0.0 } else { chroma / most };
    let sector = (hue * 6.0).floor();
    let f = hue * 6.0 - sector;
    let p = most * (1.0 - saturation);
    let q = most * (1.0 - saturation * f);
    let t = most * (1.0 - saturation * (1.0 - f));
    match sector as i64 % 6 {
        0 => [most, t, p],
        1 => [q, most, p],
        2 => [p, most, t],
        3 => [p, q, most],
        4 => [t, p, most],
        _ => [most, p, q],
    }
}

/// One adjustment of an image `[pixels, C]`. Saturation and hue leave images of one channel as they are.
pub fn adjust(image: &mut [f64], channels: usize, adjustment: Adjustment, amount: f64) {
    let mean = image.chunks_exact(channels).map(grey).sum::<f64>() / (image.len() / channels) as f64;
    for pixel in image.chunks_exact_mut(channels) {
        let anchor = match adjustment {
            Adjustment::Brightness => 0.0,
            Adjustment::Contrast => mean,
            Adjustment::Saturation => grey(pixel),
            Adjustment::Hue => {
                if let Ok(colour) = <[f64; 3]>::try_from(&*pixel) {
                    pixel.copy_from_slice(&turned_hue(colour, amount));
                }
                continue;
            }
        };
        if adjustment == Adjustment::Saturation && channels == 1 {
            continue;
        }
        pixel.iter_mut().for_each(|v| *v = (amount * *v + (1.0 - amount) * anchor).clamp(0.0, 1.0));
    }
}

impl Plan {
    /// The adjustments that precede the contrast, of an image `[pixels, C]`.
    pub fn until_contrast(&self, image: &mut [f64], channels: usize) {
        for &(adjustment, amount) in self.adjustments.iter().take_while(|a| a.0 != Adjustment::Contrast) {
            adjust(image, channels, adjustment, amount);
        }
    }

    /// All adjustments and the greyscale of an image `[pixels, C]`.
    pub fn apply(&self, image: &mut [f64], channels: usize) {
        for (adjustment, amount) in self.adjustments {
            adjust(image, channels, adjustment, amount);
        }
        if self.greyscale {
            image.chunks_exact_mut(channels).for_each(|pixel| pixel.fill(grey(pixel)));
        }
    }
}

/// Jitters worth testing: all at once, each alone, none of the contrast, none at all, and factors that clamp.
pub(crate) fn some_jitters() -> Vec<Jitter> {
    let all = Jitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.4, greyscale: 0.2, seed: 3 };
    let none = Jitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, greyscale: 0.0, seed: 4 };
    vec![
        all,
        Jitter { brightness: 0.8, ..none },
        Jitter { contrast: 0.8, ..none },
        Jitter { saturation: 1.5, ..none },
        Jitter { hue: 0.5, ..none },
        Jitter { greyscale: 0.5, ..none },
        Jitter { contrast: 0.0, seed: 0x1234_5678_9abc_def0, ..all },
        Jitter { brightness: 1.5, contrast: 2.0, saturation: 2.0, hue: 0.5, greyscale: 0.0, seed: 5 },
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Factors cover their ranges evenly, all 24 orders come about equally often, and a fifth is grey.
    #[test]
    fn plans_cover_their_ranges() {
        let jitter = Jitter { contrast: 1.5, saturation: 0.1, hue: 0.25, ..some_jitters()[0] };
        let plans: Vec<Plan> = (0..24_000).map(|i| jitter.plan(i, 7)).collect();
        let n = plans.len() as f64;
        let ranges = [
            (Adjustment::Brightness, 0.6, 1.4),
            (Adjustment::Contrast, 0.0, 2.5),
            (Adjustment::Saturation, 0.9, 1.1),
            (Adjustment::Hue, -0.25, 0.25),
        ];
        for (wanted, low, high) in ranges {
            let amount = |p: &Plan| p.adjustments.iter().find(|a| a.0 == wanted).expect("each stands once").1;
            let places: Vec<f64> = plans.iter().map(|p| (amount(p) - low) / (high - low)).collect();
            assert!(places.iter().all(|v| (-1e-6..=1.0 + 1e-6).contains(v)), "{wanted:?} leaves its range");
            for tenth in 0..10 {
                let share = places.iter().filter(|v| (**v * 10.0) as i64 == tenth).count() as f64 / n;
                assert!((share - 0.1).abs() < 0.01, "{wanted:?}: tenth {tenth} has {share}");
            }
        }
        let mut orders: HashMap<String, usize> = HashMap::new();
        for plan in &plans {
            *orders.entry(format!("{:?}", plan.adjustments.map(|a| a.0))).or_default() += 1;
        }
        assert_eq!(orders.len(), 24);
        // 1000 are expected of each; 31 is their standard deviation.
        assert!(orders.values().all(|c| (860..1140).contains(c)), "{orders:?}");
        let grey = plans.iter().filter(|p| p.greyscale).count() as f64 / n;
        assert!((grey - 0.2).abs() < 0.01, "{grey} are grey");
        assert_ne!(plans[..50], (0..50).map(|i| jitter.plan(i, 8)).collect::<Vec<_>>()[..]);
    }

    #[test]
    fn grey_images_change_in_brightness_and_contrast_alone() {
        let [all, .., last] = &some_jitters()[..] else { panic!("jitters") };
        assert!(all.changes(1) && !Jitter { brightness: 0.0, contrast: 0.0, ..*last }.changes(1));
        let mut image = vec![0.2, 0.9, 0.4];
        adjust(&mut image, 1, Adjustment::Saturation, 0.0);
        adjust(&mut image, 1, Adjustment::Hue, 0.3);
        assert_eq!(image, [0.2, 0.9, 0.4]);
        adjust(&mut image, 1, Adjustment::Contrast, 0.0);
        assert!(image.iter().all(|v| (v - 0.5).abs() < 1e-12));
    }
}
