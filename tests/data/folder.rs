//! Folders of class folders, and single images for prediction.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use relabel::base::Error;
use relabel::data::{Format, LoadOptions, Split, detect, has_split, load, load_both, load_images};
use tempfile::tempdir;

use super::{refused, train, write};

fn encode(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn colour(width: u32, height: u32, rgb: [u8; 3]) -> DynamicImage {
    RgbImage::from_pixel(width, height, Rgb(rgb)).into()
}

fn grey(width: u32, height: u32, f: impl Fn(u32, u32) -> u8) -> DynamicImage {
    GrayImage::from_fn(width, height, |x, y| Luma([f(x, y)])).into()
}

fn png(image: &DynamicImage) -> Vec<u8> {
    encode(image, ImageFormat::Png)
}

/// Every image resized to a square.
fn square(side: usize) -> LoadOptions {
    LoadOptions { size: Some((side, side)), ..Default::default() }
}

#[test]
fn three_formats_sorted_classes_and_ignored_files() {
    let dir = tempdir().unwrap();
    write(dir.path(), "zebra/b.PNG", &png(&colour(8, 8, [10, 20, 30])));
    write(dir.path(), "zebra/a.webp", &encode(&colour(8, 8, [40, 50, 60]), ImageFormat::WebP));
    write(dir.path(), "ape/deep/c.jpg", &encode(&colour(8, 8, [200, 200, 200]), ImageFormat::Jpeg));
    // A JPEG under another name is read by its content.
    write(dir.path(), "ape/d.png", &encode(&colour(8, 8, [100, 100, 100]), ImageFormat::Jpeg));
    write(dir.path(), "ape/notes.txt", b"not an image");
    write(dir.path(), "README.md", b"not an image");
    assert_eq!(detect(dir.path()).unwrap(), Format::Folder);
    let set = train(dir.path()).unwrap();
    assert_eq!(set.classes, ["ape", "zebra"]);
    assert_eq!(set.files, ["ape/d.png", "ape/deep/c.jpg", "zebra/a.webp", "zebra/b.PNG"]);
    assert_eq!((set.labels.as_slice(), set.ignored, set.channels), ([0, 0, 1, 1].as_slice(), 2, 3));
    assert_eq!((set.height, set.width), (8, 8));
    assert_eq!(set.image(3), [10, 20, 30].repeat(64));
    assert_eq!(set.image(2), [40, 50, 60].repeat(64));
    assert!(set.image(1).iter().all(|&x| x.abs_diff(200) <= 2));
    assert!(set.image(0).iter().all(|&x| x.abs_diff(100) <= 2));
}

#[test]
fn grey_sets_have_one_channel() {
    let dir = tempdir().unwrap();
    write(dir.path(), "a/0.png", &png(&grey(4, 3, |x, y| (x * 10 + y) as u8)));
    write(dir.path(), "b/0.png", &png(&colour(4, 3, [9, 9, 9])));
    let set = train(dir.path()).unwrap();
    assert_eq!((set.height, set.width, set.channels), (3, 4, 1));
    assert_eq!(set.image(0), [0, 10, 20, 30, 1, 11, 21, 31, 2, 12, 22, 32]);
    let options = LoadOptions { channels: Some(3), ..Default::default() };
    assert_eq!(load(dir.path(), Split::Train, &options).unwrap().image(0)[..6], [0, 0, 0, 10, 10, 10]);
    write(dir.path(), "b/1.png", &png(&colour(4, 3, [9, 9, 10])));
    assert_eq!(train(dir.path()).unwrap().channels, 3);
    let options = LoadOptions { channels: Some(1), ..Default::default() };
    assert_eq!(load(dir.path(), Split::Train, &options).unwrap().image(1), [9; 12]);
}

#[test]
fn resized_and_centre_cropped() {
    let dir = tempdir().unwrap();
    // Black, white, black in thirds: the centre is the white square.
    write(dir.path(), "wide/0.png", &png(&grey(24, 8, |x, _| if (8..16).contains(&x) { 255 } else { 0 })));
    write(dir.path(), "tall/0.png", &png(&grey(8, 24, |_, y| if (8..16).contains(&y) { 255 } else { 0 })));
    // Columns of 2: reduced by 2, each pixel is the average of its neighbourhood and not one of the two.
    write(dir.path(), "small/0.png", &png(&grey(8, 8, |x, _| if x % 2 == 0 { 0 } else { 200 })));
    let set = load(dir.path(), Split::Train, &square(4)).unwrap();
    assert_eq!(set.classes, ["small", "tall", "wide"]);
    assert_eq!((set.image(1), set.image(2)), ([255; 16].as_slice(), [255; 16].as_slice()));
    assert!(set.image(0).chunks(4).all(|row| row[1..3].iter().all(|&x| x.abs_diff(100) <= 1)), "{:?}", set.image(0));
    refused(train(dir.path()), &["small/0.png is 8x8", "tall/0.png is 8x24", "size"]);
    // Enlarging, and an aspect that is not square.
    let options = LoadOptions { size: Some((6, 18)), ..Default::default() };
    let set = load(dir.path(), Split::Train, &options).unwrap();
    let row: Vec<u8> = set.image(2)[..18].to_vec();
    assert_eq!((row[2], row[9], row[15]), (0, 255, 0), "{row:?}");
}

#[test]
fn a_very_long_image_is_no_trouble() {
    let dir = tempdir().unwrap();
    write(dir.path(), "a/0.png", &png(&grey(20_000, 1, |_, _| 70)));
    let set = load(dir.path(), Split::Train, &square(512)).unwrap();
    assert!(set.pixels.iter().all(|&x| x == 70));
}

#[test]
fn levels_of_splits() {
    let dir = tempdir().unwrap();
    for class in ["a", "b"] {
        write(dir.path(), &format!("train/{class}/0.png"), &png(&colour(4, 4, [1, 2, 3])));
        // Grey and larger: the test set follows the training set.
        write(dir.path(), &format!("val/{class}/0.png"), &png(&grey(6, 6, |_, _| 5)));
    }
    assert_eq!(detect(dir.path()).unwrap(), Format::Folder);
    let (set, test) = load_both(dir.path(), &LoadOptions::default()).unwrap();
    let test = test.unwrap();
    assert_eq!((set.count(), set.files[1].as_str()), (2, "train/b/0.png"));
    assert_eq!((test.height, test.channels, test.labels.as_slice()), (4, 3, [0, 1].as_slice()));
    write(dir.path(), "val/c/0.png", &png(&colour(4, 4, [1, 2, 3])));
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["\"c\"", "2 classes", "training"]);

    // A class may be called `train`.
    let dir = tempdir().unwrap();
    for class in ["bus", "train"] {
        write(dir.path(), &format!("{class}/0.png"), &png(&colour(4, 4, [1, 2, 3])));
    }
    assert_eq!(train(dir.path()).unwrap().classes, ["bus", "train"]);
    assert!(!has_split(dir.path(), Split::Test, &LoadOptions::default()).unwrap());
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["no test images", "test and val"]);
}

