//! What a run of the bench found, for people and machines.
//!
//! All of it is made from [`Results`](super::result::Results), without measuring anything:
//! [`table`] for a terminal, [`html`] for a browser, [`charts`] for a paper, [`csv`] for a
//! spreadsheet. [`findings`] says in sentences what the figures mean, [`compare`] what two runs
//! have between them, and [`peers`] brings in what others cost.

pub mod charts;
mod column;
pub mod compare;
pub mod csv;
pub mod findings;
pub mod html;
mod notes;
pub mod number;
pub mod peers;
pub mod table;
pub mod ways;

#[cfg(test)]
mod fixture;
