//! CIFAR and IDX files.

use relabel::base::Error;
use relabel::data::{Format, Labels, LoadOptions, Split, detect, has_split, load, load_both};
use tempfile::tempdir;

use super::{gzip, refused, train, write};

/// The byte of record `i` at channel `c` and place `p` in its plane.
fn byte(i: usize, c: usize, p: usize) -> u8 {
    (i * 31 + c * 97 + p * 7) as u8
}

/// CIFAR records with the given label bytes in front of each.
fn records<const L: usize>(labels: &[[u8; L]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (i, label) in labels.iter().enumerate() {
        out.extend(label);
        out.extend((0..3 * 1024).map(|k| byte(i, k / 1024, k % 1024)));
    }
    out
}

fn ten() -> Vec<u8> {
    records(&std::array::from_fn::<[u8; 1], 10, _>(|i| [i as u8]))
}

/// Every fine class once; coarse labels 0 to 19.
fn hundred() -> Vec<u8> {
    records(&std::array::from_fn::<[u8; 2], 100, _>(|i| [(i % 20) as u8, i as u8]))
}

fn idx(magic: [u8; 4], sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend(sizes.iter().flat_map(|s| s.to_be_bytes()));
    out.extend(body);
    out
}

/// Images of 2x3 bytes 0, 1, 2, ...
fn idx_images(count: u32) -> Vec<u8> {
    idx([0, 0, 8, 3], &[count, 2, 3], &(0..count * 6).map(|x| x as u8).collect::<Vec<_>>())
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    idx([0, 0, 8, 1], &[labels.len() as u32], labels)
}

#[test]
fn cifar10_batches_become_nhwc() {
    let dir = tempdir().unwrap();
    for batch in 1..=4 {
        write(dir.path(), &format!("data_batch_{batch}.bin"), &ten());
    }
    write(dir.path(), "data_batch_5.bin.gz", &gzip(&records(&[[7], [3]])));
    write(dir.path(), "test_batch.bin", &ten());
    write(dir.path(), "batches.meta.txt", b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n");
    assert_eq!(detect(dir.path()).unwrap(), Format::Cifar10);
    let (set, test) = load_both(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((set.count(), set.height, set.width, set.channels), (42, 32, 32, 3));
    assert_eq!(set.labels[9..12], [9, 0, 1]);
    assert_eq!(set.labels[40..], [7, 3]);
    assert_eq!(set.classes[3], "cat");
    for (image, record) in [(0, 0), (13, 3), (41, 1)] {
        for (p, rgb) in set.image(image).chunks(3).enumerate() {
            assert_eq!(rgb, [byte(record, 0, p), byte(record, 1, p), byte(record, 2, p)], "image {image} pixel {p}");
        }
    }
    assert_eq!(test.unwrap().count(), 10);
}

#[test]
fn record_size_tells_cifar10_from_cifar100() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train.bin.gz", &gzip(&hundred()));
    assert_eq!(detect(dir.path()).unwrap(), Format::Cifar100);
    let fine = train(dir.path()).unwrap();
    assert_eq!((fine.classes.len(), fine.labels[57]), (100, 57));
    assert_eq!(fine.image(57)[..3], [byte(57, 0, 0), byte(57, 1, 0), byte(57, 2, 0)]);
    let options = LoadOptions { labels: Labels::Coarse, ..Default::default() };
    let coarse = load(dir.path(), Split::Train, &options).unwrap();
    assert_eq!((coarse.classes.len(), coarse.labels[57]), (20, 17));
    assert_eq!(coarse.pixels, fine.pixels);
    write(dir.path(), "fine_label_names.txt", (0..100).map(|i| format!("name{i}\n")).collect::<String>().as_bytes());
    assert_eq!(train(dir.path()).unwrap().classes[99], "name99");

    let dir = tempdir().unwrap();
    write(dir.path(), "train.bin", &ten());
    assert_eq!(detect(dir.path()).unwrap(), Format::Cifar10);
    assert_eq!(train(dir.path()).unwrap().count(), 10);
    assert!(!has_split(dir.path(), Split::Test, &LoadOptions::default()).unwrap());
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["no test images", "test_batch.bin"]);
}

#[test]
fn cifar_of_a_wrong_length() {
    // Long enough that both record sizes have a neighbour on each side.
    let dir = tempdir().unwrap();
    write(dir.path(), "train.bin", &ten()[..30_000]);
    refused(train(dir.path()), &["train.bin", "30000 bytes", "3073", "3074", "27657", "30730"]);
    let as_ten = LoadOptions { format: Some(Format::Cifar10), ..Default::default() };
    refused(
        load(dir.path(), Split::Train, &as_ten),
        &["train.bin", "30000 bytes", "multiple of 3073", "27657", "30730"],
    );

    let mut long = ten();
    long.push(0);
    for batch in 1..=5 {
        write(dir.path(), &format!("data_batch_{batch}.bin"), &if batch == 3 { long.clone() } else { ten() });
    }
    refused(train(dir.path()), &["data_batch_3.bin", "30731 bytes", "30730", "33803"]);
    // The message says so when the other format would fit.
    write(dir.path(), "test_batch.bin", &hundred());
    refused(
        load(dir.path(), Split::Test, &as_ten),
        &["test_batch.bin", "307400", "100 records of cifar100", "`format`"],
    );
    write(dir.path(), "test_batch.bin", b"");
    refused(load(dir.path(), Split::Test, &as_ten), &["test_batch.bin", "empty", "3073"]);
}

#[test]
fn cifar_gzip_that_is_cut_or_no_gzip() {
    let dir = tempdir().unwrap();
    let packed = gzip(&ten());
    write(dir.path(), "train.bin.gz", &packed[..packed.len() / 2]);
    refused(train(dir.path()), &["train.bin.gz", "damaged gzip", "bytes"]);
    write(dir.path(), "train.bin.gz", &ten());
    refused(train(dir.path()), &["train.bin.gz", "damaged gzip"]);
}

#[test]
fn cifar_with_a_missing_batch() {
    let dir = tempdir().unwrap();
    for batch in [1, 2, 3, 5] {
        write(dir.path(), &format!("data_batch_{batch}.bin"), &ten());
    }
    refused(train(dir.path()), &["data_batch_4.bin is missing"]);
}

#[test]
fn labels_out_of_range_and_empty_classes() {
    let dir = tempdir().unwrap();
    let mut bytes = ten();
    bytes[3073 * 4] = 10;
    write(dir.path(), "train.bin", &bytes);
    refused(train(dir.path()), &["train.bin", "record 4", "label 10", "10 classes", "0 to 9"]);
    bytes[3073 * 4] = 5;
    write(dir.path(), "train.bin", &bytes);
    refused(train(dir.path()), &["1 of 10 classes", "4 (\"4\")", "allow_empty_classes"]);
    let options = LoadOptions { allow_empty_classes: true, ..Default::default() };
    assert_eq!(load(dir.path(), Split::Train, &options).unwrap().class_counts(), [1, 1, 1, 1, 0, 2, 1, 1, 1, 1]);
    let options = LoadOptions { classes: Some(6), ..Default::default() };
    refused(load(dir.path(), Split::Train, &options), &["record 6", "label 6", "6 classes"]);
    write(dir.path(), "batches.meta.txt", b"one\ntwo\n");
    refused(load(dir.path(), Split::Train, &options), &["batches.meta.txt", "2 classes", "6"]);
    refused(train(dir.path()), &["record 2", "label 2", "2 classes"]);
}

#[test]
fn idx_plain_and_gzip() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train-images-idx3-ubyte", &idx_images(4));
    write(dir.path(), "train-labels-idx1-ubyte.gz", &gzip(&idx_labels(&[2, 0, 1, 2])));
    write(dir.path(), "t10k-images-idx3-ubyte.gz", &gzip(&idx_images(3)));
    write(dir.path(), "t10k-labels-idx1-ubyte", &idx_labels(&[0, 1, 2]));
    assert_eq!(detect(dir.path()).unwrap(), Format::Idx);
    let (set, test) = load_both(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((set.count(), set.height, set.width, set.channels, set.classes.len()), (4, 2, 3, 1, 3));
    assert_eq!(set.pixels, (0..24).collect::<Vec<u8>>());
    assert_eq!(set.labels, [2, 0, 1, 2]);
    let test = test.unwrap();
    assert_eq!((test.count(), test.classes.len()), (3, 3));

    let dir = tempdir().unwrap();
    write(dir.path(), "images-idx3-ubyte.gz", &gzip(&idx_images(2)));
    write(dir.path(), "labels-idx1-ubyte.gz", &gzip(&idx_labels(&[1, 0])));
    write(dir.path(), "classes.txt", b"alpha\nbeta\n");
    let (set, test) = load_both(dir.path(), &LoadOptions::default()).unwrap();
    assert_eq!((set.labels.as_slice(), set.classes[1].as_str()), ([1, 0].as_slice(), "beta"));
    assert!(test.is_none());
}

#[test]
fn a_test_set_without_the_last_class_is_noticed() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train-images-idx3-ubyte", &idx_images(3));
    write(dir.path(), "train-labels-idx1-ubyte", &idx_labels(&[0, 1, 2]));
    write(dir.path(), "t10k-images-idx3-ubyte", &idx_images(2));
    write(dir.path(), "t10k-labels-idx1-ubyte", &idx_labels(&[0, 1]));
    refused(load(dir.path(), Split::Test, &LoadOptions::default()), &["1 of 3 classes", "2 (\"2\")", "test images"]);
    let options = LoadOptions { allow_empty_classes: true, ..Default::default() };
    assert_eq!(load(dir.path(), Split::Test, &options).unwrap().classes.len(), 3);
}

