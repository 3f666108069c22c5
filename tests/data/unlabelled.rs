//! Folders of images without labels.

use image::{ImageFormat, Rgb, RgbImage};
use relabel::base::Error;
use relabel::data::{Format, LoadOptions, Split, UNLABELLED, detect, has_split, load, load_both};
use std::io::Cursor;
use std::path::Path;
use tempfile::tempdir;

use super::{refused, train, write};

fn picture(dir: &Path, name: &str, value: u8) {
    let mut out = Cursor::new(Vec::new());
    RgbImage::from_pixel(4, 4, Rgb([value, 0, 0])).write_to(&mut out, ImageFormat::Png).unwrap();
    write(dir, name, out.get_ref());
}

fn unlabelled() -> LoadOptions {
    LoadOptions { unlabelled: true, ..Default::default() }
}

#[test]
fn images_alone_are_one_class() {
    let dir = tempdir().unwrap();
    picture(dir.path(), "b.png", 2);
    picture(dir.path(), "a.png", 1);
    write(dir.path(), "notes.txt", b"no image");
    write(dir.path(), "empty/readme", b"no image");
    assert_eq!(detect(dir.path()).unwrap(), Format::Folder);
    let set = train(dir.path()).unwrap();
    assert_eq!(
        (set.classes.as_slice(), set.labels.as_slice()),
        ([UNLABELLED.to_owned()].as_slice(), [0, 0].as_slice())
    );
    assert_eq!((set.files.as_slice(), set.ignored), (["a.png".to_owned(), "b.png".to_owned()].as_slice(), 2));
    assert!(set.is_unlabelled() && set.image(1)[0] == 2);
    assert!(!has_split(dir.path(), Split::Test, &LoadOptions::default()).unwrap());
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["no test images"]);
    let classes = LoadOptions { classes: Some(3), ..Default::default() };
    refused(load(dir.path(), Split::Train, &classes), &["without labels", "set to 3", "data.labels_file"]);
}

#[test]
fn class_folders_give_labels_unless_they_shall_not() {
    let dir = tempdir().unwrap();
    picture(dir.path(), "top.png", 9);
    picture(dir.path(), "cat/1.png", 1);
    picture(dir.path(), "dog/deep/2.png", 2);
    picture(dir.path(), ".previews/3.png", 3);
    let labelled = train(dir.path()).unwrap();
    assert_eq!((labelled.classes.len(), labelled.count(), labelled.ignored), (2, 2, 1));
    let set = load(dir.path(), Split::Train, &unlabelled()).unwrap();
    assert_eq!(set.files, ["cat/1.png", "dog/deep/2.png", "top.png"]);
    assert_eq!((set.classes.len(), set.image(2)[0]), (1, 9));
}

#[test]
fn splits_of_unlabelled_images() {
    let dir = tempdir().unwrap();
    for (i, name) in ["train/x/1.png", "train/2.png", "val/3.png", "other/4.png"].into_iter().enumerate() {
        picture(dir.path(), name, i as u8);
    }
    let (set, test) = load_both(dir.path(), &unlabelled()).unwrap();
    assert_eq!(set.files, ["train/2.png", "train/x/1.png"]);
    assert_eq!(test.unwrap().files, ["val/3.png"]);
    // Without training images of its own, a folder is one whole.
    std::fs::remove_dir_all(dir.path().join("train")).unwrap();
    let (set, test) = load_both(dir.path(), &unlabelled()).unwrap();
    assert_eq!((set.files.as_slice(), test), (["other/4.png".to_owned(), "val/3.png".to_owned()].as_slice(), None));
}

#[test]
fn other_formats_have_labels() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train.bin", &[0; 3073 * 2]);
    let options = LoadOptions { format: Some(Format::Cifar10), ..unlabelled() };
    let error = load(dir.path(), Split::Train, &options).unwrap_err();
    assert!(matches!(error, Error::Config(_)) && error.to_string().contains("cifar10"), "{error}");
}

#[test]
fn a_folder_without_images_is_refused() {
    let dir = tempdir().unwrap();
    write(dir.path(), "deep/notes.txt", b"no image");
    refused(train(dir.path()), &["no data set that is known", ".png"]);
    let options = LoadOptions { format: Some(Format::Folder), ..unlabelled() };
    refused(load(dir.path(), Split::Train, &options), &["holds no image", ".webp", "1 other files"]);
}
