//! Masses of clusters: drawn, given, refused.

use std::fs;

use relabel::base::Error;
use relabel::transport::marginals::{Marginals, Request, parse, read};

fn request(samples: usize, clusters: usize) -> Request<'static> {
    Request { samples, clusters, seed: 5, head: 0, column_mass: None }
}

#[test]
fn uniform_masses_are_equal() {
    assert_eq!(Marginals::Uniform.masses(&request(10, 4)).unwrap(), [0.25; 4]);
    let few = Marginals::Uniform.masses(&request(3, 4)).unwrap_err();
    assert!(matches!(few, Error::Config(_)) && few.to_string().contains("3 samples"), "{few}");
    assert!(Marginals::Uniform.masses(&request(3, 0)).is_err());
}

#[test]
fn gaussian_masses_are_the_inverse_of_selavis_sizes() {
    let rule = Marginals::Gaussian { deviation: 0.1, per_head: true };
    let masses = rule.masses(&request(100_000, 1000)).unwrap();
    assert!((masses.iter().sum::<f64>() - 1.0).abs() < 1e-12 && masses.iter().all(|m| *m > 0.0));
    // The sizes are 1/(K · mass) up to one factor: their deviation relative to their mean is what was asked for.
    let sizes: Vec<f64> = masses.iter().map(|m| 1.0 / m).collect();
    let mean = sizes.iter().sum::<f64>() / 1000.0;
    let deviation = (sizes.iter().map(|s| (s / mean - 1.0).powi(2)).sum::<f64>() / 1000.0).sqrt();
    assert!((deviation - 0.1).abs() < 0.01, "{deviation}");

    // Sorted: the cluster with the least column mass gets the smallest size, hence the largest mass.
    let column: Vec<f64> = (0..1000).map(|k| f64::from((k * 37 + 11) % 1000)).collect();
    let sorted = rule.masses(&Request { column_mass: Some(&column), ..request(100_000, 1000) }).unwrap();
    let mut order: Vec<usize> = (0..1000).collect();
    order.sort_by(|&a, &b| column[a].total_cmp(&column[b]));
    assert!(order.windows(2).all(|w| sorted[w[0]] >= sorted[w[1]]) && sorted[order[0]] > sorted[order[999]]);
    let mut same = (masses.clone(), sorted);
    same.0.sort_by(f64::total_cmp);
    same.1.sort_by(f64::total_cmp);
    assert!(same.0.iter().zip(&same.1).all(|(a, b)| (a - b).abs() < 1e-15), "another draw");
}

#[test]
fn gaussian_draws_follow_seed_and_head() {
    let of = |deviation, per_head, seed, head| {
        Marginals::Gaussian { deviation, per_head }.masses(&Request { seed, head, ..request(1000, 10) }).unwrap()
    };
    assert_eq!(of(0.2, true, 1, 3), of(0.2, true, 1, 3));
    assert_ne!(of(0.2, true, 1, 3), of(0.2, true, 1, 4));
    assert_ne!(of(0.2, true, 1, 3), of(0.2, true, 2, 3));
    assert_eq!(of(0.2, false, 1, 3), of(0.2, false, 1, 4));
    assert_eq!(of(0.0, true, 1, 0), [0.1; 10]);
    // Draws below zero are kept at a size of 1: the largest mass is that of 1/1.
    let wild = of(50.0, true, 1, 0);
    assert!(wild.iter().all(|m| *m > 0.0 && m.is_finite()) && (wild.iter().sum::<f64>() - 1.0).abs() < 1e-12);
    for deviation in [-0.1, f64::NAN, f64::INFINITY] {
        assert!(Marginals::Gaussian { deviation, per_head: false }.masses(&request(10, 2)).is_err());
    }
    let wrong = Request { column_mass: Some(&[1.0, 2.0]), ..request(10, 3) };
    assert!(Marginals::Gaussian { deviation: 0.1, per_head: false }.masses(&wrong).is_err());
}

#[test]
fn files_hold_lines_lists_or_json() {
    for text in [
        "0.5\n0.25\n\n0.25\n",
        "# shares\n0.5, 0.25,0.25",
        "0.5;0.25\r\n0.25\r\n",
        " [0.5, 0.25,\n 2.5e-1]\n",
        "\u{feff}0.5 0.25\t0.25",
    ] {
        assert_eq!(parse(text, "m", 3).unwrap(), [0.5, 0.25, 0.25], "{text:?}");
    }
    // A sum that is a little off is put right.
    let near = parse("0.3333333 0.3333333 0.3333333", "m", 3).unwrap();
    assert!((near.iter().sum::<f64>() - 1.0).abs() < 1e-15);
    let given = Marginals::Given(near);
    assert!(given.masses(&request(10, 3)).is_ok());
    assert!(given.masses(&request(10, 4)).unwrap_err().to_string().contains("3 masses for 4 clusters"));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("masses.txt");
    fs::write(&path, "0.5\n0.5\n").unwrap();
    assert_eq!(read(&path, 2).unwrap(), [0.5, 0.5]);
    assert!(matches!(read(&dir.path().join("none"), 2).unwrap_err(), Error::Io { .. }));
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(read(&path, 2).unwrap_err().to_string().contains("not UTF-8 at byte 0"));
}

#[test]
fn wrong_masses_are_refused_with_their_place() {
    for (text, clusters, parts) in [
        ("0.5\n0.4\n", 2, &["0.900000000", "add up"][..]),
        ("0.5\n-0.5\n1.0\n", 3, &["line 2", "`-0.5`"]),
        ("0.5\nNaN\n0.5\n", 3, &["line 2", "`NaN`"]),
        ("0.5\n\n0\n0.5\n", 3, &["line 3", "`0`"]),
        ("0.5\n0.5\ninf\n", 3, &["line 3", "`inf`"]),
        ("0.5\nhalf\n", 2, &["line 2", "`half`"]),
        ("0.5\n0.5\n", 3, &["2 masses for 3 clusters"]),
        ("", 3, &["0 masses for 3 clusters"]),
        ("[0.5, -0.5, 1]", 3, &["entry 1", "-0.5"]),
        ("[0.5, \"x\"]", 2, &["entry 1"]),
        ("[0.5, 0.5", 2, &["JSON"]),
    ] {
        let error = parse(text, "masses.txt", clusters).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Data(_)) && message.contains("masses.txt"), "{message}");
        assert!(parts.iter().all(|p| message.contains(p)), "{text:?}: {message}");
    }
}
