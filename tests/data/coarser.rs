//! CIFAR-100's labellings of 3, 10, 20 and 100 classes, and classes grouped by the settings.

use std::path::Path;

use relabel::base::{Error, Result};
use relabel::data::{ClassRef, Groups, ImageSet, Labels, LoadOptions, Split, load};
use relabel::train::config::{Config, Data};
use tempfile::{TempDir, tempdir};

use super::write;
use crate::small::cifar100;

/// The maps as the official code of MAXL has them, from the finer class to the coarser.
const TO_TEN: &str = "0:1,1:2,2:5,3:6,4:5,5:6,6:6,7:3,8:0,9:7,10:8,11:0,12:1,13:3,14:4,15:0,16:2,17:5,18:9,19:9";
const TO_THREE: &str = "0:0,1:0,2:0,3:0,4:0,5:1,6:2,7:2,8:2,9:2";

fn map(text: &str) -> Vec<u32> {
    let pairs: Vec<(usize, u32)> = text
        .split(',')
        .map(|pair| pair.split_once(':').unwrap())
        .map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()))
        .collect();
    assert!(pairs.iter().enumerate().all(|(i, pair)| i == pair.0));
    pairs.into_iter().map(|pair| pair.1).collect()
}

fn hundred() -> TempDir {
    let dir = tempdir().unwrap();
    cifar100(dir.path());
    dir
}

fn labelled(dir: &Path, labels: Labels) -> ImageSet {
    load(dir, Split::Train, &LoadOptions { labels, ..Default::default() }).unwrap()
}

#[test]
fn four_labellings_each_finer_than_the_one_before() {
    let dir = hundred();
    let fine: Vec<u32> = (0..100).map(|i| i * 3 % 100).collect();
    let coarse: Vec<u32> = fine.iter().map(|f| f * 7 % 20).collect();
    let ten: Vec<u32> = coarse.iter().map(|&c| map(TO_TEN)[c as usize]).collect();
    let three: Vec<u32> = ten.iter().map(|&c| map(TO_THREE)[c as usize]).collect();
    let all = [("fine", 100, &fine), ("coarse", 20, &coarse), ("10", 10, &ten), ("3", 3, &three)];
    for (n, labels) in Labels::ALL.into_iter().enumerate() {
        let set = labelled(dir.path(), labels);
        assert_eq!((all[n].0, all[n].1, all[n].2), (labels.name(), set.classes.len(), &set.labels));
        let finer: Vec<_> = set.finer.iter().map(|f| (f.name, f.classes.len(), &f.labels)).collect();
        assert_eq!(finer, all[..n]);
        if n > 0 {
            assert_eq!(set.finer("own", "x").unwrap().name, "fine");
            set.check_finer(&ten, "x").map_or_else(|_| assert!(n <= 2), |()| assert_eq!(n, 3));
        }
        let error = set.finer(labels.name(), "maxl.labels").unwrap_err().to_string();
        assert!(error.contains(&format!("maxl.labels = \"{}\"", labels.name())), "{error}");
    }
}

/// What the derived classes hold, in words.
#[test]
fn derived_classes_are_called_what_they_hold() {
    let dir = hundred();
    let ten = labelled(dir.path(), Labels::Ten).classes;
    assert_eq!(
        ten,
        [
            "large_carnivores + large_omnivores_and_herbivores + reptiles",
            "aquatic_mammals + medium_mammals",
            "fish + small_mammals",
            "insects + non-insect_invertebrates",
            "people",
            "flowers + fruit_and_vegetables + trees",
            "food_containers + household_electrical_devices + household_furniture",
            "large_man-made_outdoor_things",
            "large_natural_outdoor_scenes",
            "vehicles_1 + vehicles_2",
        ]
    );
    let three = labelled(dir.path(), Labels::Three);
    assert_eq!(three.classes[0], "aquatic_mammals + fish + insects + 7 more");
    assert_eq!(three.classes[1], ten[5]);
    assert_eq!(three.classes[2], "food_containers + household_electrical_devices + household_furniture + 4 more");
    // Without names, numbers.
    std::fs::remove_file(dir.path().join("coarse_label_names.txt")).unwrap();
    assert_eq!(labelled(dir.path(), Labels::Ten).classes[5], "2 + 4 + 17");
}

