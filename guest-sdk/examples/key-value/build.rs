fn main() {
    paravane_guest_build::configure();
}