#[test]
fn bad_idx_images() {
    let magic = [0, 0, 8, 3];
    let good = idx_images(4);
    let long = [good.as_slice(), &[0; 5]].concat();
    let cases: [(Vec<u8>, &[&str]); 8] = [
        (good[..39].to_vec(), &["40 bytes were expected", "[4, 2, 3]", "39"]),
        (long, &["40 bytes were expected", "45", "too many"]),
        (good[..10].to_vec(), &["header of 16 bytes", "10 bytes"]),
        (idx([0, 0, 13, 3], &[1, 2, 3], &[0; 24]), &["[00, 00, 0d, 03]", "[00, 00, 08, 03]"]),
        (gzip(&good), &["1f, 8b", "gzip", ".gz"]),
        (idx(magic, &[4_000_000_000, 28, 28], &[0; 9]), &["3136000000016 bytes were expected", "25"]),
        (idx(magic, &[u32::MAX, u32::MAX, u32::MAX], &[]), &["4294967295", "more bytes than a file can hold"]),
        (idx(magic, &[4, 0, 3], &[]), &["[4, 0, 3]", "none may be 0"]),
    ];
    for (bytes, parts) in cases {
        let dir = tempdir().unwrap();
        write(dir.path(), "train-images-idx3-ubyte", &bytes);
        write(dir.path(), "train-labels-idx1-ubyte", &idx_labels(&[0, 1, 2, 3]));
        refused(train(dir.path()), &["train-images-idx3-ubyte"]);
        refused(train(dir.path()), parts);
    }
}

