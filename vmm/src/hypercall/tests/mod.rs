//! The dispatcher without a KVM: what each call does, and that nothing a guest puts into its
//! registers or its memory does harm.

mod console;
mod convention;
mod core;
mod debug;
mod devices;
mod errors;
mod generate;
mod grants;
mod hostile;
mod model;
mod race;
mod sched;
mod slots;
mod spaces;
mod trap;
mod world;

use world::World;
