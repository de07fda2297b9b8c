//! Address spaces, without a KVM: what the tables say after each call, and what a CPU or a KVM
//! that remembers all that it may remember makes of them.

mod cases;
mod grants;
mod model;
mod properties;
mod quota;
mod rig;
mod shadow;
