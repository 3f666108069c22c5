//! Floor 3: image data sets in host memory: formats, splits, the order of samples, batches prepared ahead.

mod cifar;
mod cifar100;
mod classes;
mod decode;
mod file;
mod finer;
mod groups;
mod idx;
mod image_folder;
mod label_file;
mod load;
mod npy;
mod npz;
mod prefetch;
mod sampler;
mod set;
mod split;
mod text_file;

pub use cifar100::Labels;
pub use decode::{Images, load_images};
pub use finer::{Finer, OWN};
pub use groups::{ClassRef, Groups};
pub use label_file::{Label, LabelFile, LabelTable};
pub use load::{Format, LoadOptions, Split, detect, has_split, load, load_both};
pub use prefetch::Prefetch;
pub use sampler::{Draw, Sampler, SamplerKind, gather_labels, gather_pixels};
pub use set::{ImageSet, Normalisation, Skipped, UNLABELLED};
pub use split::{Partition, Validation, partition, split};
pub use text_file::read_text;
