//! Lifecycle.
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    StartVcpu,Create,Destroy,TripleFault
}

use super::{chunk::Outcome, host::Host, watch::Watch, guest::GuestRun};
pub fn native(_h:&Host,_e:Lifecycle,_s:u64,_w:&Watch)->Result<Outcome,String>{Ok(Outcome::Absent("todo".into()))}
pub fn paravirtual(_h:&GuestRun<'_>,_e:Lifecycle,_s:u64)->Result<Outcome,String>{Ok(Outcome::Absent("todo".into()))}
