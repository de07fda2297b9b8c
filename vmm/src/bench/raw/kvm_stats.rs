//! KVM's own counters of a vCPU (KVM's documentation, 4.133, KVM_GET_STATS_FD; Linux 5.14).
#![allow(unsafe_code)]

use kvm_bindings::KVMIO;
use kvm_ioctls::VcpuFd;
use std::fs::File;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use vmm_sys_util::ioctl::ioctl;
use vmm_sys_util::ioctl_io_nr;

/// What kvm-ioctls does not have.
mod request {
    #![allow(missing_docs, reason = "the macro makes an undocumented function")]
    use super::{KVMIO, ioctl_io_nr};
    ioctl_io_nr!(KVM_GET_STATS_FD, KVMIO, 0xce);
}

/// Bytes of a descriptor without its name (`struct kvm_stats_desc`).
const DESCRIPTOR: usize = 16;

/// Where a vCPU's number of exits can be read.
#[derive(Debug)]
pub struct ExitCounter {
    file: File,
    offset: u64,
}

impl ExitCounter {
    /// That of a vCPU; `None` where KVM has no statistics, or does not count exits.
    pub fn of(vcpu: &VcpuFd) -> Option<Self> {
        // SAFETY: the ioctl takes no argument.
        let descriptor = unsafe { ioctl(vcpu, request::KVM_GET_STATS_FD()) };
        if descriptor < 0 {
            return None;
        }
        // SAFETY: the descriptor was just made, and nobody else has it.
        let file = unsafe { File::from_raw_fd(descriptor) };
        let offset = find(&file, "exits")?;
        Some(Self { file, offset })
    }

    /// How often the vCPU has left the guest.
    pub fn read(&self) -> Option<u64> {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, self.offset).ok()?;
        Some(u64::from_ne_bytes(word))
    }

    /// A second one of the same counter.
    pub fn try_clone(&self) -> Option<Self> {
        let file = self.file.try_clone().ok()?;
        Some(Self {
            file,
            offset: self.offset,
        })
    }
}


/// Where in the file the counter of this name is.
fn find(file: &File, name: &str) -> Option<u64> {
    // flags, name_size, num_desc, id_offset, desc_offset, data_offset.
    let mut header = [0; 24];
    file.read_exact_at(&mut header, 0).ok()?;
    let word = |index: usize| -> Option<u32> {
        let bytes = header.get(4 * index..4 * index + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    };
    let (name_size, count) = (word(1)? as usize, word(2)?);
    let (descriptors, data) = (u64::from(word(4)?), u64::from(word(5)?));
    let mut descriptor = vec![0; DESCRIPTOR + name_size];
    for index in 0..count {
        let at = descriptors + u64::from(index) * descriptor.len() as u64;
        file.read_exact_at(&mut descriptor, at).ok()?;
        let text = descriptor.get(DESCRIPTOR..)?;
        let length = text.iter().position(|&byte| byte == 0)?;
        if text.get(..length)? == name.as_bytes() {
            let offset = descriptor.get(8..12)?;
            let offset = u32::from_ne_bytes(offset.try_into().ok()?);
            return Some(data + u64::from(offset));
        }
    }
    None
}
