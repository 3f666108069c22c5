//! Floor 9: where the time of a training step goes: each dispatch by timestamps, beside what the adapter can do at most.

pub mod clock;
pub mod group;
pub mod kernel;
pub mod languages;
pub mod measure;
pub mod plot;
pub mod roofline;
pub mod timeline;

pub use group::{By, Group, group, shares};
pub use languages::{File, languages};
pub use measure::{Measured, Options, Profile, dispatches, profile};
pub use roofline::{Binds, Roofline};
