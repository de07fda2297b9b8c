//! Damaged files: none does harm, and what is accepted keeps every rule.

use super::*;
use crate::image::{Rights, SEGMENTS_MAX};
use proptest::prelude::*;
use pv_abi::address_space::{IMAGE_LOWEST, PAGE_SIZE};
use pv_abi::mapping::TASK_AREA_START;

/// What whoever has an image relies on.
fn check_invariants(image: &Image) {
    let segments = image.segments();
    assert!((1..=SEGMENTS_MAX).contains(&segments.len()));
    for pair in segments.windows(2) {
        assert!(pair[0].page_gpas().end <= pair[1].page_gpas().start);
    }
    let mut by_address: Vec<_> = segments.iter().collect();
    by_address.sort_by_key(|segment| segment.address);
    for pair in by_address.windows(2) {
        assert!(pair[0].page_addresses().end <= pair[1].page_addresses().start);
    }
    for segment in segments {
        assert!(segment.address >= IMAGE_LOWEST);
        assert!(segment.addresses().end <= TASK_AREA_START);
        assert_eq!(segment.address % PAGE_SIZE, segment.gpa % PAGE_SIZE);
        assert!(segment.memory_size > 0);
        assert!(segment.file_range.len() as u64 <= segment.memory_size);
        assert_eq!(image.contents(segment).len(), segment.file_range.len());
        assert!(segment.rights.read && !(segment.rights.write && segment.rights.execute));
    }
    let code = Rights {
        read: true,
        write: false,
        execute: true,
    };
    let mut code = segments.iter().filter(|segment| segment.rights == code);
    assert!(code.any(|segment| segment.addresses().contains(&image.entry())));
    assert!(!image.inspect().to_string().is_empty());
    let _ = image.check_host(16 << 20, 1, ALL);
}

/// The place of a byte in a header or in the note.
fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..0x120, 0xc00usize..0xc68]
}

/// A value that is likely to break something in an ELF header.
fn field() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        0u64..0x4000,
        (0u64..64).prop_map(|shift| 1 << shift),
        (0u64..0x2000).prop_map(|below| u64::MAX - below),
        (0u64..0x8000).prop_map(|offset| 0x20_0000 + offset),
    ]
}

proptest! {
    #[test]
    fn damaged_files_never_do_harm(
        flips in prop::collection::vec((offset(), any::<u8>()), 0..8),
        size in prop_oneof![Just(0x2870usize), 0usize..0x2870],
    ) {
        let mut file = TestElf::new().build();
        for (offset, value) in flips {
            file[offset] = value;
        }
        file.truncate(size);
        match Image::parse(file) {
            Ok(image) => check_invariants(&image),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn whatever_is_accepted_keeps_the_rules(
        changes in prop::collection::vec((0usize..4, 0usize..7, field()), 0..4),
        flags in prop::collection::vec(0u32..8, 0..3),
    ) {
        let mut elf = TestElf::new();
        for (segment, flags) in flags.into_iter().enumerate() {
            elf.segments[segment].p_flags = flags;
        }
        for (segment, which, value) in changes {
            let segment = &mut elf.segments[segment];
            match which {
                0 => segment.p_offset = value,
                1 => segment.p_vaddr = value,
                2 => segment.p_paddr = value,
                3 => segment.p_filesz = value,
                4 => segment.p_memsz = value,
                5 => segment.p_align = value,
                // Moved as a whole, as a linker would.
                _ => {
                    segment.p_vaddr = segment.p_vaddr.wrapping_add(value & !0xfff);
                    segment.p_paddr = segment.p_vaddr;
                }
            }
        }
        match Image::parse(elf.build()) {
            Ok(image) => check_invariants(&image),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
