//! The suite on this machine's own KVM.

use libtest_mimic::{Arguments, Trial};
use paravane_tests::suite;

fn main() {
    let arguments = Arguments::from_args();
    let required = std::env::var("PARAVANE_LANES").is_ok_and(|lanes| lanes == "required");
    let trials = match std::fs::File::open("/dev/kvm") {
        Ok(_) => {
            println!("lane local: running the suite on /dev/kvm");
            suite::trials()
        }
        Err(error) => {
            println!("lane local: SKIPPED, /dev/kvm cannot be opened: {error}");
            let trial = Trial::test("local", move || match required {
                true => Err(format!("/dev/kvm cannot be opened: {error}").into()),
                false => Ok(()),
            });
            vec![trial.with_ignored_flag(!required)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit();
}