#[test]
fn a_test_class_without_a_folder_is_noticed() {
    let dir = tempdir().unwrap();
    for name in ["train/a/0.png", "train/b/0.png", "test/b/0.png"] {
        write(dir.path(), name, &png(&colour(4, 4, [1, 2, 3])));
    }
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["1 of 2 classes", "0 (\"a\")"]);
    let options = LoadOptions { allow_empty_classes: true, ..Default::default() };
    assert_eq!(load(dir.path(), Split::Test, &options).unwrap().labels, [1]);
}

/// Noise: it does not compress, so half of a file is half of an image.
fn noise() -> DynamicImage {
    let mut state = 1u32;
    RgbImage::from_fn(64, 64, |_, _| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Rgb([(state >> 24) as u8, (state >> 16) as u8, (state >> 8) as u8])
    })
    .into()
}

#[test]
fn corrupt_images_are_named_or_skipped_and_counted() {
    for (format, ending) in [(ImageFormat::Png, "png"), (ImageFormat::Jpeg, "jpeg"), (ImageFormat::WebP, "webp")] {
        let dir = tempdir().unwrap();
        let good = encode(&noise(), format);
        for class in ["a", "b"] {
            write(dir.path(), &format!("{class}/good.{ending}"), &good);
        }
        write(dir.path(), &format!("b/half.{ending}"), &good[..good.len() / 2]);
        write(dir.path(), &format!("b/head.{ending}"), &good[..10]);
        write(dir.path(), &format!("b/junk.{ending}"), b"these are no pixels");
        write(dir.path(), &format!("b/none.{ending}"), b"");
        let half = format!("half.{ending}");
        refused(train(dir.path()), &[&half, "4 of 6 images", "--skip-bad"]);
        let options = LoadOptions { skip_bad: true, ..Default::default() };
        let set = load(dir.path(), Split::Train, &options).unwrap();
        assert_eq!((set.count(), set.labels.as_slice()), (2, [0, 1].as_slice()));
        let skipped: Vec<&str> = set.skipped.iter().map(|s| s.file.as_str()).collect();
        assert_eq!(skipped, ["half", "head", "junk", "none"].map(|n| format!("b/{n}.{ending}")));
        assert!(set.skipped.iter().all(|s| !s.reason.is_empty()));
        assert_eq!(set.image(0), set.image(1));
        // Skipping must not leave a class empty unnoticed.
        std::fs::remove_file(dir.path().join(format!("b/good.{ending}"))).unwrap();
        refused(load(dir.path(), Split::Train, &options), &["1 of 2 classes", "(\"b\")"]);
    }
}

