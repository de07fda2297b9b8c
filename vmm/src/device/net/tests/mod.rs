//! The device with a driver's rings in RAM.

mod frames;
mod hostile;
mod switch;
mod tap;
mod user;