#[test]
fn parts_of_a_set_keep_their_finer_labels() {
    let dir = hundred();
    let set = labelled(dir.path(), Labels::Three);
    let part = set.subset(&[7, 0, 99]);
    for (whole, part) in set.finer.iter().zip(&part.finer) {
        assert_eq!(part.labels, [7, 0, 99].map(|i: usize| whole.labels[i]));
        assert_eq!((part.name, &part.classes), (whole.name, &whole.classes));
    }
    assert_eq!(part.fingerprint(), ImageSet { finer: Vec::new(), ..part.clone() }.fingerprint());
}

#[test]
fn labels_that_are_not_there() {
    let dir = hundred();
    let refused = |set: Result<ImageSet>, kind: fn(&Error) -> bool, parts: &[&str]| {
        let error = set.unwrap_err();
        assert!(kind(&error), "{error:?}");
        parts.iter().for_each(|part| assert!(error.to_string().contains(part), "no {part:?} in {error}"));
    };
    let config = |e: &Error| matches!(e, Error::Config(_));
    let options = |labels| LoadOptions { labels, ..Default::default() };
    write(dir.path(), "coarse_label_names.txt", b"one\ntwo\n");
    let three = load(dir.path(), Split::Train, &LoadOptions { classes: None, ..options(Labels::Three) });
    refused(three, config, &["data.labels = \"3\"", "20 superclasses", "names 2"]);
    refused(load(dir.path(), Split::Train, &options(Labels::Coarse)), |e| matches!(e, Error::Data(_)), &["2 classes"]);
    for labels in [Labels::Coarse, Labels::Ten] {
        let parts = ["data.labels", labels.name(), "format idx", "only CIFAR-100", "data.groups"];
        refused(load(Path::new(FASHION), Split::Train, &options(labels)), config, &parts);
    }
    let fashion = load(Path::new(FASHION), Split::Train, &LoadOptions::default()).unwrap();
    let error = fashion.finer("own", "maxl.labels").unwrap_err().to_string();
    assert!(error.contains("maxl.labels = \"own\"") && error.contains("data.groups"), "{error}");
}

const FASHION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/fashion-mnist-mini");

/// The settings' groups as the loader's options.
fn grouped(groups: &str, names: &str) -> Result<LoadOptions> {
    let text = format!("[data]\ngroups = {groups}\ngroup_names = {names}");
    Config::parse(&text, "groups.toml", &[], &[])?.data.load_options()
}

const FIVE: &str = r#"[["T-shirt/top", "Pullover", "Coat", 6], ["Trouser"], ["Dress"], [5, 7, "Ankle boot"], ["Bag"]]"#;

