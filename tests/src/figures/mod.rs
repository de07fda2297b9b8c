//! The figures that the README quotes, and how each is measured.
//!
//! `cargo run --release -p paravane-tests --example paravane-figures` prints them all. None of them
//! is a test; the one that noise cannot touch, the instructions of a hypercall, is also checked
//! by `tests/lanes.rs`.

pub mod bench;
pub mod daemon;
pub mod disk;
pub mod instructions;
pub mod memory;
pub mod network;
pub mod size;
pub mod start;

use std::fmt;

/// What was measured several times.
#[derive(Clone, Debug, PartialEq)]
pub struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// The measurements, in any order.
    pub fn new(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { sorted: samples }
    }

    /// The value below which `fraction` of the samples lie; 0 without samples.
    pub fn quantile(&self, fraction: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted
            .get((last as f64 * fraction).round() as usize)
            .copied()
            .unwrap_or(0.0)
    }

    /// How many samples there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "median {:.2} (min {:.2}, p90 {:.2}, max {:.2}, n = {})",
            self.median(),
            self.quantile(0.0),
            self.quantile(0.9),
            self.quantile(1.0),
            self.sorted.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::new(vec![5.0, 1.0, 3.0]);
        assert_eq!(spread.median(), 3.0);
        assert_eq!((spread.quantile(0.0), spread.quantile(1.0)), (1.0, 5.0));
    }
}
