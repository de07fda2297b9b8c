//! The memory that events share with the guest: the event page, and two fields of each vCPU page.
//!
//! A guest writes there whatever it likes, at any time. Each word is changed by one atomic
//! instruction at a time, there is never a reference to it, and no value that is read there
//! says where to read or write next.
#![allow(unsafe_code)]

use crate::memory::PrivateMemory;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::event::{EVENT_WORDS, EventPage};
use pv_abi::event_protocol::{Ports, Target, Word};
use pv_abi::vcpu_page::VcpuPage;
use std::marker::PhantomData;
use std::mem::{offset_of, size_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Where this process has those pages.
#[derive(Debug)]
pub struct Pages {
    _memory: Arc<PrivateMemory>,
    event_page: usize,
    vcpu_pages: Box<[usize]>,
}

impl Pages {
    /// The pages at these guest-physical addresses of private memory.
    ///
    /// # Panics
    ///
    /// When one of them is not a page of private memory: a defect of the VMM.
    pub fn new(memory: Arc<PrivateMemory>, event_page: u64, vcpu_pages: &[u64]) -> Self {
        let host_address = |gpa: u64| {
            let end = memory.start() + memory.size();
            assert!(
                gpa.is_multiple_of(PAGE_SIZE) && gpa >= memory.start() && gpa + PAGE_SIZE <= end
            );
            (memory.host_address() + (gpa - memory.start())) as usize
        };
        Self {
            event_page: host_address(event_page),
            vcpu_pages: vcpu_pages.iter().map(|&gpa| host_address(gpa)).collect(),
            _memory: memory,
        }
    }

    /// Number of vCPUs.
    pub fn vcpus(&self) -> u32 {
        self.vcpu_pages.len() as u32
    }

    /// The event page.
    #[inline]
    pub fn ports(&self) -> PortWords<'_> {
        PortWords(self)
    }

    /// A vCPU's page. The number is below [`Pages::vcpus`].
    #[inline]
    pub fn target(&self, vcpu: u32) -> VcpuWords<'_> {
        VcpuWords {
            page: self.vcpu_pages[vcpu as usize],
            _pages: PhantomData,
        }
    }
}

/// A word of one of these pages.
#[derive(Debug)]
struct SharedWord<'a> {
    address: usize,
    _pages: PhantomData<&'a Pages>,
}

impl SharedWord<'_> {
    #[inline]
    fn with<T>(&self, operation: impl FnOnce(&AtomicU64) -> T) -> T {
        let word = std::ptr::with_exposed_provenance_mut(self.address);
        // SAFETY: the address is that of an aligned word in private memory, which is mapped as
        // long as the pages live. The reference is gone after one operation, all that happens
        // through it is atomic, and no other code of this process accesses these words
        // otherwise.
        operation(unsafe { AtomicU64::from_ptr(word) })
    }
}

impl Word for SharedWord<'_> {
    #[inline]
    fn load(&self) -> u64 {
        self.with(|word| word.load(Ordering::SeqCst))
    }

    #[inline]
    fn fetch_or(&self, bits: u64) -> u64 {
        self.with(|word| word.fetch_or(bits, Ordering::SeqCst))
    }

    #[inline]
    fn fetch_and(&self, bits: u64) -> u64 {
        self.with(|word| word.fetch_and(bits, Ordering::SeqCst))
    }
}

/// The event page.
#[derive(Debug)]
pub struct PortWords<'a>(&'a Pages);

impl PortWords<'_> {
    #[inline]
    fn word(&self, offset: usize, index: usize) -> SharedWord<'_> {
        SharedWord {
            address: self.0.event_page + offset + index % EVENT_WORDS * size_of::<u64>(),
            _pages: PhantomData,
        }
    }
}

impl Ports for PortWords<'_> {
    #[inline]
    fn pending(&self, index: usize) -> impl Word {
        self.word(offset_of!(EventPage, pending), index)
    }

    #[inline]
    fn mask(&self, index: usize) -> impl Word {
        self.word(offset_of!(EventPage, mask), index)
    }
}

/// A vCPU's page.
#[derive(Debug)]
pub struct VcpuWords<'a> {
    page: usize,
    _pages: PhantomData<&'a Pages>,
}

impl VcpuWords<'_> {
    #[inline]
    fn with_upcall_pending<T>(&self, operation: impl FnOnce(&AtomicU8) -> T) -> T {
        let address = self.page + offset_of!(VcpuPage, upcall_pending);
        let byte = std::ptr::with_exposed_provenance_mut(address);
        // SAFETY: as in `SharedWord::with`; a byte has no alignment.
        operation(unsafe { AtomicU8::from_ptr(byte) })
    }

    /// Whether the vCPU has been told of something.
    #[inline]
    pub fn upcall_pending(&self) -> bool {
        self.with_upcall_pending(|byte| byte.load(Ordering::SeqCst) != 0)
    }
}

impl Target for VcpuWords<'_> {
    #[inline]
    fn selector(&self) -> impl Word {
        SharedWord {
            address: self.page + offset_of!(VcpuPage, event_selector),
            _pages: PhantomData,
        }
    }

    #[inline]
    fn set_upcall_pending(&self) -> bool {
        self.with_upcall_pending(|byte| byte.swap(1, Ordering::SeqCst) != 0)
    }

    #[inline]
    fn clear_upcall_pending(&self) {
        self.with_upcall_pending(|byte| byte.store(0, Ordering::SeqCst));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::event_protocol::place;

    #[test]
    fn the_words_are_where_the_guest_has_them() {
        let memory = Arc::new(PrivateMemory::new(0x10_0000, 3).unwrap());
        let [events, first, second] = [0, 1, 2].map(|_| memory.allocate(1).unwrap());
        let pages = Pages::new(Arc::clone(&memory), events, &[first, second]);
        let word =
            |page: u64, offset: usize| -> u64 { memory.read_struct(page + offset as u64).unwrap() };
        let (index, bit) = place(64 * 5 + 3);
        pages.ports().pending(index).fetch_or(bit);
        pages.ports().mask(63).fetch_or(1 << 63);
        assert_eq!(word(events, offset_of!(EventPage, pending) + 40), 8);
        assert_eq!(word(events, offset_of!(EventPage, mask) + 63 * 8), 1 << 63);
        assert_eq!(pages.vcpus(), 2);
        pages.target(1).selector().fetch_or(1 << index);
        assert!(!pages.target(1).set_upcall_pending());
        assert!(pages.target(1).upcall_pending());
        assert_eq!(word(second, offset_of!(VcpuPage, event_selector)), 1 << 5);
        assert_eq!(word(first, offset_of!(VcpuPage, event_selector)), 0);
        // The guest's byte beside it is left alone.
        assert_eq!(word(second, 8) >> 32, 1 << 8);
    }
}
