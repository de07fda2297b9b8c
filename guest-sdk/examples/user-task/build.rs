fn main() {
    paravane_guest_build::configure();
    // Built in as TASK_PROGRAM_TALKER and so on.
    for program in ["talker", "forker", "trespasser"] {
        paravane_guest_build::task_program(&format!("programs/{program}.rs"));
    }
}
