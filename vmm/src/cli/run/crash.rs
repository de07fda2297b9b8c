//! Telling a person about a guest's crash.

use crate::cli::exit_code::notice;
use paravane::crash::{Explanation, explain};
use paravane::image::Image;
use paravane::vcpu::CrashState;
use paravane::vm::Vm;

/// Prints what happened to stderr, and gives it for the report.
pub fn print_crash(vm: &Vm, image: &Image, state: &CrashState) -> Explanation {
    let report = vm.crash_report();
    let explanation = explain(image, state, report.as_ref(), &|address| {
        vm.read_virtual(address)
    });
    notice(&explanation.to_string());
    explanation
}
