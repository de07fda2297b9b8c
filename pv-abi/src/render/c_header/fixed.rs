//! The parts of the header that are the same whatever is defined, each a file of C.

/// Before the definitions.
pub(super) const START: &str = include_str!("start.h");
/// Behind the definitions.
pub(super) const IMAGE_NOTE: &str = include_str!("image_note.h");
/// Before the wrappers of the calls.
pub(super) const HYPERCALL: &str = include_str!("hypercall.h");
/// Behind them: what needs no call.
pub(super) const EXITLESS: &[&str] = &[
    include_str!("addresses.h"),
    include_str!("clock.h"),
    include_str!("events.h"),
    include_str!("deferred.h"),
    include_str!("entry.h"),
];
/// The end.
pub(super) const END: &str = include_str!("end.h");
