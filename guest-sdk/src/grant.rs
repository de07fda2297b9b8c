//! Grants: memory that this guest shares with another one of the same VMM.
//!
//! One guest gives a [`Grant`] of some of its pages to another, which finds it among its
//! [`offers`] and attaches it ([`Attached`]). Both then reach the same [`SharedMemory`], until
//! either drops its end. Needs [`Features::GRANTS`](pv_abi::Features::GRANTS).
//!
//! The other guest may be hostile. It can change what is shared at any time, so read what you need
//! once and check it then; and a guest that granted something can take it back at any time, so
//! every access can fail.

#![allow(unsafe_code)]

use crate::access::{self, Gone};
use crate::hypercall::raw;
use crate::pages::Pages;
use crate::{address, start_info};
use alloc::vec::Vec;
use core::mem::ManuallyDrop;
use core::ptr::with_exposed_provenance_mut;
use pv_abi::Errno;
use pv_abi::grant::{Attachment, GRANTS, Offer as AbiOffer};
use pv_abi::mapping::Mapping;
use pv_abi::start_info::{RIGHT_READ, RIGHT_WRITE};

/// What another guest may do with shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

impl Rights {
    fn bits(self) -> u32 {
        match self {
            Self::Read => RIGHT_READ,
            Self::ReadWrite => RIGHT_READ | RIGHT_WRITE,
        }
    }

    fn from_bits(bits: u32) -> Self {
        if bits & RIGHT_WRITE == 0 {
            Self::Read
        } else {
            Self::ReadWrite
        }
    }
}

/// Memory that two guests share: bytes that can change at any time, and be gone.
#[derive(Debug)]
pub struct SharedMemory {
    start: *mut u8,
    size: usize,
}

// SAFETY: every access allows for others at the same time.
unsafe impl Send for SharedMemory {}
// SAFETY: likewise.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// Size in bytes, a multiple of 4096.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Where it begins. To access it otherwise than by the methods here is for code that can
    /// stand a #PF, and values that change.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start
    }

    /// Copies bytes from it. While the other guest writes to them, they may be some of before and
    /// some of after.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the other guest has taken the memory back.
    ///
    /// # Panics
    ///
    /// When it has no such bytes.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), Gone> {
        let from = self.at(offset, bytes.len());
        // SAFETY: the buffer is ours, and the memory is shared memory, or gone.
        unsafe { access::copy(bytes.as_mut_ptr(), from, bytes.len()) }
    }

    /// Copies bytes to it.
    ///
    /// # Errors
    ///
    /// [`Gone`] when the other guest has taken the memory back, or has granted it to be read only.
    ///
    /// # Panics
    ///
    /// When it has no such bytes.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Gone> {
        let to = self.at(offset, bytes.len());
        // SAFETY: as in `read`.
        unsafe { access::copy(to, bytes.as_ptr(), bytes.len()) }
    }

    /// Reads a word in one access. It sees what the other guest wrote before it stored the word.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    ///
    /// # Panics
    ///
    /// When it has no such word, or when the offset is not a multiple of 4.
    pub fn load(&self, offset: usize) -> Result<u32, Gone> {
        // SAFETY: as in `read`.
        unsafe { access::load(self.word_at(offset)) }
    }

    /// Writes a word in one access, behind all writes before it.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// As [`load`](Self::load).
    pub fn store(&self, offset: usize, word: u32) -> Result<(), Gone> {
        // SAFETY: as in `read`.
        unsafe { access::store(self.word_at(offset), word) }
    }

    #[track_caller]
    fn word_at(&self, offset: usize) -> *mut u32 {
        assert!(offset.is_multiple_of(4), "no word is at offset {offset}");
        self.at(offset, 4).cast()
    }

    #[track_caller]
    fn at(&self, offset: usize, size: usize) -> *mut u8 {
        let fits = offset.checked_add(size).is_some_and(|end| end <= self.size);
        assert!(
            fits,
            "{size} bytes at {offset} of {} shared ones",
            self.size
        );
        self.start.wrapping_add(offset)
    }
}

/// Pages that this guest has granted another one. When it is dropped the grant is taken back.
#[derive(Debug)]
pub struct Grant {
    number: u32,
    guest: u32,
    memory: SharedMemory,
    pages: ManuallyDrop<Pages>,
}

