//! Label files: what comes back, how rows and images meet, what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use relabel::base::Error;
use relabel::data::{ImageSet, Label, LabelFile, Skipped};
use tempfile::{TempDir, tempdir};

use super::{gzip, refused};

const HEADER: &str = "file,index,head,label,confidence\n";

fn set(count: usize, files: &[&str]) -> ImageSet {
    ImageSet {
        name: "pets".into(),
        height: 1,
        width: 1,
        channels: 1,
        pixels: (0..count as u8).collect(),
        labels: vec![0; count],
        classes: vec!["unlabelled".into()],
        finer: Vec::new(),
        files: files.iter().map(|f| (*f).to_owned()).collect(),
        skipped: Vec::new(),
        ignored: 0,
    }
}

fn stored(text: &str) -> (TempDir, PathBuf) {
    let dir = tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    fs::write(&path, text).unwrap();
    (dir, path)
}

fn read(text: &str) -> LabelFile {
    LabelFile::read(&stored(text).1).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn row(index: u32, head: u32, label: u32, confidence: f32) -> Label {
    Label { index, head, label, confidence }
}

#[test]
fn what_is_written_comes_back() {
    let names = ["a b/é.png", "comma, \"quoted\".png", " space .png", "line\nend.png"].map(str::to_owned);
    let rows: Vec<Label> = (0..8).map(|i| row(i % 4, i / 4, i * i, (i as f32 * 0.123).fract())).collect();
    let dir = tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    let written = LabelFile::new(rows.clone(), &names);
    written.write(&path).unwrap();
    assert!(fs::read_to_string(&path).unwrap().starts_with(HEADER));
    let back = LabelFile::read(&path).unwrap();
    assert_eq!(back.rows(), rows);
    assert_eq!((0..4).map(|i| back.file(i).unwrap()).collect::<Vec<_>>(), names);
    assert_eq!(back.heads(), [0, 1]);
    // Written again over the old file, and packed.
    LabelFile::new(rows[..4].to_vec(), &[]).write(&path).unwrap();
    let back = LabelFile::read(&path).unwrap();
    assert_eq!((back.rows(), back.file(0)), (&rows[..4], None));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a temporary file was left");
    fs::write(dir.path().join("l.csv.gz"), gzip(&fs::read(&path).unwrap())).unwrap();
    assert_eq!(LabelFile::read(&dir.path().join("l.csv.gz")).unwrap().rows(), &rows[..4]);
    assert!(matches!(written.write(Path::new("/no/such/folder/l.csv")), Err(Error::Io { .. })));
}

#[test]
fn rows_and_images_meet_by_file_or_by_index() {
    let text = format!("{HEADER}c.png,0,0,7,1\na.png,1,0,3,0.5\nb.png,2,0,5,0\n");
    let named = set(3, &["a.png", "b.png", "c.png"]);
    assert_eq!(read(&text).labels(&named, 0).unwrap(), [3, 5, 7]);
    assert_eq!(read(&text).labels(&set(3, &[]), 0).unwrap(), [7, 3, 5], "no files in the set: by index");
    let plain = format!("{HEADER},2,0,1,1\n,0,0,2,1\n,1,0,3,1\n");
    assert_eq!(read(&plain).labels(&named, 0).unwrap(), [2, 3, 1], "no files in the rows: by index");
    // Other orders of columns, other columns, a byte-order mark, Windows' line ends.
    let other = "\u{feff}label,note, index ,confidence,head,file\r\n4,x, 1 ,1,0,\r\n6,,0,1,0,\r\n";
    assert_eq!(read(other).labels(&set(2, &[]), 0).unwrap(), [6, 4]);
    // An image that was skipped as damaged needs no label, and may have one.
    let mut fewer = set(2, &["a.png", "c.png"]);
    fewer.skipped.push(Skipped { file: "b.png".into(), reason: "damaged".into() });
    assert_eq!(read(&text).labels(&fewer, 0).unwrap(), [3, 7]);
}

#[test]
fn labels_replace_those_of_a_set() {
    let text = format!("{HEADER},0,0,1,1\n,1,0,4,1\n,0,3,0,1\n,1,3,2,1\n");
    let applied = read(&text).apply(set(2, &[]), 0, None).unwrap();
    assert_eq!((applied.labels.as_slice(), applied.classes.len()), ([1, 4].as_slice(), 5));
    assert_eq!(applied.classes[4], "4");
    assert_eq!(read(&text).apply(set(2, &[]), 3, Some(10)).unwrap().classes.len(), 10);
    refused(read(&text).apply(set(2, &[]), 0, Some(4)), &["label 4 of head 0", "set to 4"]);
    let table = read(&text).table(&set(2, &[])).unwrap();
    assert_eq!((table.heads, table.classes, table.labels), (vec![0, 3], vec![5, 3], vec![1, 4, 0, 2]));
    refused(read(HEADER).table(&set(2, &[])), &["holds no labels"]);
    refused(read(&format!("{text},0,5,1,1\n")).table(&set(2, &[])), &["1 labels of head 5 for 2 training images"]);
}

#[test]
fn files_that_are_wrong_are_refused_with_the_line() {
    for (text, parts) in [
        ("", &["line 1", "no column `file`"][..]),
        ("file,index,label,confidence\n", &["line 1", "no column `head`"]),
        ("{h},0,0,1,1\n,1,0\n", &["line 3", "number of columns"]),
        ("{h},0,0,1048576,1\n", &["line 2", "label `1048576`", "below 1048576"]),
        ("{h},0,0,-1,1\n", &["line 2", "label `-1`"]),
        ("{h},0,0,cat,1\n", &["line 2", "label `cat`"]),
        ("{h},0,0,1,1\n,one,0,1,1\n", &["line 3", "index `one`"]),
        ("{h},0,65536,1,1\n", &["line 2", "head `65536`"]),
        ("{h},0,0,1,NaN\n", &["line 2", "confidence `NaN`"]),
        ("{h},0,0,1,1.5\n", &["line 2", "confidence `1.5`"]),
        ("{h},0,0,1,1\n,1,0,1,1\n,0,0,2,1\n", &["line 4", "index 0", "head 0 in line 2"]),
        ("{h}a.png,0,0,1,1\nb.png,0,1,1,1\n", &["line 3", "`b.png`", "`a.png`"]),
        ("{h}\"a\nb\",0,0,1,1\n,1,0,x,1\n", &["line 4", "label `x`"]),
    ] {
        let (_dir, path) = stored(&text.replace("{h}", HEADER));
        refused(LabelFile::read(&path), &[&["labels.csv"], parts].concat());
    }
    let (_dir, path) = stored("");
    fs::write(&path, [HEADER.as_bytes(), b"\xff,0,0,1,1\n"].concat()).unwrap();
    refused(LabelFile::read(&path), &["line 2", "UTF-8"]);
    assert!(matches!(LabelFile::read(Path::new("no-such-file.csv")), Err(Error::Io { .. })));
}

#[test]
fn files_that_do_not_fit_the_images_are_refused() {
    let labels = |text: &str, set: &ImageSet, head| read(&format!("{HEADER}{text}")).labels(set, head);
    let named = set(2, &["a.png", "b.png"]);
    refused(
        labels(",0,0,1,1\n", &set(2, &[]), 0),
        &["1 labels of head 0 for 2 training images of pets", "image 1 has none"],
    );
    refused(labels("a.png,0,0,1,1\n", &named, 0), &["image 1 (`b.png`) has none"]);
    refused(
        labels(",0,0,1,1\n,2,0,1,1\n", &set(2, &[]), 0),
        &["line 3", "index 2 is out of range", "2 training images"],
    );
    refused(labels("a.png,0,0,1,1\nz.png,1,0,1,1\n", &named, 0), &["line 3", "`z.png`", "2 images of pets"]);
    refused(labels("a.png,0,0,1,1\na.png,1,0,1,1\n", &named, 0), &["line 3", "`a.png` has another label"]);
    refused(labels(",0,1,1,1\n,1,4,1,1\n", &set(2, &[]), 0), &["no labels of head 0", "head 1, 4"]);
}
