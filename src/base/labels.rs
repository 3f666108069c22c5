//! Which label a row of logits is trained or judged by.

use super::{Error, Result};

/// A label that says "ignore this image": loss 0, gradient 0, not counted (padding of the last batch).
pub const IGNORED: u32 = u32::MAX;

/// How the label of row `r = b·M + j` follows from the image's class `y` and its view `j`, of `M` views.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabelRule {
    /// `y·M + j`: one class for each pair of class and view (self-supervised label augmentation).
    Joint,
    /// `y`, whatever the view.
    Class,
    /// `j`, whatever the class.
    View,
}

impl LabelRule {
    /// `(class_scale, view_scale)`: the label is `class_scale·y + view_scale·j`.
    pub fn scales(self, views: usize) -> (u32, u32) {
        match self {
            Self::Joint => (views as u32, 1),
            Self::Class => (1, 0),
            Self::View => (0, 1),
        }
    }

    /// The label of row `row`, or `None` when its image is ignored.
    pub fn label(self, labels: &[f64], views: usize, row: usize) -> Option<usize> {
        let class = labels[row / views] as u32;
        let (class_scale, view_scale) = self.scales(views);
        (class != IGNORED).then(|| class_scale as usize * class as usize + view_scale as usize * (row % views))
    }
}

/// Checks that `rows` rows are `views` views each of the images that `labels` labels belong to.
///
/// # Errors
/// When `rows` is not `labels · views`; `what` names the kernel or operation.
pub fn check_views(what: &str, rows: usize, labels: usize, views: usize) -> Result<()> {
    if views >= 1 && rows == labels * views {
        return Ok(());
    }
    Err(Error::Shape(format!("{what}: {rows} rows are not {labels} images of {views} views")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_image_major() {
        let labels = [2.0, f64::from(IGNORED), 1.0];
        let all = |rule: LabelRule| (0..6).map(|r| rule.label(&labels, 2, r)).collect::<Vec<_>>();
        assert_eq!(all(LabelRule::Joint), [Some(4), Some(5), None, None, Some(2), Some(3)]);
        assert_eq!(all(LabelRule::Class), [Some(2), Some(2), None, None, Some(1), Some(1)]);
        assert_eq!(all(LabelRule::View), [Some(0), Some(1), None, None, Some(0), Some(1)]);
        assert!(check_views("test", 6, 3, 2).is_ok() && check_views("test", 5, 3, 2).is_err());
    }
}
