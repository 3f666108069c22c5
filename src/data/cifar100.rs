//! CIFAR-100's four labellings, each finer than the one before: 3, 10, 20 and 100 classes. The files hold the last two; MAXL
//! (Liu, Davison and Johns 2019) makes the others of them, by the maps in its official code.

use super::classes;
use super::finer::Finer;
use super::groups;
use super::load::LoadOptions;
use super::set::ImageSet;
use crate::base::{Error, Result};

/// One of CIFAR-100's labellings, from the finest to the coarsest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 superclasses.
    Coarse,
    /// 10 groups of superclasses.
    Ten,
    /// 3 groups of those.
    Three,
}

/// Classes in the files, where no file of names says otherwise.
const FINE: usize = 100;
const COARSE: usize = 20;
/// The one of the 10 that each superclass is in.
const TEN: [u32; COARSE] = [1, 2, 5, 6, 5, 6, 6, 3, 0, 7, 8, 0, 1, 3, 4, 0, 2, 5, 9, 9];
/// The one of the 3 that each of the 10 is in.
const THREE: [u32; 10] = [0, 0, 0, 0, 0, 1, 2, 2, 2, 2];

impl Labels {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fine, Self::Coarse, Self::Ten, Self::Three];

    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Coarse => "coarse",
            Self::Ten => "10",
            Self::Three => "3",
        }
    }
}

/// What is called what.
pub(super) struct Names {
    fine: Vec<String>,
    coarse: Vec<String>,
}

impl Names {
    /// From the files of names in `dir`; `data.classes` is the number of the classes that are asked for.
    pub fn read(dir: &std::path::Path, options: &LoadOptions) -> Result<Self> {
        let other = LoadOptions { classes: None, ..options.clone() };
        let of = |labels| if options.labels == labels { options } else { &other };
        let fine =
            classes::resolve(Some(dir), &["fine_label_names.txt", "classes.txt"], of(Labels::Fine), Some(FINE), &[])?;
        let coarse = classes::resolve(Some(dir), &["coarse_label_names.txt"], of(Labels::Coarse), Some(COARSE), &[])?;
        if options.labels >= Labels::Ten && coarse.len() != COARSE {
            return Err(Error::Config(format!(
                "data.labels = \"{}\" is made of CIFAR-100's {COARSE} superclasses, and {} names {}",
                options.labels.name(),
                dir.display(),
                coarse.len()
            )));
        }
        Ok(Self { fine, coarse })
    }

    /// Refuses records whose labels are no classes; `place` names the file.
    pub fn check(&self, place: &str, fine: &[u32], coarse: &[u32]) -> Result<()> {
        classes::check_labels(place, fine, self.fine.len())?;
        classes::check_labels(place, coarse, self.coarse.len())
    }

    /// The set, whose labels are the fine ones, under `labels`; the finer ones stay known.
    pub fn label(self, mut set: ImageSet, coarse: Vec<u32>, labels: Labels) -> ImageSet {
        set.classes = self.fine;
        if labels >= Labels::Coarse {
            let fine = std::mem::replace(&mut set.labels, coarse);
            let classes = std::mem::replace(&mut set.classes, self.coarse.clone());
            set.finer.push(Finer { name: Labels::Fine.name(), classes, labels: fine });
        }
        // Both are named by the superclasses that they hold.
        if labels >= Labels::Ten {
            set = set.coarsened(Labels::Coarse.name(), &TEN, groups::names(&self.coarse, &TEN));
        }
        if labels == Labels::Three {
            let of = TEN.map(|ten| THREE[ten as usize]);
            set = set.coarsened(Labels::Ten.name(), &THREE, groups::names(&self.coarse, &of));
        }
        set
    }
}
