//! A validation part cut from the training set: by seed, or by a file of indices.

use std::collections::HashSet;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::file;
use super::npy;
use super::set::ImageSet;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};

/// Which training images are kept aside for validation.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Validation {
    /// None.
    #[default]
    None,
    /// This part of the images, above 0 and below 1, rounded to a whole number, chosen by seed.
    Fraction(f64),
    /// This many images, chosen by seed.
    Count(usize),
    /// The images whose indices (from 0) stand in a file: a one-dimensional integer `.npy`, or text with one index on
    /// a line.
    IndexFile(PathBuf),
}

/// Indices into a training set, cut in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// What remains for training, ascending.
    pub train: Vec<u32>,
    /// What validation uses: ascending when chosen by seed, else in the order of the file.
    pub validation: Vec<u32>,
}

/// Cuts `count` images in two. The choice by seed depends on `seed` and `count` alone.
///
/// # Errors
/// [`Error::Config`] for a part that leaves either side empty; [`Error::Data`] for an index file that cannot be read,
/// or that has an index out of range or twice.
pub fn partition(validation: &Validation, count: usize, seed: u64) -> Result<Partition> {
    let chosen = match validation {
        Validation::None => return Ok(Partition { train: (0..count as u32).collect(), validation: Vec::new() }),
        Validation::Fraction(part) => {
            if !(*part > 0.0 && *part < 1.0) {
                return Err(Error::Config(format!("validation = {part}: a fraction must be above 0 and below 1")));
            }
            by_seed((part * count as f64).round() as usize, count, seed, &format!("{part} of the images"))?
        }
        Validation::Count(images) => by_seed(*images, count, seed, &format!("{images} images"))?,
        Validation::IndexFile(path) => check_indices(path, &read_indices(path)?, count)?,
    };
    let mut is_chosen = vec![false; count];
    for &i in &chosen {
        is_chosen[i as usize] = true;
    }
    let train = (0..count as u32).filter(|&i| !is_chosen[i as usize]).collect();
    Ok(Partition { train, validation: chosen })
}

/// Cuts a training set into training and validation sets (`None` for [`Validation::None`]).
///
/// # Errors
/// As [`partition`]; also [`Error::Data`] when no image of some class is left for training.
pub fn split(set: ImageSet, validation: &Validation, seed: u64) -> Result<(ImageSet, Option<ImageSet>)> {
    if *validation == Validation::None {
        return Ok((set, None));
    }
    let parts = partition(validation, set.count(), seed)?;
    let mut train = set.subset(&parts.train);
    let (before, after) = (set.class_counts(), train.class_counts());
    if let Some(class) = (0..before.len()).find(|&c| before[c] > 0 && after[c] == 0) {
        return Err(Error::Data(format!(
            "{}: validation takes all {} images of class {class} ({:?}) and leaves none for training; take a smaller \
             part or another seed",
            set.name, before[class], set.classes[class],
        )));
    }
    let held = set.subset(&parts.validation);
    (train.skipped, train.ignored) = (set.skipped, set.ignored);
    Ok((train, Some(held)))
}

fn by_seed(images: usize, count: usize, seed: u64, setting: &str) -> Result<Vec<u32>> {
    if images == 0 || images >= count {
        return Err(Error::Config(format!(
            "validation = {setting} takes {images} of {count} images; both training and validation need at least one",
        )));
    }
    let mut order: Vec<u32> = (0..count as u32).collect();
    Sequence::new(seed, Stream::Split, 0).shuffle(&mut order);
    order.truncate(images);
    order.sort_unstable();
    Ok(order)
}

/// The most bytes in a text file of indices.
const TEXT_LIMIT: u64 = 1 << 30;

fn read_indices(path: &Path) -> Result<Vec<i128>> {
    let what = path.display().to_string();
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("npy")) {
        let mut reader = BufReader::new(File::open(path).map_err(|e| Error::io("cannot open", path, e))?);
        let header = npy::read_header(&mut reader, &what)?;
        if header.shape.len() != 1 {
            return Err(Error::Data(format!(
                "{what}: indices have shape {}, and one dimension is needed",
                header.shape_text(),
            )));
        }
        return header.read_integers(&mut reader, &what);
    }
    let bytes = file::read_all(path, TEXT_LIMIT)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim())).filter(|(_, line)| !line.is_empty());
    lines
        .map(|(number, line)| {
            line.parse().map_err(|_| {
                let start: String = line.chars().take(40).collect();
                Error::Data(format!("{what}: line {number} is {start:?}, and one index on a line is needed"))
            })
        })
        .collect()
}