#[test]
fn bad_idx_gzip() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train-labels-idx1-ubyte", &idx_labels(&[0, 1, 2, 3]));
    let packed = gzip(&idx_images(4));
    let name = "train-images-idx3-ubyte.gz";
    write(dir.path(), name, &packed[..packed.len() - 12]);
    refused(train(dir.path()), &[name, "40 bytes were expected"]);
    let mut flipped = packed.clone();
    let crc = packed.len() - 8;
    flipped[crc] ^= 1;
    write(dir.path(), name, &flipped);
    refused(train(dir.path()), &[name, "damaged"]);
    // A bomb: 200 MB of zeros behind a header that asks for 24 bytes. Counting stops early.
    let bomb = idx([0, 0, 8, 3], &[4, 2, 3], &vec![0; 200_000_000]);
    write(dir.path(), name, &gzip(&bomb));
    refused(train(dir.path()), &[name, "40 bytes were expected", "more than 671"]);
}

#[test]
fn idx_labels_that_do_not_fit() {
    let dir = tempdir().unwrap();
    let (images, labels) = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte");
    write(dir.path(), images, &idx_images(4));
    refused(train(dir.path()), &[images, labels, "missing"]);
    write(dir.path(), labels, &idx_labels(&[0, 1, 2]));
    refused(train(dir.path()), &[images, "4 images", labels, "3 labels"]);
    write(dir.path(), labels, &idx_labels(&[0, 1, 3, 1]));
    refused(train(dir.path()), &["1 of 4 classes", "2 (\"2\")"]);
    write(dir.path(), "classes.txt", b"a\nb\nc\n");
    refused(train(dir.path()), &[labels, "record 2", "label 3", "3 classes"]);
    write(dir.path(), labels, &idx_labels(&[0, 1, 2, 1])[..11]);
    refused(train(dir.path()), &[labels, "12 bytes were expected", "11"]);
    write(dir.path(), images, &idx_images(0));
    write(dir.path(), labels, &idx_labels(&[]));
    refused(train(dir.path()), &["no images"]);
}