#[test]
fn groups_of_classes_become_classes() {
    let fashion = load(Path::new(FASHION), Split::Train, &LoadOptions::default()).unwrap();
    let of = [0u32, 1, 0, 2, 0, 3, 0, 3, 4, 3];
    for split in [Split::Train, Split::Test] {
        let set = load(Path::new(FASHION), split, &grouped(FIVE, "[]").unwrap()).unwrap();
        let [own] = &set.finer[..] else { panic!("{:?}", set.finer.len()) };
        assert_eq!((own.name, &own.classes), ("own", &fashion.classes));
        assert!(own.labels.iter().zip(&set.labels).all(|(&own, &class)| of[own as usize] == class));
        set.check_finer(&own.labels, "own").unwrap();
        if split == Split::Train {
            assert_eq!(own.labels, fashion.labels);
        }
        let names =
            ["T-shirt/top + Pullover + Coat + Shirt", "Trouser", "Dress", "Sandal + Sneaker + Ankle boot", "Bag"];
        assert_eq!(set.classes, names);
    }
    let named = grouped(FIVE, r#"["tops", "trousers", "dresses", "shoes", "bags"]"#).unwrap();
    let set = load(Path::new(FASHION), Split::Train, &named).unwrap();
    assert_eq!((set.classes[3].as_str(), set.class_counts()), ("shoes", vec![1200, 300, 300, 900, 300]));

    // Of CIFAR-100's, the labels that are grouped keep their name.
    let dir = hundred();
    let half = |first: u32| (first..first + 10).map(ClassRef::Number).collect();
    let groups = Groups { members: vec![half(0), half(10)], names: Vec::new() };
    let set = load(dir.path(), Split::Train, &LoadOptions { labels: Labels::Coarse, groups, ..Default::default() });
    let set = set.unwrap();
    assert_eq!(set.finer.iter().map(|f| f.name).collect::<Vec<_>>(), ["fine", "coarse"]);
    assert_eq!(set.finer("own", "x").unwrap().labels, labelled(dir.path(), Labels::Fine).labels);
    assert_eq!(
        set.classes[1],
        "large_natural_outdoor_scenes + large_omnivores_and_herbivores + medium_mammals + 7 more"
    );
}

#[test]
fn groups_that_do_not_fit_name_the_class() {
    let refused = |groups: &str, names: &str, parts: &[&str]| {
        let answer = grouped(groups, names).and_then(|options| load(Path::new(FASHION), Split::Train, &options));
        let error = answer.unwrap_err();
        assert!(matches!(error, Error::Config(_)), "{error:?}");
        let text = error.to_string();
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in {text}"));
    };
    let missing = r#"[[0, 1, 2, 3, 4, 5, 6], ["Bag", "Ankle boot"]]"#;
    refused(missing, "[]", &["data.groups: `Sneaker` (class 7) of fashion-mnist-mini is in no group"]);
    refused("[[0, 1, 2], [3]]", "[]", &["`Coat` (class 4)", "nor are 5 others"]);
    let twice = r#"[[0, 1, 2, 3, 4], [5, 6, 7, 8, 9, "Coat"]]"#;
    refused(twice, "[]", &["`Coat` (class 4) is in group 0 and in group 1"]);
    refused(r#"[["Bag", 8], [0]]"#, "[]", &["`Bag` (class 8) is in group 0 and in group 0"]);
    refused(r#"[["Pulover"], [0]]"#, "[]", &["group 0 has `Pulover`, which is no class", "did you mean `Pullover`?"]);
    refused(r#"[[1], ["zebra"]]"#, "[]", &["group 1 has `zebra`", "there are T-shirt/top, Trouser, Pullover"]);
    refused("[[1], [10]]", "[]", &["group 1 has class 10", "classes 0 to 9"]);
    refused("[[1], []]", "[]", &["`data.groups` is [[1], []]", "at least one class"]);
    refused("[[1]]", "[]", &["`data.groups` is [[1]]", "at least two groups"]);
    refused("[1, 2]", "[]", &["`data.groups`", "[1, 2]", "each an array of class names or numbers"]);
    refused("[[1], [-2]]", "[]", &["`data.groups`", "[[1], [-2]]"]);
    refused("[[1], [2]]", r#"["a"]"#, &["`data.group_names` is [\"a\"]", "2 groups"]);
    refused("[[1], [2]]", r#"["a", "a"]"#, &["`data.group_names`", "differ"]);
    refused("[]", r#"["a"]"#, &["`data.group_names`", "0 groups"]);
}

#[test]
fn settings_of_labels_are_read_and_written() {
    let data = |set: &[&str]| -> Result<Data> {
        let overrides: Vec<String> = set.iter().map(ToString::to_string).collect();
        Ok(Config::parse("", "file", &overrides, &[])?.data)
    };
    for (text, labels) in
        [("fine", Labels::Fine), ("coarse", Labels::Coarse), ("10", Labels::Ten), ("\"3\"", Labels::Three)]
    {
        assert_eq!(data(&[&format!("data.labels={text}")]).unwrap().labels, labels);
    }
    assert_eq!(Config::parse("[data]\nlabels = 3", "file", &[], &[]).unwrap().data.labels, Labels::Three);
    let error = data(&["data.labels=20"]).unwrap_err().to_string();
    assert!(error.contains("`data.labels`") && error.contains("\"fine\", \"coarse\", \"10\" or \"3\""), "{error}");
    let mut config = Config::parse("", "file", &[format!("data.groups={FIVE}"), "data.labels=10".into()], &[]).unwrap();
    config.data.group_names = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
    assert_eq!(config.data.groups[0][3], ClassRef::Number(6));
    assert_eq!(Config::parse(&config.to_toml().unwrap(), "file", &[], &[]).unwrap(), config);
}