fn check_indices(path: &Path, indices: &[i128], count: usize) -> Result<Vec<u32>> {
    let what = path.display();
    if indices.is_empty() || indices.len() >= count {
        return Err(Error::Data(format!(
            "{what} has {} indices for {count} images; both training and validation need at least one image",
            indices.len(),
        )));
    }
    let mut seen = HashSet::with_capacity(indices.len());
    let mut out = Vec::with_capacity(indices.len());
    for (entry, &index) in indices.iter().enumerate() {
        let valid = u32::try_from(index).ok().filter(|&i| (i as usize) < count);
        let Some(valid) = valid else {
            return Err(Error::Data(format!(
                "{what}: entry {entry} is {index}, and the {count} images have indices 0 to {}",
                count - 1,
            )));
        };
        if !seen.insert(valid) {
            return Err(Error::Data(format!("{what}: index {index} stands there twice (again at entry {entry})")));
        }
        out.push(valid);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::set::tests::small;
    use super::*;

    fn checked(parts: &Partition, count: usize) {
        let mut all: Vec<u32> = parts.train.iter().chain(&parts.validation).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..count as u32).collect::<Vec<_>>());
        assert!(parts.train.is_sorted());
    }

    #[test]
    fn by_seed_is_a_partition_that_the_seed_decides() {
        let tenth = partition(&Validation::Fraction(0.1), 1000, 7).unwrap();
        checked(&tenth, 1000);
        assert_eq!(tenth.validation.len(), 100);
        assert_eq!(tenth, partition(&Validation::Count(100), 1000, 7).unwrap());
        assert_ne!(tenth, partition(&Validation::Fraction(0.1), 1000, 8).unwrap());
        // Spread over the whole set: a tenth of it in each half, within 5 standard deviations (4.7).
        let low = tenth.validation.iter().filter(|&&i| i < 500).count();
        assert!((26..=74).contains(&low), "{low}");
    }

    #[test]
    fn impossible_parts_are_refused_with_numbers() {
        for (validation, text) in [
            (Validation::Fraction(0.01), "0 of 10"),
            (Validation::Fraction(0.99), "10 of 10"),
            (Validation::Fraction(1.5), "1.5"),
            (Validation::Fraction(f64::NAN), "NaN"),
            (Validation::Count(10), "10 of 10"),
            (Validation::Count(0), "0 of 10"),
        ] {
            let error = partition(&validation, 10, 0).unwrap_err();
            assert!(matches!(error, Error::Config(_)) && error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn index_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            partition(&Validation::IndexFile(path), 6, 0)
        };
        let text = write("a.txt", b"4\n 1 \n\n0\n").unwrap();
        assert_eq!((text.validation.as_slice(), text.train.as_slice()), ([4, 1, 0].as_slice(), [2, 3, 5].as_slice()));
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }";
        let body: Vec<u8> = [4i64, 1, 0].iter().flat_map(|i| i.to_le_bytes()).collect();
        assert_eq!(write("a.npy", &npy::tests::npy(1, header, &body)).unwrap(), text);
        for (name, bytes, parts) in [
            ("range.txt", b"1\n6\n".as_slice(), ["entry 1 is 6", "0 to 5"]),
            ("minus.txt", b"-1\n", ["entry 0 is -1", "0 to 5"]),
            ("twice.txt", b"3\n2\n3\n", ["index 3", "entry 2"]),
            ("word.txt", b"3\nfour\n", ["line 2", "four"]),
            ("none.txt", b"\n", ["0 indices", "6 images"]),
            ("all.txt", b"0\n1\n2\n3\n4\n5", ["6 indices", "6 images"]),
        ] {
            let error = write(name, bytes).unwrap_err().to_string();
            assert!(error.contains(name) && parts.iter().all(|p| error.contains(p)), "{error}");
        }
        let missing = partition(&Validation::IndexFile(dir.path().join("gone.npy")), 6, 0).unwrap_err();
        assert!(missing.to_string().contains("gone.npy"), "{missing}");
    }

    #[test]
    fn a_class_without_training_images_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all_of_class_1.txt");
        std::fs::write(&path, "1\n4\n").unwrap();
        let error = split(small(6, 1, 3), &Validation::IndexFile(path), 0).unwrap_err().to_string();
        assert!(error.contains("all 2 images of class 1"), "{error}");
    }

    #[test]
    fn split_moves_the_images() {
        let set = small(40, 3, 2);
        let (train, held) = split(set.clone(), &Validation::Count(10), 3).unwrap();
        let held = held.unwrap();
        let parts = partition(&Validation::Count(10), 40, 3).unwrap();
        assert_eq!((train.count(), held.count()), (30, 10));
        assert_eq!(held.image(2), set.image(parts.validation[2] as usize));
        assert_eq!(train.labels[5], set.labels[parts.train[5] as usize]);
    }
}
