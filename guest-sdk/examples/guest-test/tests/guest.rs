//! The tests of the guest, each in a VM of its own.

fn main() -> std::process::ExitCode {
    paravane_guest_test::main()
}
