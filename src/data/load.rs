//! One entry point for all formats: what lies at a path, and loading it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::cifar100::Labels;
use super::finer::OWN;
use super::groups::Groups;
use super::set::ImageSet;
use super::{cifar, idx, image_folder, npz};
use crate::base::{Error, Result};

/// How a data set is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CIFAR-10 binary: records of 3073 bytes.
    Cifar10,
    /// CIFAR-100 binary: records of 3074 bytes.
    Cifar100,
    /// IDX, plain or gzip: the MNIST family.
    Idx,
    /// A folder of class folders with PNG, JPEG and WebP files, or of such files alone.
    Folder,
    /// A NumPy archive.
    Npz,
}

impl Format {
    /// Every format, with its name in configs.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Cifar10, "cifar10"),
        (Self::Cifar100, "cifar100"),
        (Self::Idx, "idx"),
        (Self::Folder, "folder"),
        (Self::Npz, "npz"),
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(format, _)| format == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(format, _)| *format).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(_, name)| *name).collect();
            Error::Config(format!("`{text}` is not a data format; the formats are {}", names.join(", ")))
        })
    }
}

/// Which part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// What is learned from; a validation part is cut from it (see [`super::split()`]).
    Train,
    /// What the final accuracy is measured on.
    Test,
}

impl Split {
    pub(super) fn other(self) -> Self {
        if self == Self::Train { Self::Test } else { Self::Train }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Train { "training" } else { "test" })
    }
}

/// How to load; the default asks nothing and refuses everything doubtful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The format, when [`detect`] should not decide.
    pub format: Option<Format>,
    /// Class folders: each image is cropped to its central part of this aspect and resized to (H, W), in pixels. `None`
    /// keeps the images' size, which must then be one and the same. Other formats: refuse any other size.
    pub size: Option<(usize, usize)>,
    /// Class folders: 1 or 3 channels. `None` takes 1 when every image is grey, else 3. Other formats: refuse any other
    /// number.
    pub channels: Option<usize>,
    /// Class folders: leave out images that cannot be decoded, and list them in [`ImageSet::skipped`].
    pub skip_bad: bool,
    /// CIFAR-100: which of its labels are the classes.
    pub labels: Labels,
    /// Groups of those classes to take for classes.
    pub groups: Groups,
    /// Number of classes, when neither the format nor a file of names says it and the largest label does not either.
    pub classes: Option<usize>,
    /// Accept classes without an image.
    pub allow_empty_classes: bool,
    /// Image folders: all images under the folder without labels, whatever their folders are called. A folder with
    /// images and without class folders is read so in any case.
    pub unlabelled: bool,
}

impl LoadOptions {
    /// The same options, with size and channels as in `set`: how a test set is loaded to fit its training set.
    #[must_use]
    pub fn like(&self, set: &ImageSet) -> Self {
        Self { size: Some((set.height, set.width)), channels: Some(set.channels), ..self.clone() }
    }

    fn check(&self) -> Result<()> {
        if let Some((height, width)) = self.size
            && !((1..=MOST_SIDE).contains(&height) && (1..=MOST_SIDE).contains(&width))
        {
            return Err(Error::Config(format!(
                "image size {height}x{width}: each side must be 1 to {MOST_SIDE} pixels"
            )));
        }
        if let Some(channels) = self.channels
            && channels != 1
            && channels != 3
        {
            return Err(Error::Config(format!("{channels} channels; images have 1 (grey) or 3 (colour)")));
        }
        if self.classes == Some(0) {
            return Err(Error::Config("`data.classes` is 0; it must be at least 1".into()));
        }
        Ok(())
    }
}

/// The largest side that images are resized to.
pub(super) const MOST_SIDE: usize = 8192;

/// Recognises the format of what lies at `path` by the names of its files (and, for `train.bin` and `test.bin`, by the
/// size of their records).
///
/// # Errors
/// [`Error::Data`] when nothing is there, or nothing that is known; the message lists what was looked for.
pub fn detect(path: &Path) -> Result<Format> {
    if !path.exists() {
        return Err(Error::Data(format!("{} does not exist", path.display())));
    }
    if path.is_file() {
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npz")) {
            return Ok(Format::Npz);
        }
        return Err(Error::Data(format!(
            "{} is a file, and not an .npz; the other formats are given by the folder that holds their files",
            path.display(),
        )));
    }
    if !path.is_dir() {
        return Err(Error::Data(format!("{} is neither a file nor a folder", path.display())));
    }
    if let Some(format) = cifar::detect(path)? {
        return Ok(format);
    }
    if idx::has(path, Split::Train) || idx::has(path, Split::Test) {
        return Ok(Format::Idx);
    }
    if image_folder::detect(path)? {
        return Ok(Format::Folder);
    }
    Err(Error::Data(format!(
        "{} holds no data set that is known; looked for CIFAR (data_batch_1.bin to data_batch_5.bin, test_batch.bin, \
         train.bin, test.bin, each also with .gz), IDX (train-images-idx3-ubyte, t10k-images-idx3-ubyte, \
         images-idx3-ubyte and their labels, each also with .gz), and .png, .jpg, .jpeg or .webp files, in it or in class \
         folders (also under train, test or val); an .npz is given by its own path",
        path.display(),
    )))
}