#[test]
fn what_is_no_data_set() {
    let dir = tempdir().unwrap();
    write(dir.path(), "notes/readme.md", b"nothing here");
    refused(train(dir.path()), &["data_batch_1.bin", "train-images-idx3-ubyte", ".webp", ".npz"]);
    refused(train(&dir.path().join("gone")), &["gone", "does not exist"]);
    refused(train(&dir.path().join("notes/readme.md")), &["readme.md", ".npz"]);
    let npz = LoadOptions { format: Some(Format::Npz), ..Default::default() };
    refused(load(dir.path(), Split::Train, &npz), &["not a file"]);
    let options = LoadOptions { channels: Some(4), ..Default::default() };
    assert!(matches!(load(dir.path(), Split::Train, &options), Err(Error::Config(_))));
}

#[test]
fn splits_of_different_size() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train-images-idx3-ubyte", &idx_images(2));
    write(dir.path(), "train-labels-idx1-ubyte", &idx_labels(&[0, 1]));
    write(dir.path(), "t10k-images-idx3-ubyte", &idx([0, 0, 8, 3], &[2, 3, 2], &[0; 12]));
    write(dir.path(), "t10k-labels-idx1-ubyte", &idx_labels(&[0, 1]));
    refused(load_both(dir.path(), &LoadOptions::default()), &["test images are 3x2x1", "2x3x1 is needed"]);
    let colour = LoadOptions { channels: Some(3), ..Default::default() };
    refused(load(dir.path(), Split::Train, &colour), &["2x3x1", "2x3x3"]);
}

#[test]
fn format_names() {
    for (format, name) in Format::ALL {
        assert_eq!((format.to_string().as_str(), name.parse::<Format>().unwrap()), (name, format));
    }
    let error = "cifar".parse::<Format>().unwrap_err().to_string();
    assert!(error.contains("`cifar`") && error.contains("cifar100"), "{error}");
}

#[test]
fn names_that_are_not_text() {
    let dir = tempdir().unwrap();
    write(dir.path(), "train.bin", &ten());
    write(dir.path(), "batches.meta.txt", &[0xff, 0xfe, b'a']);
    refused(train(dir.path()), &["batches.meta.txt", "UTF-8"]);
}
