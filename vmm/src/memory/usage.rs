//! How much of the host's memory VMs take.
#![allow(unsafe_code)]

use super::Ram;
use pv_abi::address_space::PAGE_SIZE;
use serde::Serialize;
use std::fs;

/// What this process has of the host's memory, in KiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryUse {
    /// The most that was resident at a time.
    peak_rss_kib: u64,
    /// What is resident now.
    rss_kib: u64,
    /// What of that is guests' RAM: the pages that a guest or the loader touched.
    guest_ram_kib: u64,
    /// The rest, this program's own file-backed pages included.
    vmm_kib: u64,
}

impl MemoryUse {
    /// Measures this process, which runs VMs with these RAMs. `None` without /proc.
    pub fn sample(rams: &[&Ram]) -> Option<Self> {
        let pages: u64 = rams.iter().map(|ram| resident_pages(ram)).sum();
        let guest_ram_kib = pages * PAGE_SIZE / 1024;
        // Exact, unlike the counters in /proc/self/status, but without a peak.
        let rss_kib = field("/proc/self/smaps_rollup", "Rss:")?;
        let peak_rss_kib = field("/proc/self/status", "VmHWM:")?.max(rss_kib);
        Some(Self {
            peak_rss_kib,
            rss_kib,
            guest_ram_kib,
            vmm_kib: rss_kib.saturating_sub(guest_ram_kib),
        })
    }
}

/// How many bytes of memory this process has that no other process shares. `None` without /proc.
pub fn private_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let value = |name| number(&text, name);
    Some((value("Private_Clean:")? + value("Private_Dirty:")?) * 1024)
}

/// The number of KiB in a line of one of /proc's files.
fn field(path: &str, name: &str) -> Option<u64> {
    number(&fs::read_to_string(path).ok()?, name)
}

fn number(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How many pages of RAM the host has memory for.
pub fn resident_pages(ram: &Ram) -> u64 {
    const AT_ONCE: u64 = 16 << 10;
    let mut resident = [0u8; AT_ONCE as usize];
    let pages = ram.size() / PAGE_SIZE;
    let mut count = 0;
    for first in (0..pages).step_by(AT_ONCE as usize) {
        let part = AT_ONCE.min(pages - first);
        let address = ram.host_address() + first * PAGE_SIZE;
        // SAFETY: mincore writes a byte for each of the `part` pages, and the array has
        // `AT_ONCE`. It reads nothing at the address, which it only looks up.
        let result = unsafe {
            libc::mincore(
                address as *mut libc::c_void,
                (part * PAGE_SIZE) as usize,
                resident.as_mut_ptr(),
            )
        };
        if result == 0 {
            let seen = resident.iter().take(part as usize);
            count += seen.filter(|&&byte| byte & 1 != 0).count() as u64;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use pv_abi::Gpa;

    #[test]
    fn ram_that_was_touched_is_told_from_the_rest() {
        let ram = Ram::new(1 << 30).unwrap();
        let before = MemoryUse::sample(&[&ram]).unwrap();
        assert_eq!(before.guest_ram_kib, 0);
        for page in [0, 1, (1 << 30) / PAGE_SIZE - 1] {
            ram.write(Gpa(page * PAGE_SIZE), &[1]).unwrap();
        }
        let after = MemoryUse::sample(&[&ram]).unwrap();
        // Where the host has transparent huge pages, a byte may take 2 MiB.
        assert!((12..=6 << 10).contains(&after.guest_ram_kib), "{after:?}");
        assert!(after.rss_kib >= after.guest_ram_kib + after.vmm_kib);
        assert!(after.peak_rss_kib >= after.rss_kib);
    }
}
