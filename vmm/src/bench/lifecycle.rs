//! Lifecycle.
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    StartVcpu,Create,Destroy,TripleFault
}
