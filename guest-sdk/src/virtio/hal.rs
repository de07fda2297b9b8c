//! Memory for the drivers of `virtio-drivers`.

#![allow(unsafe_code)]

use crate::address;
use crate::pages::Pages;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::NonNull;
use pv_abi::Gpa;
use virtio_drivers::{BufferDirection, PAGE_SIZE, PhysAddr};

/// The guest's memory as those drivers see it.
///
/// What they share with a device may lie on the heap, on a stack or in the image: all of that is in
/// RAM. It is copied only where it crosses from one such region into another.
#[derive(Clone, Copy, Debug)]
pub struct Hal;

// SAFETY: `dma_alloc` gives pages that belong to nobody else until `dma_dealloc`; no memory of
// devices is mapped.
unsafe impl virtio_drivers::Hal for Hal {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // No memory is told by the address 0, which the heap does not have.
        let none = (0, NonNull::dangling());
        let Some(size) = pages.checked_mul(PAGE_SIZE) else {
            return none;
        };
        let Some((gpa, start)) = Pages::zeroed(size).and_then(|pages| {
            let (gpa, start) = (pages.gpa().0, NonNull::new(pages.as_ptr())?);
            core::mem::forget(pages);
            Some((gpa, start))
        }) else {
            return none;
        };
        (gpa, start)
    }

    unsafe fn dma_dealloc(_: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: `dma_alloc` forgot the pages, whose size this is.
        drop(unsafe { Pages::from_raw(start, pages * PAGE_SIZE) });
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        panic!("no device of this VM has registers in memory")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        if let Some(gpa) = gpa_of(buffer) {
            return gpa.0;
        }
        let size = buffer.len();
        let mut copy = Box::<[u8]>::new_uninit_slice(size);
        let start = copy.as_mut_ptr().cast::<u8>();
        // SAFETY: both are so large; what the device only writes is copied too, so that it is
        // initialized.
        unsafe { start.copy_from_nonoverlapping(buffer.cast().as_ptr(), size) };
        let copy = NonNull::from(Box::leak(copy));
        match address::virt_to_phys(copy.cast::<u8>().as_ptr(), size) {
            Some(gpa) => gpa.0,
            None => panic!("the heap is not in RAM"),
        }
    }

    unsafe fn unshare(address: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        if gpa_of(buffer).is_some() {
            return;
        }
        let size = buffer.len();
        let Some(copy) = address::phys_to_virt(Gpa(address), size) else {
            return;
        };
        // SAFETY: `share` made the copy, of this size, and leaked it.
        unsafe {
            if direction != BufferDirection::DriverToDevice {
                buffer
                    .cast::<u8>()
                    .as_ptr()
                    .copy_from_nonoverlapping(copy, size);
            }
            if let Ok(layout) = Layout::array::<u8>(size) {
                alloc::alloc::dealloc(copy, layout);
            }
        }
    }
}

fn gpa_of(buffer: NonNull<[u8]>) -> Option<Gpa> {
    address::virt_to_phys(buffer.cast::<u8>().as_ptr(), buffer.len())
}
