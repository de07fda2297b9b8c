//! What is measured of a row and way in one VM.

use super::result::Answer;

/// Samples, and what was counted while they were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// TSC ticks of each sample, without the warm-up.
    pub ticks: Vec<u64>,
    /// The same of the empty measurement.
    pub empty: Vec<u64>,
    /// How many operations a sample is of.
    pub per: u64,
    /// Exits of one operation, by KVM's statistics.
    pub kvm: Option<f64>,
    /// Exits to the VMM.
    pub vmm: f64,
    /// Whether it did what it should.
    pub answer: Answer,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It was measured.
    Measured(Chunk),
    /// It cannot be had here: why.
    Absent(String),
    /// The bench is to stop.
    Interrupted,
}

/// How many samples come first and are dropped: caches, translations and branch predictors fill.
pub fn warm_up(samples: u64) -> u64 {
    (samples / 10).max(16)
}
