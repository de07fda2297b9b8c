//! The suite on this machine's own KVM.

use libtest_mimic::Arguments;
use paravane_tests::{program, suite};

fn main() {
    let arguments = Arguments::from_args();
    let trials = match program::has_local_kvm("the suite") {
        true => suite::trials(),
        false => Vec::new(),
    };
    libtest_mimic::run(&arguments, trials).exit();
}
