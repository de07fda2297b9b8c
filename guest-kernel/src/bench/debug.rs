//! What there is to be measured: a call with six arguments.

use super::Operation;
use super::session::{Session, Trouble};
use paravane_sdk::hypercall::raw;

pub(super) const OPERATIONS: &[Operation] = &[Operation::new("debug_echo", echo)];

fn echo(session: &Session) -> Result<(), Trouble> {
    session.each(|| raw::debug_echo(1, 2, 3, 4, 5, 6).map(drop))
}
