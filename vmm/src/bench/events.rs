//! Interrupts.
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Shootdown,ExternalInterrupt,Nmi,SelfIpi,IpiRunning,IpiHalted,Eoi,ApicTimer,ApicTimerHalted
}
