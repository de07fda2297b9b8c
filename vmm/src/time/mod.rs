//! Time: the guest's clock, and timers.

pub mod alarm;
pub mod clock;
mod queue;
pub mod saved;
pub mod timers;
pub mod tsc;

#[cfg(test)]
mod tests;
