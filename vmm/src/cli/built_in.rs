//! The guest kernel that this program has built in.
#![allow(unsafe_code)]

use rustix::mm::{Advice, madvise};

/// A file's contents, aligned as the structures in it are.
#[repr(C, align(4096))]
struct Aligned<Bytes: ?Sized>(Bytes);

static GUEST_KERNEL: &Aligned<[u8]> = &Aligned(*include_bytes!(env!("PARAVANE_GUEST_KERNEL")));

/// The guest kernel's image. `build.rs` builds it.
pub fn guest_kernel() -> &'static [u8] {
    &GUEST_KERNEL.0
}

/// Says that the image will not be read soon: its pages are memory of this process no more, and
/// come from the program's file again when they are.
pub fn let_go() {
    let image = guest_kernel();
    let size = image.len() / PAGE_SIZE * PAGE_SIZE;
    // SAFETY: the pages are whole ones of a constant, so nobody has written to them, and what they
    // hold is in the file.
    let advised = unsafe {
        madvise(
            image.as_ptr().cast_mut().cast(),
            size,
            Advice::LinuxDontNeed,
        )
    };
    if let Err(error) = advised {
        tracing::debug!(%error, "the built-in image stays in memory");
    }
}

const PAGE_SIZE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use paravane::image::Image;

    #[test]
    fn it_is_the_same_when_it_was_let_go() {
        let before = guest_kernel().to_vec();
        let_go();
        assert!(before == guest_kernel());
    }

    #[test]
    fn the_guest_kernel_is_an_image() {
        let image = Image::parse(guest_kernel()).unwrap();
        assert_eq!(image.name(), "paravane-guest-kernel");
        assert!(image.inspect().has_debug_info);
    }
}
