//! The ports of a VM in a snapshot. What they share with the guest is memory, and is saved there.

use super::port::{Kind, Source};
use super::{Events, protocol};
use crate::snapshot::Inconsistent;
use crate::sync::lock;
use crate::time::timers::Timers;
use crate::vcpu::shared::Vcpus;
use pv_abi::event::{EVENT_PORTS, TIMERS_MAX};
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A port that is not free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedPort {
    /// Its number.
    pub port: u32,
    /// The vCPU that it belongs to.
    pub vcpu: u32,
    /// What raises it.
    pub kind: SavedKind,
}

/// What raises a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SavedKind {
    /// The guest.
    Alloc,
    /// The guest; the port stays with its vCPU.
    Ipi,
    /// Its timer.
    Timer,
    /// The VMM: `EVENT_SOURCE_*`.
    Source(u32),
}

impl SavedKind {
    fn of(kind: Kind) -> Option<Self> {
        Some(match kind {
            Kind::Free => return None,
            Kind::Alloc => Self::Alloc,
            Kind::Ipi => Self::Ipi,
            Kind::Timer => Self::Timer,
            Kind::Source(source) => Self::Source(source.number()),
        })
    }

    fn kind(self) -> Option<Kind> {
        Some(match self {
            Self::Alloc => Kind::Alloc,
            Self::Ipi => Kind::Ipi,
            Self::Timer => Kind::Timer,
            Self::Source(number) => Kind::Source(Source::of(number)?),
        })
    }
}

impl Events {
    /// The ports that are not free. No vCPU runs.
    pub fn save(&self) -> Vec<SavedPort> {
        let _table = lock(&self.table);
        let ports = (0..).zip(&self.ports);
        let saved = ports.filter_map(|(number, port)| {
            let (kind, vcpu) = port.read();
            Some(SavedPort {
                port: number,
                vcpu,
                kind: SavedKind::of(kind)?,
            })
        });
        saved.collect()
    }

    /// Gives the ports of a VM that has not run to what they were given before. `has_source` says
    /// which sources there are.
    ///
    /// # Errors
    ///
    /// They cannot have been so.
    pub fn restore(
        &self,
        saved: &[SavedPort],
        timers: &Timers,
        has_source: impl Fn(Source) -> bool,
    ) -> Result<(), Inconsistent> {
        let mut table = lock(&self.table);
        for one in saved {
            let SavedPort { port, vcpu, .. } = *one;
            let wrong = |what| Inconsistent(format!("port {port} {what}"));
            let state = self
                .ports
                .get(port as usize)
                .filter(|_| port != 0)
                .ok_or_else(|| wrong("does not exist"))?;
            if state.read().0 != Kind::Free {
                return Err(wrong("is there twice"));
            }
            if self.check_vcpu(vcpu).is_err() {
                return Err(wrong("belongs to a vCPU that does not exist"));
            }
            let kind = one.kind.kind().ok_or_else(|| wrong("has no such source"))?;
            match kind {
                Kind::Source(source) => {
                    let slot = self.source(source);
                    if !has_source(source) || slot.load(Ordering::SeqCst) != 0 {
                        return Err(wrong("has a source that does not exist, or has another"));
                    }
                    slot.store(port, Ordering::SeqCst);
                }
                Kind::Timer if table.timers == TIMERS_MAX => {
                    return Err(wrong("is one timer too many"));
                }
                Kind::Timer => {
                    timers.make_room(vcpu);
                    table.timers += 1;
                }
                _ => {}
            }
            table.free.take(port);
            state.set(kind, vcpu);
        }
        Ok(())
    }

    /// Tells every vCPU of the ports of its own that are pending. A thread may have been about to
    /// tell of one when the memory was saved.
    pub fn tell_again(&self, vcpus: &Vcpus) {
        for (number, state) in self.ports.iter().enumerate().take(EVENT_PORTS) {
            if state.read().0 == Kind::Free {
                continue;
            }
            let mut told = 0;
            let _ = protocol::retell(&self.pages.ports(), number, || {
                self.target_of(state, &mut told)
            });
        }
        for vcpu in 0..vcpus.count() {
            vcpus.notify(vcpu);
        }
    }
}
