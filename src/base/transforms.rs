//! The named sets of image transformations of self-supervised label augmentation, in their exact index order
//! (Lee, Hwang and Shin 2020): view `j` first permutes colours, then turns by quarters counter-clockwise.

use std::fmt;
use std::str::FromStr;

use super::{Error, Result};

/// All orders of three channels; out channel `c` is in channel `order[c]`. The cyclic ones are 0, 3 and 4.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
const CYCLIC: [[usize; 3]; 3] = [ORDERS[0], ORDERS[3], ORDERS[4]];

/// A named set of transformations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransformSet {
    /// The image alone, M = 1.
    Identity,
    /// 0, 90, 180 and 270 degrees counter-clockwise, M = 4.
    Rotation,
    /// 0 and 180 degrees, M = 2.
    Rotation2,
    /// All colour orders, M = 6.
    ColorPerm,
    /// Cyclic colour orders, M = 3.
    ColorPerm3,
    /// 0 and 180 degrees, each with three cyclic orders: `j = 3r + p`, M = 6.
    RotColorPerm6,
    /// Four turns, each with three cyclic orders: `j = 3k + p`, M = 12.
    RotColorPerm12,
    /// Four turns, each with six orders: `j = 6k + p`, M = 24.
    RotColorPerm24,
}

impl TransformSet {
    /// Every set.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Rotation,
        Self::Rotation2,
        Self::ColorPerm,
        Self::ColorPerm3,
        Self::RotColorPerm6,
        Self::RotColorPerm12,
        Self::RotColorPerm24,
    ];

    /// Its name in configs and golden files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Rotation => "rotation",
            Self::Rotation2 => "rotation2",
            Self::ColorPerm => "color_perm",
            Self::ColorPerm3 => "color_perm3",
            Self::RotColorPerm6 => "rot_color_perm6",
            Self::RotColorPerm12 => "rot_color_perm12",
            Self::RotColorPerm24 => "rot_color_perm24",
        }
    }

    /// `(quarter turns between two rotations, number of rotations)`.
    const fn turns(self) -> (usize, usize) {
        match self {
            Self::Identity | Self::ColorPerm | Self::ColorPerm3 => (0, 1),
            Self::Rotation2 | Self::RotColorPerm6 => (2, 2),
            Self::Rotation | Self::RotColorPerm12 | Self::RotColorPerm24 => (1, 4),
        }
    }

    /// Colour orders, in the order of the index.
    const fn orders(self) -> &'static [[usize; 3]] {
        match self {
            Self::Identity | Self::Rotation | Self::Rotation2 => &[ORDERS[0]],
            Self::ColorPerm | Self::RotColorPerm24 => &ORDERS,
            Self::ColorPerm3 | Self::RotColorPerm6 | Self::RotColorPerm12 => &CYCLIC,
        }
    }

    /// M, the number of views.
    pub const fn views(self) -> usize {
        self.turns().1 * self.orders().len()
    }

    /// Number of colour orders; the index of a view is `rotation · colour_orders + order`.
    pub const fn colour_orders(self) -> usize {
        self.orders().len()
    }

    /// Quarter turns between two rotations of the set.
    pub const fn turn_step(self) -> usize {
        self.turns().0
    }

    /// View `j`: quarter turns counter-clockwise, and the channel order (out channel `c` is in channel `order[c]`).
    pub fn view(self, j: usize) -> (usize, [usize; 3]) {
        let orders = self.orders();
        (j / orders.len() * self.turns().0, orders[j % orders.len()])
    }

    /// Whether it has odd quarter turns, which swap height and width.
    pub const fn needs_square(self) -> bool {
        self.turns().0 == 1
    }

    /// Whether it permutes colours.
    pub const fn needs_colour(self) -> bool {
        self.orders().len() > 1
    }

    /// Refuses images that the set cannot transform.
    ///
    /// # Errors
    /// Colour orders for images that do not have three channels, and quarter turns of images that are not square.
    pub fn check(self, height: usize, width: usize, channels: usize) -> Result<()> {
        if self.needs_colour() && channels != 3 {
            return Err(Error::Config(format!(
                "the transformation set `{self}` permutes colours, and the images have {channels} channel(s), not 3: \
                 use `rotation` or `rotation2`"
            )));
        }
        if self.needs_square() && height != width {
            return Err(Error::Config(format!(
                "the transformation set `{self}` turns by quarters, and the images are {height} x {width}, not square: \
                 use `rotation2`, `color_perm` or `rot_color_perm6`, or square images"
            )));
        }
        Ok(())
    }
}

impl fmt::Display for TransformSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TransformSet {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            let known: Vec<&str> = Self::ALL.iter().map(|s| s.name()).collect();
            Error::Config(format!("unknown transformation set `{text}`; there are {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_order_is_the_papers() {
        let sizes: Vec<usize> = TransformSet::ALL.iter().map(|s| s.views()).collect();
        assert_eq!(sizes, [1, 4, 2, 6, 3, 6, 12, 24]);
        assert_eq!(TransformSet::Rotation2.view(1), (2, [0, 1, 2]));
        assert_eq!(TransformSet::ColorPerm3.view(2), (0, [2, 0, 1]));
        assert_eq!(TransformSet::RotColorPerm6.view(4), (2, [1, 2, 0]));
        assert_eq!(TransformSet::RotColorPerm12.view(11), (3, [2, 0, 1]));
        assert_eq!(TransformSet::RotColorPerm24.view(13), (2, [0, 2, 1]));
    }

    #[test]
    fn names_round_trip_and_misfits_are_refused() {
        for set in TransformSet::ALL {
            assert_eq!(set.name().parse::<TransformSet>().expect("its own name"), set);
            assert!(set.check(32, 32, 3).is_ok());
        }
        let text = "rotate".parse::<TransformSet>().expect_err("unknown").to_string();
        assert!(text.contains("`rotate`") && text.contains("rot_color_perm24"), "{text}");
        let text = TransformSet::ColorPerm.check(28, 28, 1).expect_err("grey").to_string();
        assert!(text.contains("color_perm") && text.contains("1 channel"), "{text}");
        let text = TransformSet::Rotation.check(28, 30, 1).expect_err("not square").to_string();
        assert!(text.contains("`rotation`") && text.contains("28 x 30"), "{text}");
        assert!(TransformSet::Rotation2.check(28, 30, 1).is_ok());
    }
}
