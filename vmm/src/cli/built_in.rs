//! The guest kernel that this program has built in.

/// A file's contents, aligned as the structures in it are.
#[repr(C, align(4096))]
struct Aligned<Bytes: ?Sized>(Bytes);

static GUEST_KERNEL: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("PARAVANE_GUEST_KERNEL")));

/// The guest kernel's image. `build.rs` builds it.
pub fn guest_kernel() -> &'static [u8] {
    &GUEST_KERNEL.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use paravane::image::Image;

    #[test]
    fn the_guest_kernel_is_an_image() {
        let image = Image::parse(guest_kernel()).unwrap();
        assert_eq!(image.name(), "paravane-guest-kernel");
        assert!(image.inspect().has_debug_info);
    }
}