/// Whether the data set at `path` has the split at all (its files may still be damaged).
///
/// # Errors
/// As [`detect`].
pub fn has_split(path: &Path, split: Split, options: &LoadOptions) -> Result<bool> {
    match resolve_format(path, options)? {
        Format::Cifar10 | Format::Cifar100 => Ok(cifar::has(path, split)),
        Format::Idx => Ok(idx::has(path, split)),
        Format::Folder => image_folder::has(path, split, options),
        Format::Npz => npz::has(path, split),
    }
}

/// Loads a split of the data set at `path` into memory.
///
/// # Errors
/// [`Error::Data`] for data that is missing, truncated, too long, corrupt or inconsistent, for a label outside the
/// classes and for a class without an image (see [`LoadOptions::allow_empty_classes`]); [`Error::Config`] for options
/// out of range, labels that the format does not have and groups that do not fit the classes; [`Error::Io`] when the system fails to read. Messages name the file and the numbers.
pub fn load(path: &Path, split: Split, options: &LoadOptions) -> Result<ImageSet> {
    options.check()?;
    let format = resolve_format(path, options)?;
    if options.unlabelled && format != Format::Folder {
        return Err(Error::Config(format!(
            "{} is of the format {format}, whose images have labels; only image folders are read without \
             (`data.labelled = false`, `--unlabelled`)",
            path.display(),
        )));
    }
    if options.labels != Labels::Fine && format != Format::Cifar100 {
        return Err(Error::Config(format!(
            "data.labels = \"{}\": {} is of the format {format}; only CIFAR-100 has labels of several sizes \
             (`data.groups` makes coarser classes of any)",
            options.labels.name(),
            path.display(),
        )));
    }
    let set = match format {
        format @ (Format::Cifar10 | Format::Cifar100) => cifar::load(path, split, format, options)?,
        Format::Idx => idx::load(path, split, options)?,
        Format::Folder => image_folder::load(path, split, options)?,
        Format::Npz => npz::load(path, split, options)?,
    };
    let (size, channels) = (options.size.unwrap_or((set.height, set.width)), options.channels.unwrap_or(set.channels));
    if (size, channels) != ((set.height, set.width), set.channels) {
        return Err(Error::Data(format!(
            "{}: {split} images are {}x{}x{}, and {}x{}x{channels} is needed; only class folders are resized",
            path.display(),
            set.height,
            set.width,
            set.channels,
            size.0,
            size.1,
        )));
    }
    set.check_content(&format!("{} ({split} images)", path.display()), options.allow_empty_classes)?;
    options.groups.apply(set, if format == Format::Cifar100 { options.labels.name() } else { OWN })
}

/// Loads the training set, and the test set to fit it where there is one.
///
/// # Errors
/// As [`load`]; also [`Error::Data`] when the two differ in size, channels or classes.
pub fn load_both(path: &Path, options: &LoadOptions) -> Result<(ImageSet, Option<ImageSet>)> {
    let train = load(path, Split::Train, options)?;
    if !has_split(path, Split::Test, options)? {
        return Ok((train, None));
    }
    let test = load(path, Split::Test, &options.like(&train))?;
    if train.classes != test.classes {
        return Err(Error::Data(format!(
            "{}: the {} classes of the training images and the {} of the test images differ",
            path.display(),
            train.classes.len(),
            test.classes.len(),
        )));
    }
    Ok((train, Some(test)))
}

fn resolve_format(path: &Path, options: &LoadOptions) -> Result<Format> {
    let Some(format) = options.format else { return detect(path) };
    if !path.exists() {
        return Err(Error::Data(format!("{} does not exist", path.display())));
    }
    match (format, path.is_file()) {
        (Format::Npz, false) => Err(Error::Data(format!("{} is not a file, as an .npz must be", path.display()))),
        (Format::Npz, true) | (_, false) => Ok(format),
        (_, true) => Err(Error::Data(format!(
            "{} is a file; format {format} is given by the folder of its files",
            path.display()
        ))),
    }
}
