//! NumPy archives.

use std::path::{Path, PathBuf};

use relabel::data::{Format, LoadOptions, Split, detect, has_split, load, load_both};
use tempfile::{TempDir, tempdir};
use zip::CompressionMethod::{self, Deflated, Stored};

use super::{refused, train};
use crate::small::{self, npy};

/// An archive of the given arrays.
fn npz(dir: &TempDir, method: CompressionMethod, arrays: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = dir.path().join("set.npz");
    small::npz(&path, method, arrays);
    path
}

fn pixels(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i % 251) as u8).collect()
}

fn little(labels: &[i64]) -> Vec<u8> {
    labels.iter().flat_map(|l| l.to_le_bytes()).collect()
}

#[test]
fn stored_and_deflated_with_a_test_split() {
    let dir = tempdir().unwrap();
    for method in [Stored, Deflated] {
        let path = npz(
            &dir,
            method,
            &[
                ("images", npy("|u1", "(3, 4, 2, 3)", &pixels(72))),
                ("labels", npy("<i8", "(3,)", &little(&[1, 0, 1]))),
                ("test_images", npy("|u1", "(2, 4, 2, 3)", &pixels(48))),
                ("test_labels", npy(">u2", "(2, 1)", &[0, 1, 0, 0])),
                ("something_else", npy("<f4", "(1,)", &[0; 4])),
            ],
        );
        assert_eq!(detect(&path).unwrap(), Format::Npz);
        let (set, test) = load_both(&path, &LoadOptions::default()).unwrap();
        assert_eq!((set.count(), set.height, set.width, set.channels), (3, 4, 2, 3));
        assert_eq!((set.pixels, set.labels), (pixels(72), vec![1, 0, 1]));
        let test = test.unwrap();
        assert_eq!((test.pixels, test.labels), (pixels(48), vec![1, 0]));
    }
}

#[test]
fn grey_images_of_three_dimensions() {
    let dir = tempdir().unwrap();
    let arrays = [("images", npy("|u1", "(2, 5, 3)", &pixels(30))), ("labels", npy("|u1", "(2,)", &[0, 1]))];
    let path = npz(&dir, Deflated, &arrays);
    let set = train(&path).unwrap();
    assert_eq!((set.count(), set.height, set.width, set.channels), (2, 5, 3, 1));
    assert!(!has_split(&path, Split::Test, &LoadOptions::default()).unwrap());
    refused(load(&path, Split::Test, &LoadOptions::default()), &["set.npz", "test_images", "found images, labels"]);
}

#[test]
fn arrays_that_do_not_fit() {
    let images = || npy("|u1", "(2, 2, 2)", &pixels(8));
    let labels = || npy("<i8", "(2,)", &little(&[0, 1]));
    let cases: [(Vec<u8>, Vec<u8>, &[&str]); 10] = [
        (npy("<f4", "(2, 2, 2)", &[0; 32]), labels(), &["images", "<f4", "uint8"]),
        (npy("|u1", "(2, 4)", &pixels(8)), labels(), &["images", "(2, 4)", "[N, H, W, C]"]),
        (npy("|u1", "(2, 3, 2, 2)", &pixels(24)), labels(), &["(2, 3, 2, 2)", "channels must come last"]),
        (npy("|u1", "(2, 2, 2)", &pixels(7)), labels(), &["images", "truncated"]),
        (npy("|u1", "(2, 2, 2)", &pixels(9)), labels(), &["images", "too many"]),
        (images(), npy("<f8", "(2,)", &[0; 16]), &["labels", "<f8", "integers"]),
        (images(), npy("<i8", "(1, 2)", &[0; 16]), &["labels", "(1, 2)", "[N]"]),
        (images(), npy("<i8", "(3,)", &little(&[0, 1, 1])), &["2 images", "3 labels"]),
        (images(), npy("<i8", "(2,)", &little(&[0, -1])), &["labels", "record 1", "label -1"]),
        (images(), npy("<i8", "(2,)", &little(&[0, 4_000_000_000])), &["label is 4000000000", "damaged"]),
    ];
    for (images, labels, parts) in cases {
        let dir = tempdir().unwrap();
        refused(train(&npz(&dir, Deflated, &[("images", images), ("labels", labels)])), parts);
    }
}

#[test]
fn missing_arrays_and_broken_archives() {
    let dir = tempdir().unwrap();
    let images = || npy("|u1", "(2, 2, 2)", &pixels(8));
    refused(train(&npz(&dir, Stored, &[("images", images())])), &["set.npz", "labels"]);
    refused(train(&npz(&dir, Stored, &[("pictures", images())])), &["looked for images", "found pictures"]);
    let labels = npy("<i8", "(2,)", &little(&[0, 1]));
    let path = npz(&dir, Stored, &[("images", images()), ("labels", labels)]);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    refused(train(&path), &["set.npz", "zip"]);
    // One pixel changed behind the archive's back: the checksum tells.
    let at = bytes.windows(8).position(|w| w == pixels(8)).unwrap();
    let mut changed = bytes;
    changed[at] ^= 1;
    std::fs::write(&path, changed).unwrap();
    refused(train(&path), &["set.npz", "images", "damaged"]);
    refused(train(Path::new("/nowhere/set.npz")), &["/nowhere/set.npz", "does not exist"]);
}

#[test]
fn a_test_split_without_the_last_class_is_noticed() {
    let dir = tempdir().unwrap();
    let path = npz(
        &dir,
        Stored,
        &[
            ("x_train", npy("|u1", "(3, 2, 2)", &pixels(12))),
            ("y_train", npy("|i1", "(3,)", &[0, 1, 2])),
            ("x_test", npy("|u1", "(2, 2, 2)", &pixels(8))),
            ("y_test", npy("|i1", "(2,)", &[0, 1])),
        ],
    );
    refused(load(&path, Split::Test, &LoadOptions::default()), &["1 of 3 classes", "2 (\"2\")"]);
    let options = LoadOptions { allow_empty_classes: true, ..Default::default() };
    assert_eq!(load(&path, Split::Test, &options).unwrap().class_counts(), [1, 1, 0]);
}

#[test]
fn classes_by_option() {
    let dir = tempdir().unwrap();
    let arrays = [("images", npy("|u1", "(2, 2, 2)", &pixels(8))), ("labels", npy("|i1", "(2,)", &[0, 2]))];
    let path = npz(&dir, Stored, &arrays);
    refused(train(&path), &["1 of 3 classes"]);
    let with = |classes, allow_empty_classes| LoadOptions {
        classes: Some(classes),
        allow_empty_classes,
        ..Default::default()
    };
    refused(load(&path, Split::Train, &with(2, true)), &["set.npz", "record 1", "label 2", "2 classes"]);
    assert_eq!(load(&path, Split::Train, &with(5, true)).unwrap().class_counts(), [1, 0, 1, 0, 0]);
}
