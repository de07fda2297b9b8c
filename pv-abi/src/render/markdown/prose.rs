//! What the reference says beyond the definitions, each part a file of Markdown.

pub(super) const INTRODUCTION: &str = include_str!("introduction.md");
pub(super) const PROMISES: &str = include_str!("promises.md");
pub(super) const REPEATED: &str = include_str!("repeated.md");
pub(super) const DEFERRED: &str = include_str!("deferred.md");
pub(super) const ATOMICITY: &str = include_str!("atomicity.md");
pub(super) const ENTRY: &str = include_str!("entry.md");
pub(super) const ERRORS: &str = include_str!("errors.md");
pub(super) const FEATURES: &str = include_str!("features.md");
pub(super) const IMAGE: &str = include_str!("image.md");
pub(super) const TRAP_RETURN: &str = include_str!("trap_return.md");
pub(super) const UPCALLS: &str = include_str!("upcalls.md");
pub(super) const TASKS: &str = include_str!("tasks.md");
pub(super) const CALLS: &str = include_str!("calls.md");
pub(super) const EXITLESS: &str = include_str!("exitless.md");
