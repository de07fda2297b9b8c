//! Time: the guest's clock, and timers.

pub mod clock;
pub mod timers;
