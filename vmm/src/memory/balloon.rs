//! Giving RAM back to the host, and taking it again: what a balloon driver is for elsewhere.
//!
//! RAM is private anonymous memory, so the host's kernel can drop a page's contents and supply
//! zeros at the next touch. It does so for every KVM by itself: madvise(2) fires the MMU
//! notifier, which removes the pages from the guest's second-level or shadow page tables before
//! they are freed.
//!
//! Where the host backs RAM by transparent huge pages, it splits one of which only a part is
//! given back, and frees it when all of it is, or when memory gets short. So 2 MiB at a time are
//! the better way to give back much.
#![allow(unsafe_code)]

use super::Ram;
use pv_abi::address_space::PAGE_SIZE;
use pv_abi::{Errno, Gpa};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a VM that was restored gives memory back by a mapping; then it writes zeros.
const PIECES_MAX: u64 = 4096;

impl Ram {
    /// Gives the memory behind a range of pages back to the host. They read as zero from then
    /// on, and take memory again when they are written.
    pub fn release(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        if let Some(pieces) = &self.pieces {
            return self.replace(gpa, size, pieces);
        }
        match self.advise(gpa, size, Advice::LinuxDontNeed)? {
            Ok(()) => Ok(()),
            // Memory that somebody has locked (mlockall) stays with the process.
            Err(_) => self.clear(gpa, size),
        }
    }

    /// Lets the host take the memory behind a range of pages when it needs some. Until they are
    /// written again, they hold what they held or zeros.
    pub fn hint_free(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        // A host that does not take the hint keeps what is there.
        self.advise(gpa, size, Advice::LinuxFree).map(|_| ())
    }

    /// Takes memory of the host for a range of pages, without a change to what they hold.
    /// [`Errno::ENOMEM`] when the host has none.
    pub fn populate(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        #[cfg(test)]
        tests::check_host_has_memory()?;
        match self.advise(gpa, size, Advice::LinuxPopulateWrite)? {
            Ok(()) => Ok(()),
            // Linux before 5.14 cannot: the guest pays for its faults as it comes to them.
            Err(rustix::io::Errno::INVAL) => Ok(()),
            Err(_) => Err(Errno::ENOMEM),
        }
    }

    /// Advises the host's kernel about a range of pages: its answer, or why there is no range.
    fn advise(
        &self,
        gpa: Gpa,
        size: u64,
        advice: Advice,
    ) -> Result<Result<(), rustix::io::Errno>, Errno> {
        let start = self.page_range(gpa, size)?;
        // SAFETY: the range lies in the mapping that `self` owns. Each advice that this module
        // gives leaves every byte as it is or makes it zero, at any moment, which a guest may do
        // as well: nobody holds a reference to RAM, and whoever reads it copies bytes of which
        // any value is valid.
        Ok(unsafe { madvise(start.cast(), size as usize, advice) })
    }

    /// Gives back pages of a VM that was restored: dropped, they would read as the snapshot's file
    /// does. So memory of its own is mapped over them.
    fn replace(&self, gpa: Gpa, size: u64, pieces: &AtomicU64) -> Result<(), Errno> {
        let start = self.page_range(gpa, size)?;
        // Each can make two mappings more of one, of which a process has a limited number.
        if pieces.fetch_add(1, Ordering::Relaxed) >= PIECES_MAX {
            return self.clear(gpa, size);
        }
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range lies in the mapping that `self` owns, and is mapped for reading and
        // writing all the time. It becomes zero, as in `advise`.
        match unsafe { mmap_anonymous(start.cast(), size as usize, protection, flags) } {
            Ok(_) => Ok(()),
            Err(_) => self.clear(gpa, size),
        }
    }

    fn clear(&self, gpa: Gpa, size: u64) -> Result<(), Errno> {
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            self.write(Gpa(gpa.0 + offset), &[0; PAGE_SIZE as usize])?;
        }
        Ok(())
    }

    /// Where the VMM has a range mapped. madvise(2) takes whole pages, so anything else is
    /// refused.
    fn page_range(&self, gpa: Gpa, size: u64) -> Result<*mut u8, Errno> {
        self.check_range(gpa, size)?;
        if !gpa.0.is_multiple_of(PAGE_SIZE) || !size.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let address = self.host_address() + gpa.0;
        Ok(std::ptr::with_exposed_provenance_mut(address as usize))
    }
}

