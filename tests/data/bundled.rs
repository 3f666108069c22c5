//! The bundled part of Fashion-MNIST against sums taken from its files by other means.

use std::path::PathBuf;

use relabel::data::{Format, Validation, detect, load_both, split};

fn path() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/data/fashion-mnist-mini"))
}

#[test]
fn bundled_fashion_mnist() {
    assert_eq!(detect(&path()).unwrap(), Format::Idx);
    let (train, test) = load_both(&path(), &Default::default()).unwrap();
    let test = test.unwrap();
    for (set, each, sum, labels) in [
        (&train, 300, 171_733_290u64, [9u32, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
        (&test, 200, 114_072_606, [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]),
    ] {
        assert_eq!((set.count(), set.height, set.width, set.channels), (each * 10, 28, 28, 1));
        assert_eq!(set.class_counts(), [each; 10]);
        assert_eq!(set.labels[..10], labels);
        assert_eq!(set.pixels.iter().map(|&x| u64::from(x)).sum::<u64>(), sum);
        assert_eq!((set.classes[0].as_str(), set.classes[9].as_str()), ("T-shirt/top", "Ankle boot"));
    }
    assert_eq!(train.image(5)[14 * 28 + 14], 184);
    assert_eq!(train.image(2999).iter().map(|&x| u32::from(x)).sum::<u32>(), 113_612);
    let normalisation = train.normalisation();
    assert!((normalisation.mean[0] - 0.286_336_684_673_869_5).abs() < 1e-12, "{normalisation:?}");
    assert!((normalisation.std[0] - 0.353_852_511_174_622_85).abs() < 1e-12, "{normalisation:?}");
    assert_ne!(train.fingerprint(), test.fingerprint());

    let whole = train.count();
    let (rest, held) = split(train, &Validation::Fraction(0.1), 0).unwrap();
    assert_eq!((rest.count(), held.unwrap().count()), (whole - 300, 300));
}