#[test]
fn a_preview_inside_a_jpeg_does_not_hide_a_cut() {
    let dir = tempdir().unwrap();
    let (preview, outer) = (encode(&colour(8, 8, [1, 2, 3]), ImageFormat::Jpeg), encode(&noise(), ImageFormat::Jpeg));
    // An application segment that holds a whole JPEG, as cameras write it.
    let mut bytes = outer[..2].to_vec();
    bytes.extend([0xff, 0xe5]);
    bytes.extend((preview.len() as u16 + 2).to_be_bytes());
    bytes.extend(&preview);
    bytes.extend(&outer[2..]);
    write(dir.path(), "a/0.jpg", &bytes);
    assert_eq!(train(dir.path()).unwrap().height, 64);
    write(dir.path(), "a/0.jpg", &bytes[..bytes.len() - 200]);
    refused(train(dir.path()), &["a/0.jpg", "truncated", &format!("{} bytes", bytes.len() - 200)]);
}

#[test]
fn an_empty_class_folder_is_named() {
    let dir = tempdir().unwrap();
    write(dir.path(), "a/0.png", &png(&colour(4, 4, [1, 2, 3])));
    write(dir.path(), "hollow/readme.txt", b"");
    refused(train(dir.path()), &["hollow", "empty class", "1 other files"]);
    let options = LoadOptions { allow_empty_classes: true, ..Default::default() };
    assert_eq!(load(dir.path(), Split::Train, &options).unwrap().class_counts(), [1, 0]);
    let options = LoadOptions { classes: Some(3), ..Default::default() };
    refused(load(dir.path(), Split::Train, &options), &["2 class folders", "3"]);
}

#[test]
fn images_for_prediction() {
    let dir = tempdir().unwrap();
    write(dir.path(), "one.png", &png(&colour(10, 4, [7, 8, 9])));
    write(dir.path(), "more/b.png", &png(&grey(4, 4, |_, _| 3)));
    write(dir.path(), "more/a.png", &png(&grey(4, 4, |_, _| 2)));
    write(dir.path(), "more/x.txt", b"");
    let paths = |names: &[&str]| names.iter().map(|n| dir.path().join(n)).collect::<Vec<_>>();
    let images = load_images(&paths(&["one.png", "more"]), (2, 2), 3, false).unwrap();
    assert_eq!(images.files, paths(&["one.png", "more/a.png", "more/b.png"]));
    assert_eq!(images.pixels, [[7, 8, 9].repeat(4), vec![2; 12], vec![3; 12]].concat());
    assert_eq!((images.height, images.width, images.channels, images.ignored), (2, 2, 3, 1));
    assert_eq!(load_images(&paths(&["one.png"]), (4, 4), 1, false).unwrap().pixels, [8; 16]);

    refused(load_images(&paths(&["gone.png"]), (2, 2), 3, true), &["gone.png", "does not exist"]);
    write(dir.path(), "bad.png", b"no");
    refused(load_images(&paths(&["one.png", "bad.png"]), (2, 2), 3, false), &["bad.png", "1 of 2"]);
    let images = load_images(&paths(&["bad.png", "one.png"]), (2, 2), 3, true).unwrap();
    assert_eq!((images.files, images.skipped.len()), (paths(&["one.png"]), 1));
    // The pixels move up with the names.
    assert_eq!(images.pixels, [7, 8, 9].repeat(4));
    refused(load_images(&paths(&["bad.png"]), (2, 2), 3, true), &["1 skipped"]);
    std::fs::create_dir(dir.path().join("bare")).unwrap();
    refused(load_images(&paths(&["bare"]), (2, 2), 3, false), &["bare", ".webp"]);
    for (size, channels) in [((0, 2), 3), ((2, 9000), 3), ((2, 2), 2)] {
        assert!(matches!(load_images(&[], size, channels, false), Err(Error::Config(_))));
    }
}
