//! The guest kernel that this program has built in, and letting go of what is in its file.
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

/// Says that the image will not be read soon.
pub fn let_go() {
    let image = guest_kernel().as_ptr_range();
    // SAFETY: it is a constant of this program.
    unsafe { forget(image.start, image.end) };
}

unsafe extern "C" {
    // Where the linker says that the program begins and its code ends: constants and code.
    #[link_name = "__executable_start"]
    static PROGRAM_START: u8;
    #[link_name = "etext"]
    static CODE_END: u8;
}

/// Says that most of this program's code has done its work: what reads command lines and images,
/// measures and draws is not needed while a guest runs.
pub fn let_go_of_code() {
    // SAFETY: both delimit this program's constants and code.
    unsafe { forget(&raw const PROGRAM_START, &raw const CODE_END) };
    // SAFETY: `forget_code_of` fits, and takes no data.
    unsafe { libc::dl_iterate_phdr(Some(forget_code_of), std::ptr::null_mut()) };
}

/// Has the code of one of the process's objects come from its file again: the loader leaves most of a
/// C library in memory, to find out what suits this processor.
///
/// # Safety
///
/// Only `dl_iterate_phdr` calls it.
unsafe extern "C" fn forget_code_of(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    _data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader says what it has loaded, and does not change it meanwhile.
    let (info, headers) = unsafe {
        let info = &*info;
        let count = usize::from(info.dlpi_phnum);
        (info, std::slice::from_raw_parts(info.dlpi_phdr, count))
    };
    for header in headers {
        let is_code = header.p_type == libc::PT_LOAD
            && header.p_flags & (libc::PF_X | libc::PF_W) == libc::PF_X;
        if is_code {
            let start = info.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
            let start = std::ptr::with_exposed_provenance::<u8>(start);
            // SAFETY: a segment without the right to write, which is as it is in its file.
            unsafe { forget(start, start.wrapping_add(header.p_memsz as usize)) };
        }
    }
    0
}

/// Has whole pages of what lies between two addresses be memory of this process no more; they come
/// from the program's file again when they are used.
///
/// # Safety
///
/// They are of this program's file, and nobody has written to them.
unsafe fn forget(start: *const u8, end: *const u8) {
    let begin = start.addr().next_multiple_of(PAGE_SIZE);
    let size = (end.addr() / PAGE_SIZE * PAGE_SIZE).saturating_sub(begin);
    // SAFETY: what the pages hold is in the file (the contract of this function).
    let advised = unsafe {
        madvise(
            start.with_addr(begin).cast_mut().cast(),
            size,
            Advice::LinuxDontNeed,
        )
    };
    if let Err(error) = advised {
        tracing::debug!(%error, "what is not needed stays in memory");
    }
}

const PAGE_SIZE: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use paravane::image::Image;

    #[test]
    fn code_runs_when_it_was_let_go() {
        let_go_of_code();
        assert_eq!(guest_kernel().get(..4), Some(&b"\x7fELF"[..]));
    }

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
