//! Contact sheets of clusters: a row a cluster, so that a person sees what each of them holds; the clusters of a class can
//! stand below its name.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use super::font;
use crate::base::philox::{Sequence, Stream};
use crate::base::{Error, Result};
use crate::data::ImageSet;
use crate::train::checkpoint::write_atomically;

/// Which images of a cluster are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// Those of the highest confidence, falling from left to right; of equal ones the lower number first.
    Confident,
    /// A random choice by this seed: what the cluster is like away from its best images.
    Random(u64),
}

/// How sheets are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Clusters a page.
    pub rows: usize,
    /// Images of a cluster.
    pub columns: usize,
    /// Width and height of an image's place, in pixels. Smaller images are enlarged by a whole factor, larger ones
    /// reduced.
    pub side: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { rows: 32, columns: 16, side: 56 }
    }
}

/// Pixels between images.
const GAP: usize = 2;
/// Pixels left of the images: room for the cluster's number and its count.
const MARGIN: usize = 84;
/// Height of a line with a heading, in pixels.
const HEADING: usize = 26;
/// The largest width or height of a sheet; viewers open it everywhere.
const MOST: usize = 16_384;
const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
const NUMBER: Rgb<u8> = Rgb([0, 0, 0]);
const COUNT: Rgb<u8> = Rgb([120, 120, 120]);

/// Clusters that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What stands above them; empty for nothing.
    pub heading: String,
    /// How many there are.
    pub clusters: usize,
}

impl Section {
    /// All clusters, without a heading.
    pub fn plain(clusters: usize) -> Vec<Self> {
        vec![Self { heading: String::new(), clusters }]
    }
}

/// A line of a sheet.
#[derive(Clone, Copy, Debug)]
enum Band<'a> {
    Heading(&'a str),
    Cluster(usize),
}

impl Band<'_> {
    /// Its height with the gap below it, in pixels.
    fn height(self, layout: Layout) -> usize {
        match self {
            Self::Heading(_) => HEADING,
            Self::Cluster(_) => layout.side.saturating_add(GAP),
        }
    }
}

/// What stands on each page. A section that a page could hold is not broken; the heading of a longer one comes again.
fn pages(sections: &[Section], most: usize) -> Vec<Vec<Band<'_>>> {
    let mut pages: Vec<Vec<Band<'_>>> = Vec::new();
    let (mut rows, mut next) = (most, 0);
    for section in sections {
        let mut left = section.clusters;
        while left > 0 {
            if rows == most || (left == section.clusters && left <= most && rows + left > most) {
                pages.push(Vec::new());
                rows = 0;
            }
            let Some(page) = pages.last_mut() else { return pages };
            if !section.heading.is_empty() {
                page.push(Band::Heading(&section.heading));
            }
            let taken = left.min(most - rows);
            page.extend((next..next + taken).map(Band::Cluster));
            (rows, next, left) = (rows + taken, next + taken, left - taken);
        }
    }
    pages
}

