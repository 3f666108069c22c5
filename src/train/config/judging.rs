//! Settings of how results are judged, for modules that stand below the config.

use super::section::{Fault, Section, need};
use crate::eval::knn;
use crate::kernels::top_k;

impl Section for knn::Settings {
    fn check(&self) -> Result<(), Fault> {
        need((1..=top_k::MOST).contains(&self.k), "k", self.k, format!("from 1 to {}", top_k::MOST))?;
        let holds = self.temperature > 0.0 && self.temperature.is_finite();
        need(holds, "temperature", self.temperature, "a number above 0")
    }
}
