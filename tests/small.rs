//! Small data sets and configs that tests make for themselves, and the program run on them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use relabel::base::philox::{Sequence, Stream};
use relabel::session;
use relabel::train::config::Config;
use zip::CompressionMethod;

/// The bytes of an `.npy`; `dtype` such as `|u1`, `shape` such as `(3, 4)`.
pub fn npy(dtype: &str, shape: &str, body: &[u8]) -> Vec<u8> {
    let mut dictionary = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    while !(dictionary.len() + 11).is_multiple_of(64) {
        dictionary.push(' ');
    }
    dictionary.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((dictionary.len() as u16).to_le_bytes());
    out.extend(dictionary.as_bytes());
    out.extend(body);
    out
}

/// Writes an archive of the given arrays.
pub fn npz(path: &Path, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Pictures whose class is the colour of their bright upper half, so that class and rotation can both be learned.
#[derive(Clone, Copy, Debug)]
pub struct Pictures {
    /// Training images.
    pub train: usize,
    /// Test images; 0 leaves the split out.
    pub test: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// 1 or 3.
    pub channels: usize,
    /// At most 3 with colours that differ; grey classes differ in brightness.
    pub classes: usize,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { train: 60, test: 29, size: [8, 8], channels: 3, classes: 3 }
    }
}

impl Pictures {
    /// Label `i mod classes`, pixels `[H, W, C]` with noise of its own.
    pub fn image(&self, i: usize) -> (u8, Vec<u8>) {
        let label = i % self.classes;
        let mut noise = Sequence::new(11, Stream::Test, i as u64);
        let [height, width] = self.size;
        let mut pixels = Vec::with_capacity(height * width * self.channels);
        for y in 0..height {
            for _ in 0..width {
                for c in 0..self.channels {
                    let bright = 2 * y < height && (self.channels == 1 || c == label % 3);
                    let level = if !bright {
                        40
                    } else if self.channels == 1 {
                        100 + 150 * label / self.classes
                    } else {
                        190
                    };
                    pixels.push((level as u32 + noise.below(50)) as u8);
                }
            }
        }
        (label as u8, pixels)
    }

    fn arrays(&self, first: usize, count: usize) -> [Vec<u8>; 2] {
        let (labels, pixels): (Vec<u8>, Vec<Vec<u8>>) = (first..first + count).map(|i| self.image(i)).unzip();
        let shape = format!("({count}, {}, {}, {})", self.size[0], self.size[1], self.channels);
        [npy("|u1", &shape, &pixels.concat()), npy("|u1", &format!("({count},)"), &labels)]
    }

    /// Writes an `.npz` and returns its path.
    pub fn npz(&self, dir: &Path, name: &str) -> PathBuf {
        let [images, labels] = self.arrays(0, self.train);
        let mut arrays = vec![("images", images), ("labels", labels)];
        if self.test > 0 {
            let [images, labels] = self.arrays(self.train, self.test);
            arrays.extend([("test_images", images), ("test_labels", labels)]);
        }
        let path = dir.join(name);
        npz(&path, CompressionMethod::Stored, &arrays);
        path
    }

    /// Writes image `i` as a PNG.
    pub fn png(&self, i: usize, path: &Path) {
        let colour = if self.channels == 1 { image::ColorType::L8 } else { image::ColorType::Rgb8 };
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::save_buffer(path, &self.image(i).1, self.size[1] as u32, self.size[0] as u32, colour).unwrap();
    }

    /// Writes `train` training images as class folders `a`, `b`, ... below `dir`.
    pub fn folder(&self, dir: &Path) {
        for i in 0..self.train {
            let class = char::from(b'a' + self.image(i).0);
            self.png(i, &dir.join(class.to_string()).join(format!("{i:03}.png")));
        }
    }
}

/// CIFAR-100's superclasses, in the order of their numbers.
pub const SUPERCLASSES: &str = "aquatic_mammals fish flowers food_containers fruit_and_vegetables \
    household_electrical_devices household_furniture insects large_carnivores large_man-made_outdoor_things \
    large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles \
    small_mammals trees vehicles_1 vehicles_2";

/// Writes a miniature of CIFAR-100: image `i` of 100 in each split is of fine class `3i mod 100`, which is in superclass
/// `7·fine mod 20`, and has one grey.
pub fn cifar100(dir: &Path) {
    let image = |fine: usize| [&[(fine * 7 % 20) as u8, fine as u8][..], &[(2 * fine) as u8; 3072]].concat();
    let bytes: Vec<u8> = (0..100).flat_map(|i| image(i * 3 % 100)).collect();
    for name in ["train.bin", "test.bin"] {
        fs::write(dir.join(name), &bytes).unwrap();
    }
    fs::write(dir.join("coarse_label_names.txt"), SUPERCLASSES.replace(' ', "\n")).unwrap();
}

/// A run of a few steps on `data`, with momentum, a drop of the rate, evaluations, and reports that do not fall on
/// the evaluations.
pub fn config_text(data: &Path) -> String {
    format!(
        r#"
method = "sla"
seed = 7
[data]
path = {:?}
mean = "auto"
std = "auto"
[augment]
crop_padding = 1
flip = true
[model]
name = "convnet"
widths = [4, 8]
strides = [1, 2]
[train]
batch = 12
steps = 12
sampler = "epochs"
[optimizer]
lr = 0.05
nesterov = true
[schedule]
milestones = [0.5]
[evaluate]
every = 4
[checkpoint]
every = 0
keep = 0
[log]
every = 3
"#,
        data.to_str().unwrap()
    )
}

/// That config with overrides.
pub fn config(data: &Path, overrides: &[&str]) -> Config {
    parsed(&config_text(data), overrides).unwrap()
}

/// A config's text with overrides.
pub fn parsed(text: &str, overrides: &[&str]) -> relabel::base::Result<Config> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    session::config(text, "the test's config", &overrides)
}

/// The program with the forms of kernels that it has without measuring; no variable of the caller's changes what it does
/// but the choice of the adapter.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relabel"));
    if let Ok(adapter) = std::env::var("RELABEL_TEST_ADAPTER")
        && !arguments.contains(&"--adapter")
    {
        command.args(["--adapter", &adapter]);
    }
    if !arguments.contains(&"--variants") {
        command.args(["--variants", "default"]);
    }
    // What became of the trial of this adapter's forms is kept beside what was built, not in the user's folder.
    command.args(arguments).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// What a process said.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs what must succeed; its standard output.
#[track_caller]
pub fn done(arguments: &[&str]) -> String {
    let output = program(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Checks an answer that must be one error with `code` and all of `parts`; returns its text.
#[track_caller]
pub fn is_refusal(output: &Output, code: i32, parts: &[&str]) -> String {
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    assert_eq!(errors.matches("error: ").count(), 1, "{errors}");
    for part in parts {
        assert!(errors.contains(part), "no {part:?} in {errors:?}");
    }
    errors
}

/// Runs what must fail.
#[track_caller]
pub fn refused(arguments: &[&str], code: i32, parts: &[&str]) -> String {
    is_refusal(&program(arguments).output().unwrap(), code, parts)
}