#[cfg(test)]
pub(crate) use tests::while_the_host_has_no_memory;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    const RAM_SIZE: u64 = 8 << 20;
    const PAGES: u64 = RAM_SIZE / PAGE_SIZE;

    thread_local! {
        static HAS_MEMORY: Cell<bool> = const { Cell::new(true) };
    }

    /// Runs `action` on a host that has no memory to give.
    pub(crate) fn while_the_host_has_no_memory<T>(action: impl FnOnce() -> T) -> T {
        HAS_MEMORY.set(false);
        let result = action();
        HAS_MEMORY.set(true);
        result
    }

    pub(super) fn check_host_has_memory() -> Result<(), Errno> {
        if HAS_MEMORY.get() {
            Ok(())
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// How many pages of RAM the host has memory for (mincore(2)).
    fn resident(ram: &Ram) -> usize {
        let mut pages = [0u8; PAGES as usize];
        // SAFETY: mincore writes a byte for each page, and there are as many.
        let result = unsafe {
            libc::mincore(
                ram.host_address() as *mut libc::c_void,
                RAM_SIZE as usize,
                pages.as_mut_ptr(),
            )
        };
        assert_eq!(result, 0);
        pages.iter().filter(|&&page| page & 1 != 0).count()
    }

    fn full_ram() -> Ram {
        let ram = Ram::new(RAM_SIZE).unwrap();
        for page in 0..PAGES {
            ram.write(Gpa(page * PAGE_SIZE), &[1]).unwrap();
        }
        ram
    }

    #[test]
    fn released_memory_is_the_hosts_and_reads_as_zero() {
        let ram = full_ram();
        assert_eq!(resident(&ram), PAGES as usize);
        ram.release(Gpa(PAGE_SIZE), RAM_SIZE - 2 * PAGE_SIZE)
            .unwrap();
        assert_eq!(resident(&ram), 2);
        for (page, expected) in [(0, 1), (1, 0), (PAGES / 2, 0), (PAGES - 1, 1)] {
            let mut byte = [9];
            ram.read(Gpa(page * PAGE_SIZE), &mut byte).unwrap();
            assert_eq!(byte, [expected], "page {page}");
        }
    }

    #[test]
    fn locked_memory_reads_as_zero_too() {
        let ram = full_ram();
        // SAFETY: the page lies in the mapping that `ram` owns.
        let result = unsafe { libc::mlock(ram.host_address() as *const libc::c_void, 4096) };
        assert_eq!(result, 0);
        ram.release(Gpa(0), 2 * PAGE_SIZE).unwrap();
        let mut byte = [9];
        ram.read(Gpa(0), &mut byte).unwrap();
        assert_eq!(byte, [0]);
    }

    #[test]
    fn populated_memory_is_there_and_holds_what_it_held() {
        let ram = Ram::new(RAM_SIZE).unwrap();
        ram.write(Gpa(PAGE_SIZE + 7), b"kept").unwrap();
        ram.populate(Gpa(0), RAM_SIZE).unwrap();
        assert_eq!(resident(&ram), PAGES as usize);
        let mut bytes = [0; 4];
        ram.read(Gpa(PAGE_SIZE + 7), &mut bytes).unwrap();
        assert_eq!(&bytes, b"kept");
    }

    #[test]
    fn what_is_no_range_of_pages_is_refused() {
        let ram = Ram::new(RAM_SIZE).unwrap();
        for advise in [Ram::release, Ram::hint_free, Ram::populate] {
            for (gpa, size, errno) in [
                (RAM_SIZE, PAGE_SIZE, Errno::EFAULT),
                (PAGE_SIZE, RAM_SIZE, Errno::EFAULT),
                (PAGE_SIZE, 0u64.wrapping_sub(PAGE_SIZE), Errno::EFAULT),
                (1, PAGE_SIZE, Errno::EINVAL),
                (0, PAGE_SIZE - 1, Errno::EINVAL),
            ] {
                assert_eq!(advise(&ram, Gpa(gpa), size), Err(errno));
            }
        }
    }

    proptest! {
        #[test]
        fn a_hinted_page_holds_what_it_held_or_zeros_until_it_is_written(
            hinted in proptest::collection::vec((0..PAGES, 1..64u64), 1..8),
        ) {
            let ram = full_ram();
            for (page, pages) in hinted {
                let size = pages.min(PAGES - page) * PAGE_SIZE;
                ram.hint_free(Gpa(page * PAGE_SIZE), size).unwrap();
                let mut bytes = [9; PAGE_SIZE as usize];
                ram.read(Gpa(page * PAGE_SIZE), &mut bytes).unwrap();
                prop_assert!(bytes[0] <= 1 && bytes[1..] == [0; PAGE_SIZE as usize - 1]);
                ram.write(Gpa(page * PAGE_SIZE), &[1]).unwrap();
            }
        }
    }
}