impl Grant {
    /// Grants a guest the use of some pages, and of what is in them: take
    /// [`Pages::zeroed`] where that is not its business.
    ///
    /// # Errors
    ///
    /// Those of `mem_share`, such as [`Errno::ENOENT`] when there is no such other guest.
    pub fn give(guest: u32, pages: Pages, rights: Rights) -> Result<Self, Errno> {
        let memory = SharedMemory {
            start: pages.as_ptr(),
            size: pages.size(),
        };
        let size = pages.size() as u64;
        // SAFETY: there is no reference into the pages, and there will be none before they are
        // dropped, which is after the grant is taken back.
        let number = unsafe { raw::mem_share(guest, pages.gpa(), size, rights.bits()) }?;
        Ok(Self {
            number,
            guest,
            memory,
            pages: ManuallyDrop::new(pages),
        })
    }

    /// Takes the grant back, and the pages. When this returns, nobody else can touch them; they
    /// hold what was written last.
    pub fn take_back(self) -> Pages {
        self.revoke();
        let mut grant = ManuallyDrop::new(self);
        // SAFETY: they are taken once, as the grant is not dropped.
        unsafe { ManuallyDrop::take(&mut grant.pages) }
    }

    fn revoke(&self) {
        if let Err(error) = raw::mem_unshare(self.number) {
            panic!("grant {} cannot be taken back: {error}", self.number);
        }
    }

    /// Its number, by which the other guest attaches it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The guest that it is given to.
    pub fn guest(&self) -> u32 {
        self.guest
    }

    /// The memory.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.revoke();
        // SAFETY: nobody else has them, and nothing comes after this.
        unsafe { ManuallyDrop::drop(&mut self.pages) };
    }
}

/// A grant that another guest offers this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The guest that gave it.
    pub guest: u32,
    /// Its number there.
    pub number: u32,
    /// Size in bytes.
    pub size: u64,
    /// What this guest may do with it.
    pub rights: Rights,
    /// Whether it is attached.
    pub is_attached: bool,
}

/// What other guests offer this one, in no order; the first [`GRANTS`] when there are more.
///
/// # Errors
///
/// [`Errno::ENOSYS`] where the VMM has no grants.
pub fn offers() -> Result<Vec<Offer>, Errno> {
    let mut offers = [AbiOffer::default(); GRANTS];
    let gpa = address::virt_to_phys(offers.as_mut_ptr(), size_of_val(&offers));
    // SAFETY: the call writes to the array, which is ours.
    let count = unsafe { raw::mem_offers(gpa.ok_or(Errno::EFAULT)?, GRANTS as u32) }?;
    let offer = |offer: &AbiOffer| Offer {
        guest: offer.guest,
        number: offer.grant,
        size: offer.size,
        rights: Rights::from_bits(offer.rights),
        is_attached: offer.attached != 0,
    };
    Ok(offers.iter().take(count as usize).map(offer).collect())
}

/// A grant of another guest's, mapped into this one's kernel. When it is dropped, it is detached.
#[derive(Debug)]
pub struct Attached {
    guest: u32,
    number: u32,
    memory: SharedMemory,
}

impl Attached {
    /// Attaches a grant of `guest` and maps it, where the linear map would show it.
    ///
    /// # Errors
    ///
    /// Those of `mem_attach` and `as_map`. [`Errno::ENOENT`] and [`Errno::EFAULT`] say that the
    /// grant has been taken back.
    pub fn new(guest: u32, number: u32) -> Result<Self, Errno> {
        let mut attachment = Attachment::default();
        let gpa = address::virt_to_phys(&raw mut attachment, size_of_val(&attachment));
        // SAFETY: the call writes to the structure, which is ours.
        unsafe { raw::mem_attach(guest, number, gpa.ok_or(Errno::EFAULT)?) }?;
        // Behind RAM, so nothing else is ever mapped there.
        let address = start_info::get().page().linear_map + attachment.gpa;
        // From here on, dropping it detaches it.
        let attached = Self {
            guest,
            number,
            memory: SharedMemory {
                start: with_exposed_provenance_mut(address as usize),
                size: attachment.size as usize,
            },
        };
        let mapping = Mapping {
            address,
            gpa: attachment.gpa,
            size: attachment.size,
            rights: attachment.rights,
            reserved: 0,
        };
        // SAFETY: it maps what was mapped nowhere, at an address that is used for nothing else.
        unsafe { raw::as_map(0, address::of(&mapping), 1) }?;
        Ok(attached)
    }

    /// The guest that gave the grant.
    pub fn guest(&self) -> u32 {
        self.guest
    }

    /// Its number there.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The memory.
    pub fn memory(&self) -> &SharedMemory {
        &self.memory
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        // SAFETY: there is no reference into the memory. It fails when the grant was taken back,
        // and then there is nothing to detach.
        let _ = unsafe { raw::mem_detach(self.guest, self.number) };
    }
}
