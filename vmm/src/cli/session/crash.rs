//! What there is to tell about a guest's crash.

use paravane::crash::{Explanation, explain};
use paravane::image::Image;
use paravane::vcpu::CrashState;
use paravane::vm::Vm;

/// What happened.
pub fn explain_crash(vm: &Vm, image: &Image, state: &CrashState) -> Explanation {
    let report = vm.crash_report();
    explain(image, state, report.as_ref(), &|address| {
        vm.read_virtual(state.system.cr3, address)
    })
}