/// Writes `clusters-N.png` into `folder`, which must be there, as many as the clusters take, and returns their paths;
/// sheets that were there before go. Each row has the cluster's number, below it in grey the number of its images, then the
/// images. `labels` and `confidences` belong to the images of `set` in order; clusters are numbered through all sections.
///
/// # Errors
/// When lengths do not fit, a label is no cluster, a confidence is NaN, the layout makes sheets of no size or of more
/// than 16,384 pixels, or a file cannot be written.
pub fn write(
    folder: &Path,
    set: &ImageSet,
    labels: &[u32],
    confidences: &[f32],
    sections: &[Section],
    members: Members,
    layout: Layout,
) -> Result<Vec<PathBuf>> {
    let images = set.pixels.len() / set.image_bytes().max(1);
    if labels.len() != images || confidences.len() != images {
        return Err(Error::Data(format!(
            "{}: {images} images, {} labels and {} confidences; each image has one of both",
            set.name,
            labels.len(),
            confidences.len()
        )));
    }
    let clusters = sections.iter().map(|section| section.clusters).sum();
    let mut chosen: Vec<Vec<u32>> = vec![Vec::new(); clusters];
    for (i, (&label, confidence)) in labels.iter().zip(confidences).enumerate() {
        let bad = |what: String| Error::Data(format!("{}: image {i} {what}", set.name));
        let cluster =
            chosen.get_mut(label as usize).ok_or_else(|| bad(format!("is in cluster {label} of {clusters}")))?;
        if confidence.is_nan() {
            return Err(bad("has the confidence NaN".into()));
        }
        cluster.push(i as u32);
    }
    let width = layout.width();
    let height = |page: &[Band<'_>]| page.iter().fold(GAP, |sum, band| sum.saturating_add(band.height(layout)));
    let pages = pages(sections, layout.rows.clamp(1, MOST));
    let highest = pages.iter().map(|page| height(page)).max().unwrap_or(GAP);
    let empty = [layout.rows, layout.columns, layout.side].contains(&0);
    if width > MOST || highest > MOST || layout.rows > MOST || empty {
        return Err(Error::Config(format!("{layout:?} makes sheets of {width} by {highest} pixels, at most {MOST}")));
    }
    let digits = (pages.len().max(1) - 1).max(1).ilog10() as usize + 1;
    let mut paths = Vec::new();
    for (page, bands) in pages.iter().enumerate() {
        let mut sheet = RgbImage::from_pixel(width as u32, height(bands) as u32, PAPER);
        let mut top = GAP;
        for &band in bands {
            match band {
                Band::Heading(text) => font::draw(&mut sheet, text, [GAP + 2, top + 6], 2, NUMBER),
                Band::Cluster(number) => {
                    let cluster = &mut chosen[number];
                    members.order(cluster, number, confidences);
                    font::draw(&mut sheet, &number.to_string(), [GAP + 2, top + 2], 3, NUMBER);
                    font::draw(&mut sheet, &cluster.len().to_string(), [GAP + 2, top + 2 + 8 * 3], 2, COUNT);
                    for (column, &image) in cluster.iter().take(layout.columns).enumerate() {
                        let tile = thumbnail(set, image as usize, layout.side);
                        let centre = |held: u32| ((layout.side - held as usize) / 2) as i64;
                        let left = (MARGIN + column * (layout.side + GAP)) as i64 + centre(tile.width());
                        imageops::replace(&mut sheet, &tile, left, top as i64 + centre(tile.height()));
                    }
                }
            }
            top += band.height(layout);
        }
        let path = folder.join(format!("clusters-{page:0digits$}.png"));
        let mut bytes = Vec::new();
        sheet
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .map_err(|e| Error::Data(format!("{}: {e}", path.display())))?;
        write_atomically(&path, |file| file.write_all(&bytes))?;
        paths.push(path);
    }
    // Sheets of an earlier gallery with more pages would be taken for this one's.
    let failed = |e| Error::io("cannot read", folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let old = entry.map_err(failed)?.path();
        let name = old.file_name().and_then(|n| n.to_str()).unwrap_or("");
        if name.starts_with("clusters-") && name.ends_with(".png") && !paths.contains(&old) {
            std::fs::remove_file(&old).map_err(|e| Error::io("cannot remove", &old, e))?;
        }
    }
    Ok(paths)
}

impl Layout {
    /// Width of a page in pixels.
    fn width(&self) -> usize {
        self.side.saturating_add(GAP).saturating_mul(self.columns).saturating_add(MARGIN)
    }
}

impl Members {
    fn order(self, cluster: &mut [u32], number: usize, confidences: &[f32]) {
        match self {
            // Stable: equal confidences stay in the order of the images.
            Self::Confident => {
                cluster.sort_by(|&a, &b| confidences[b as usize].total_cmp(&confidences[a as usize]));
            }
            Self::Random(seed) => Sequence::new(seed, Stream::Shuffle, number as u64).shuffle(cluster),
        }
    }
}

/// An image in at most `side` by `side` pixels, its shape kept.
fn thumbnail(set: &ImageSet, index: usize, side: usize) -> RgbImage {
    let (h, w) = (set.height, set.width);
    let bytes = set.image(index);
    let image = RgbImage::from_fn(w as u32, h as u32, |x, y| {
        let at = (y as usize * w + x as usize) * set.channels;
        let pixel = &bytes[at..at + set.channels];
        // Grey is repeated.
        Rgb([0, 1, 2].map(|c| pixel[c.min(set.channels - 1)]))
    });
    let longest = h.max(w);
    if longest <= side {
        let factor = (side / longest) as u32;
        return imageops::resize(&image, w as u32 * factor, h as u32 * factor, FilterType::Nearest);
    }
    let reduced = |n: usize| (n * side / longest).max(1) as u32;
    imageops::resize(&image, reduced(w), reduced(h), FilterType::Triangle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(count: usize, [height, width, channels]: [usize; 3]) -> ImageSet {
        // Every image has one colour of its own.
        let pixels =
            (0..count * height * width * channels).map(|i| (i / (height * width * channels) * 10 + 5) as u8).collect();
        ImageSet {
            name: "test".into(),
            height,
            width,
            channels,
            pixels,
            labels: vec![0; count],
            classes: vec!["none".into()],
            finer: Vec::new(),
            files: Vec::new(),
            skipped: Vec::new(),
            ignored: 0,
        }
    }

    /// Colours in the middle of the places of a row.
    fn row(sheet: &RgbImage, row: usize, layout: Layout) -> Vec<u8> {
        let middle = |first: usize, n: usize| (first + n * (layout.side + GAP) + layout.side / 2) as u32;
        (0..layout.columns).map(|c| sheet.get_pixel(middle(MARGIN, c), middle(GAP, row))[0]).collect()
    }

    #[test]
    fn sheets_show_the_best_of_each_cluster() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("clusters-7.png"), "old").unwrap();
        let labels = [2, 0, 2, 2, 0, 4, 2];
        let sure = [0.5, 0.1, 0.9, 0.5, 0.2, 0.3, 0.7];
        let layout = Layout { rows: 2, columns: 3, side: 9 };
        for sizes in [[3, 4, 3], [30, 20, 1]] {
            let paths =
                write(dir.path(), &set(7, sizes), &labels, &sure, &Section::plain(5), Members::Confident, layout)
                    .unwrap();
            let names: Vec<_> = paths.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
            assert_eq!(names, ["clusters-0.png", "clusters-1.png", "clusters-2.png"]);
            assert!(!dir.path().join("clusters-7.png").exists(), "of an earlier gallery");
            let sheets: Vec<RgbImage> = paths.iter().map(|p| image::open(p).unwrap().into_rgb8()).collect();
            let size = |s: &RgbImage| (s.width() as usize, s.height() as usize);
            assert_eq!((size(&sheets[0]), size(&sheets[2])), ((MARGIN + 33, 24), (MARGIN + 33, 13)));
            assert_eq!(row(&sheets[0], 0, layout), [45, 15, 255], "cluster 0: images 4, 1");
            assert_eq!(row(&sheets[0], 1, layout), [255; 3], "cluster 1 is empty");
            assert_eq!(row(&sheets[1], 0, layout), [25, 65, 5], "cluster 2: images 2, 6, then 0 before 3");
            assert_eq!(row(&sheets[2], 0, layout), [55, 255, 255]);
        }
    }

    #[test]
    fn random_members_depend_on_the_seed() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { rows: 1, columns: 5, side: 4 };
        let shown = |seed| {
            let members = Members::Random(seed);
            let paths =
                write(dir.path(), &set(20, [4, 4, 1]), &[0; 20], &[1.0; 20], &Section::plain(1), members, layout)
                    .unwrap();
            row(&image::open(&paths[0]).unwrap().into_rgb8(), 0, layout)
        };
        assert_eq!(shown(1), shown(1));
        assert_ne!(shown(1), shown(2));
        let mut once = shown(3);
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), 5, "no image twice");
    }

    #[test]
    fn sections_stay_together_below_their_heading() {
        let section = |heading: &str, clusters| Section { heading: heading.into(), clusters };
        let sections = [section("a", 2), section("b", 2), section("c", 5), section("d", 1)];
        let shown: Vec<String> = pages(&sections, 3)
            .iter()
            .map(|page| {
                let band = |band: &Band<'_>| match band {
                    Band::Heading(text) => (*text).to_owned(),
                    Band::Cluster(number) => number.to_string(),
                };
                page.iter().map(band).collect::<Vec<_>>().join(" ")
            })
            .collect();
        assert_eq!(shown, ["a 0 1", "b 2 3 c 4", "c 5 6 7", "c 8 d 9"]);

        let dir = tempfile::tempdir().unwrap();
        let layout = Layout { rows: 4, columns: 2, side: 20 };
        let sections = [section("I", 1), section("I", 1)];
        let paths = write(dir.path(), &set(3, [4, 4, 1]), &[1, 0, 1], &[0.5; 3], &sections, Members::Confident, layout)
            .unwrap();
        let sheet = image::open(&paths[0]).unwrap().into_rgb8();
        assert_eq!((paths.len(), sheet.height()), (1, 2 * (26 + 22) as u32 + 2));
        let at = |x: u32, y: u32| sheet.get_pixel(x, y)[0];
        // The second heading's stem stands above the second cluster's two images.
        assert_eq!((at(8, 2 + 48 + 12), at(MARGIN as u32 + 10, 2 + 48 + 26 + 10)), (0, 5));
        assert_eq!((at(MARGIN as u32 + 10, 2 + 26 + 10), at(MARGIN as u32 + 32, 2 + 26 + 10)), (15, 255));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let images = set(3, [2, 2, 1]);
        let run = |labels: &[u32], sure: &[f32], layout| {
            write(dir.path(), &images, labels, sure, &Section::plain(2), Members::Confident, layout)
                .unwrap_err()
                .to_string()
        };
        let usual = Layout::default();
        let is = |text: String, words: &[&str]| assert!(words.iter().all(|w| text.contains(w)), "{text}");
        is(run(&[0; 2], &[0.0; 3], usual), &["3 images", "2 labels"]);
        is(run(&[0; 3], &[0.0; 4], usual), &["4 confidences"]);
        is(run(&[0, 2, 0], &[0.0; 3], usual), &["image 1", "cluster 2 of 2"]);
        is(run(&[0; 3], &[0.0, 0.0, f32::NAN], usual), &["image 2", "NaN"]);
        is(run(&[0; 3], &[0.0; 3], Layout { columns: 0, ..usual }), &["columns: 0"]);
        is(run(&[0; 3], &[0.0; 3], Layout { rows: usize::MAX, ..usual }), &["at most 16384"]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was written");
    }
}
