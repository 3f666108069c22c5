//! What was meant by a name that there is not.

/// The name most similar to `name` by Jaro's measure; empty when there is none.
pub fn nearest<'a>(name: &str, all: impl IntoIterator<Item = &'a str>) -> &'a str {
    let similar = |other: &&str| strsim::jaro(other, name);
    all.into_iter().max_by(|a, b| similar(a).total_cmp(&similar(b))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn one_letter_too_many_is_found() {
        assert_eq!(nearest("convv2d", ["matmul", "conv2d", "relu"]), "conv2d");
        assert_eq!(nearest("x", []), "");
    }
}
