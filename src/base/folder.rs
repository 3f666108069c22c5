//! The folder of a path.

use std::path::Path;

/// The folder that a file lies in, or will: the current one for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_current_folder() {
        assert_eq!(["a", "b/a", "/a"].map(|path| folder_of(Path::new(path))), [".", "b", "/"].map(Path::new));
    }
}
