//! Runs the suite on the KVM at hand: what the lanes run inside.

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    libtest_mimic::run(&arguments, paravane_tests::suite::trials()).exit();
}
