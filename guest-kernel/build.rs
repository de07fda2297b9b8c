//! Links the kernel as a Paravane guest image.

fn main() {
    paravane_guest_build::configure();
}
