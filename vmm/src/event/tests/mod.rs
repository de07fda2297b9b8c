//! Tests of ports, with their timers.

mod model;
mod stress;
mod world;
