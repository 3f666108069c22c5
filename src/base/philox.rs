//! Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a random number is a
//! function of a key and a counter, so it depends on neither batch size nor order of work.
//! `shaders/shared/philox.wgsl` gives the same bits on the device.

/// What a random number is for; part of the key, so that streams never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Stream {
    /// Initial weights.
    Initialise = 1,
    /// Order of the samples.
    Shuffle = 2,
    /// Crop and flip.
    Augment = 3,
    /// Dropout masks.
    Dropout = 4,
    /// Train/validation split.
    Split = 5,
    /// Values made for tests and benches.
    Test = 6,
    /// Initial labels, and the order of the images when labels are made.
    Labels = 7,
    /// Sizes of clusters.
    Marginals = 12,
    /// Order of the samples of meta steps.
    MetaShuffle = 13,
    /// Starts of k-means.
    Clusters = 14,
}

/// Ten rounds of Philox4x32.
pub fn philox4x32(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let a = u64::from(counter[0]) * 0xD251_1F53;
        let b = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(b >> 32) as u32 ^ counter[1] ^ key[0], b as u32, (a >> 32) as u32 ^ counter[3] ^ key[1], a as u32];
    }
    counter
}

/// The key of a stream under a seed: the seed's low word, and its high word mixed with the stream's number.
pub fn key(seed: u64, stream: Stream) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32 ^ (stream as u32).wrapping_mul(0x9E37_79B9)]
}

/// A word as a float in [0, 1): its upper 24 bits.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A word as an integer in [0, n), by multiplication (bias below n / 2³²).
pub fn below(word: u32, n: u32) -> u32 {
    ((u64::from(word) * u64::from(n)) >> 32) as u32
}

/// A sequence of numbers on the host: one stream, one sub-sequence, a running counter.
#[derive(Clone, Debug)]
pub struct Sequence {
    key: [u32; 2],
    index: [u32; 2],
    drawn: u64,
    words: [u32; 4],
}

impl Sequence {
    /// The sub-sequence `index` (an epoch, a parameter's number) of `stream` under `seed`.
    pub fn new(seed: u64, stream: Stream, index: u64) -> Self {
        Self { key: key(seed, stream), index: [index as u32, (index >> 32) as u32], drawn: 0, words: [0; 4] }
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        let lane = (self.drawn % 4) as usize;
        if lane == 0 {
            let block = self.drawn / 4;
            self.words = philox4x32([block as u32, (block >> 32) as u32, self.index[0], self.index[1]], self.key);
        }
        self.drawn += 1;
        self.words[lane]
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f32 {
        unit(self.word())
    }

    /// Uniform integer in [0, n); `n` at least 1.
    pub fn below(&mut self, n: u32) -> u32 {
        below(self.word(), n)
    }

    /// Standard normal (Box–Muller, float64 inside).
    pub fn normal(&mut self) -> f32 {
        let u = 1.0 - f64::from(self.unit());
        let v = f64::from(self.unit());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// Fisher–Yates.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known-answer vectors of the Random123 distribution.
    #[test]
    fn known_answers() {
        assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normal_has_unit_variance() {
        let mut s = Sequence::new(3, Stream::Test, 0);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..20_000 {
            let x = f64::from(s.normal());
            sum += x;
            squares += x * x;
        }
        assert!((sum / 2e4).abs() < 0.03 && (squares / 2e4 - 1.0).abs() < 0.05, "{sum} {squares}");
    }
}
