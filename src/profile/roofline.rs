//! The roofline of an adapter: how fast work of a given intensity can be at most (Williams, Waterman and Patterson 2009).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::gpu::Cost;
use crate::kernels::ceilings::Ceilings;

/// The two ceilings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Roofline {
    /// Floating-point operations a second.
    pub operations_per_s: f64,
    /// Bytes a second.
    pub bytes_per_s: f64,
}

/// Which ceiling limits some work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Binds {
    /// Arithmetic.
    Operations,
    /// Memory.
    Bytes,
}

impl fmt::Display for Binds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Operations => "fma",
            Self::Bytes => "copy",
        })
    }
}

impl Roofline {
    /// From measured ceilings.
    pub fn of(ceilings: &Ceilings) -> Self {
        Self { operations_per_s: ceilings.operations_per_s(), bytes_per_s: ceilings.bytes_per_s() }
    }

    /// Seconds that the arithmetic and the memory traffic of some work take at the ceilings.
    pub fn floors(&self, cost: Cost) -> [f64; 2] {
        [cost.operations as f64 / self.operations_per_s, cost.bytes as f64 / self.bytes_per_s]
    }

    /// The least seconds: those of the ceiling that binds.
    pub fn floor(&self, cost: Cost) -> f64 {
        let [operations, bytes] = self.floors(cost);
        operations.max(bytes)
    }

    /// The ceiling that binds.
    pub fn binds(&self, cost: Cost) -> Binds {
        let [operations, bytes] = self.floors(cost);
        if operations > bytes { Binds::Operations } else { Binds::Bytes }
    }

    /// Operations a byte above which arithmetic binds.
    pub fn ridge(&self) -> f64 {
        self.operations_per_s / self.bytes_per_s
    }

    /// The most operations a second at an intensity of `operations_per_byte`.
    pub fn attainable(&self, operations_per_byte: f64) -> f64 {
        self.operations_per_s.min(operations_per_byte * self.bytes_per_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_ceiling_binds() {
        let roof = Roofline { operations_per_s: 100.0, bytes_per_s: 10.0 };
        assert_eq!(roof.ridge(), 10.0);
        let work = |operations, bytes| Cost { operations, bytes };
        assert_eq!(roof.floors(work(50, 20)), [0.5, 2.0]);
        assert_eq!((roof.floor(work(50, 20)), roof.binds(work(50, 20))), (2.0, Binds::Bytes));
        assert_eq!((roof.floor(work(500, 20)), roof.binds(work(500, 20))), (5.0, Binds::Operations));
        assert_eq!(roof.binds(work(0, 20)), Binds::Bytes);
        assert_eq!([1.0, 10.0, 40.0].map(|i| roof.attainable(i)), [10.0, 100.0, 100.0]);
    }
}
