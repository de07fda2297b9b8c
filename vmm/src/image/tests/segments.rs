//! The loadable segments and the entry.

use super::*;
use pv_abi::mapping::TASK_AREA_START;

/// The sentence by which the image is refused after a change of its data segment.
fn data_refusal(change: impl FnOnce(&mut TestSegment)) -> String {
    refusal_after(|elf| change(&mut elf.segments[TestElf::DATA]))
}

#[test]
fn a_segment_that_is_not_all_in_the_file_is_refused() {
    assert_eq!(
        data_refusal(|data| data.p_filesz = 0x41),
        "the image is truncated: segment 2 is at bytes 0x2830 to 0x2871 of the file, but the \
         file has 0x2870"
    );
    assert_eq!(
        data_refusal(|data| data.p_offset = u64::MAX),
        "the image is truncated: segment 2 is at bytes 0xffffffffffffffff to 0xffffffffffffffff \
         of the file, but the file has 0x2870"
    );
    assert_eq!(
        data_refusal(|data| data.p_memsz = 0x3f),
        "segment 2 has 0x40 bytes in the file but only 0x3f in memory; it must have at least as \
         many in memory"
    );
}

#[test]
fn a_segment_outside_of_the_image_window_is_refused() {
    assert_eq!(
        data_refusal(|data| data.p_vaddr = 0xf830),
        "segment 2 begins at 0xf830; it must begin at 0x10000 or above, so that null pointers \
         fault"
    );
    assert_eq!(
        data_refusal(|data| data.p_vaddr = TASK_AREA_START - 0x7d0),
        "segment 2 ends at 0x8000002830; it must end at 0x8000000000 or below, because the \
         addresses of tasks begin there"
    );
    accepted_after(|elf| {
        let data = &mut elf.segments[TestElf::DATA];
        (data.p_vaddr, data.p_memsz) = (TASK_AREA_START - 0x7d0, 0x7d0);
    });
    let wraps = |plane, start: u64| {
        format!(
            "segment 2 begins at {plane} address {start:#x} and has 0x3000 bytes, which goes \
             past the end of the address space; it must end below"
        )
    };
    let high = u64::MAX - 0x7cf;
    assert_eq!(
        data_refusal(|data| data.p_vaddr = high),
        wraps("virtual", high)
    );
    assert_eq!(
        data_refusal(|data| data.p_paddr = high),
        wraps("physical", high)
    );
    // The last page of the address space has no end.
    let last = u64::MAX - 0x3000;
    assert_eq!(
        data_refusal(|data| data.p_paddr = last),
        wraps("physical", last)
    );
}

#[test]
fn an_unaligned_segment_is_refused() {
    assert_eq!(
        data_refusal(|data| data.p_align = 0x1800),
        "segment 2 has the alignment 0x1800; it must be a power of two"
    );
    assert_eq!(
        data_refusal(|data| data.p_offset = 0x2820),
        "segment 2 is unaligned: its address 0x202830 and its offset 0x2820 in the file must \
         have the same remainder by its alignment 0x1000"
    );
    assert_eq!(
        data_refusal(|data| data.p_paddr += 0x10),
        "segment 2 is unaligned: its virtual address 0x202830 and its physical address 0x202840 \
         must have the same offset in their 4096-byte page"
    );
    for alignment in [0, 1, 0x10] {
        accepted_after(|elf| elf.segments[TestElf::DATA].p_align = alignment);
    }
}

#[test]
fn a_segment_with_bad_rights_is_refused() {
    assert_eq!(
        data_refusal(|data| data.p_flags = 7),
        "segment 2 at 0x202830 is writable and executable; give code and data segments of their \
         own"
    );
    for (flags, rights) in [(0, "---"), (1, "--x"), (2, "-w-")] {
        assert_eq!(
            data_refusal(|data| data.p_flags = flags),
            format!("segment 2 at 0x202830 has the rights {rights}; it must be readable")
        );
    }
}

#[test]
fn segments_that_share_addresses_or_pages_are_refused() {
    // The code is longer, and the data begins in it.
    let overlap = |change: fn(&mut TestSegment)| {
        refusal_after(|elf| {
            elf.segments[TestElf::CODE].p_memsz = 0x400;
            change(&mut elf.segments[TestElf::DATA]);
        })
    };
    assert_eq!(
        overlap(|data| data.p_vaddr = 0x20_1830),
        "segments 1 and 2 overlap at virtual address 0x201830; each must have addresses of its \
         own"
    );
    assert_eq!(
        overlap(|data| data.p_paddr = 0x20_1830),
        "segments 1 and 2 overlap at physical address 0x201830; each must have addresses of its \
         own"
    );
    // Directly behind the code, in the page where it ends.
    assert_eq!(
        data_refusal(|data| data.p_vaddr = 0x20_1830),
        "segments 1 and 2 share the virtual page 0x201000; begin each segment on a page of its \
         own (-z max-page-size=4096)"
    );
    assert_eq!(
        data_refusal(|data| data.p_paddr = 0x20_1830),
        "segments 1 and 2 share the physical page 0x201000; begin each segment on a page of its \
         own (-z max-page-size=4096)"
    );
}

#[test]
fn an_image_of_too_few_or_too_many_segments_is_refused() {
    let note_only = refusal_after(|elf| {
        elf.segments.drain(..TestElf::NOTE);
    });
    assert_eq!(
        note_only,
        "the image has no loadable segment; link it to a static executable"
    );

    let with_pages = |count| {
        move |elf: &mut TestElf| {
            let page = elf.segments[TestElf::DATA].clone();
            elf.segments.extend((1..=count).map(|i| TestSegment {
                p_flags: if i % 2 == 0 { R } else { RW },
                p_vaddr: page.p_vaddr + i * 0x1_0000,
                p_paddr: page.p_paddr + i * 0x1_0000,
                ..page.clone()
            }));
        }
    };
    accepted_after(with_pages(SEGMENTS_MAX as u64 - 3));
    assert_eq!(
        refusal_after(with_pages(SEGMENTS_MAX as u64 - 2)),
        "the image has 25 loadable segments; it may have at most 24"
    );
}

#[test]
fn an_entry_outside_of_the_code_is_refused() {
    for entry in [0, 0x20_15ff, 0x20_1830, 0x20_2830, u64::MAX] {
        assert_eq!(
            refusal_after(|elf| elf.e_entry = entry),
            format!(
                "the image's entry {entry:#x} is in no executable segment; name the entry \
                 function to the linker (-e)"
            )
        );
    }
}
