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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as KVM makes it, with counters of these names and values.
    fn statistics(counters: &[(&str, u64)]) -> File {
        const NAME: usize = 48;
        let descriptors = 24 + NAME;
        let data = descriptors + counters.len() * (DESCRIPTOR + NAME);
        let mut bytes = Vec::new();
        for word in [0, NAME, counters.len(), 24, descriptors, data] {
            bytes.extend((word as u32).to_ne_bytes());
        }
        bytes.resize(descriptors, 0);
        for (index, (name, _)) in counters.iter().enumerate() {
            bytes.extend([0; 8]);
            bytes.extend((8 * index as u32).to_ne_bytes());
            bytes.extend([0; 4]);
            bytes.extend(name.as_bytes());
            bytes.resize(descriptors + (index + 1) * (DESCRIPTOR + NAME), 0);
        }
        for (_, value) in counters {
            bytes.extend(value.to_ne_bytes());
        }
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        file
    }

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let file = statistics(&[("io_exits", 5), ("exits", 7), ("exits_by_nmi", 9)]);
        let offset = find(&file, "exits").unwrap();
        let counter = ExitCounter { file, offset };
        assert_eq!(counter.read(), Some(7));
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(find(&statistics(&[("io_exits", 5)]), "exits"), None);
        assert_eq!(find(&tempfile::tempfile().unwrap(), "exits"), None);
    }
}
