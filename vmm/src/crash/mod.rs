//! Explaining a crash: what happened, where, and how the guest got there.

mod debug_image;
mod dwarf;

pub mod backtrace;
pub mod symbolize;
pub mod unwind;

#[cfg(test)]
mod tests;
