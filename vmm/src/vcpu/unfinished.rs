//! Calls that were left in the middle, because the VM was paused while they waited.

use super::run_page::Carried;
use super::saved::Resting;
use super::shared::VcpuShared;
use super::{Ending, Left, Vcpu, VcpuError};
use crate::hypercall::{self, Action, Arguments, CallContext, Services};
use serde::{Deserialize, Serialize};

/// The argument that is a call's time-out, where it has one.
const TIMEOUT: usize = 2;

/// A call that is carried out again from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnfinishedCall {
    carried: Carried,
    word: u64,
    arguments: Arguments,
}

impl UnfinishedCall {
    pub(super) fn new(carried: Carried, word: u64, arguments: Arguments) -> Self {
        Self {
            carried,
            word,
            arguments,
        }
    }

    fn set_timeout(&mut self, timeout: Option<u64>) {
        if let (Some(left), Some(argument)) = (timeout, self.arguments.get_mut(TIMEOUT)) {
            *argument = left;
        }
    }
}

impl Vcpu {
    /// Does what a call wants beside its answer, which it has unless it is to be repeated.
    #[cold]
    pub(super) fn conclude(
        &mut self,
        mut call: UnfinishedCall,
        action: Action,
        services: &Services,
        shared: &VcpuShared,
    ) -> Result<Option<Left>, VcpuError> {
        let Action::Repeat { timeout } = action else {
            return self.act(action, shared);
        };
        call.set_timeout(timeout);
        self.repeat(call, services, shared)
    }

    /// Carries a call out again until it is not left any more. Meanwhile the vCPU rests.
    pub(super) fn repeat(
        &mut self,
        mut call: UnfinishedCall,
        services: &Services,
        shared: &VcpuShared,
    ) -> Result<Option<Left>, VcpuError> {
        loop {
            if services.vcpus.stopping() {
                return Ok(Some(Left::End(Ending::Stopped)));
            }
            if shared.stop_requested() {
                return Ok(Some(Left::Stopped));
            }
            if services.vcpus.rest.is_wanted() {
                self.rest(Resting::Calling(&call), services, shared);
                continue;
            }
            let mut context = CallContext {
                services,
                vcpu: self.monitor.vcpu(),
                monitor: &self.monitor,
                stats: &shared.stats,
                action: None,
            };
            let result = hypercall::repeat(&mut context, call.word, &call.arguments);
            let action = context.action.take();
            if let Some(Action::Repeat { timeout }) = action {
                call.set_timeout(timeout);
                continue;
            }
            self.answer(call.carried, result)?;
            return action.map_or(Ok(None), |action| self.act(action, shared));
        }
    }

    /// Answers a call whose exit KVM may have completed since.
    fn answer(&mut self, carried: Carried, result: i64) -> Result<(), VcpuError> {
        if self.incomplete {
            self.page.answer(carried, result);
            return Ok(());
        }
        let mut registers = self.general()?;
        registers.rax = match carried {
            // IN of four bytes clears the rest of RAX.
            Carried::ByPort => u64::from(result as u32),
            Carried::ByHypercall => result as u64,
        };
        self.sync.set(&registers);
        Ok(())
    }

    /// Rests until the VM goes on, or somebody wants this vCPU to stop. Meanwhile it saves itself
    /// when it is asked to.
    pub(super) fn rest(&mut self, resting: Resting<'_>, services: &Services, shared: &VcpuShared) {
        let vcpu = self.monitor.vcpu();
        services.vcpus.rest_here(vcpu, shared, || {
            if shared.take_asked() {
                shared.put_saved(self.save(resting, shared));
                services.vcpus.rest.tell();
            }
        });
    }
}
