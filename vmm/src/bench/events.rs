//! Interrupts.
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Shootdown,ExternalInterrupt,Nmi,SelfIpi,IpiRunning,IpiHalted,Eoi,ApicTimer,ApicTimerHalted
}

use super::{chunk::Outcome, host::Host, watch::Watch};
pub fn measure(_h:&Host,_e:Event,_s:u64,_w:&Watch)->Result<Outcome,String>{Ok(Outcome::Absent("todo".into()))}
