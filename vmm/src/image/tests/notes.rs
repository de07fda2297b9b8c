//! The note.

use super::*;

#[test]
fn an_image_without_its_note_is_refused() {
    let none = "the image has no Paravane note, so it is no Paravane guest; build it with the \
                guest SDK's entry! macro or with PV_IMAGE_NOTE of paravane.h";
    assert_eq!(refusal_after(|elf| elf.owner = *b"Parafoil\0\0\0\0"), none);
    assert_eq!(refusal_after(|elf| elf.note_type = 2), none);
    assert_eq!(
        refusal_after(|elf| elf.segments.truncate(TestElf::NOTE)),
        none
    );
    let outside = refusal_after(|elf| elf.segments[TestElf::NOTE].p_offset = 0x2860);
    assert_eq!(
        outside,
        "the image is truncated: the notes of segment 3 are at bytes 0x2860 to 0x28c8, but the \
         file has 0x2870"
    );
    assert_eq!(
        refusal_after(|elf| elf.descriptor_size = 84),
        "the image has no Paravane note that can be read: segment 3 holds a note that is longer \
         than the segment; link it again"
    );
    assert_eq!(
        refusal_after(|elf| elf.descriptor_size = 76),
        "the image's Paravane note has 76 bytes; it must have at least 80"
    );
    let two = refusal_after(|elf| {
        elf.notes = 2;
        elf.segments[TestElf::NOTE].p_filesz *= 2;
    });
    assert_eq!(
        two,
        "the image has 2 Paravane notes; it must have one, from a single entry! or PV_IMAGE_NOTE"
    );
}

#[test]
fn notes_of_others_do_not_matter() {
    accepted_after(|elf| {
        // A note segment of garbage, and alignments that compilers have been seen to choose.
        let garbage = TestSegment {
            p_type: PT_NOTE,
            p_offset: 0x1600,
            ..elf.segments[TestElf::NOTE].clone()
        };
        elf.segments.insert(TestElf::NOTE, garbage);
    });
    for alignment in [0, 1, 4, 8, 32] {
        accepted_after(|elf| elf.segments[TestElf::NOTE].p_align = alignment);
    }
    // A later minor version may have appended fields.
    accepted_after(|elf| {
        elf.descriptor_size = 84;
        elf.segments[TestElf::NOTE].p_filesz += 4;
    });
}

#[test]
fn a_note_with_impossible_demands_is_refused() {
    assert_eq!(
        refusal_after(|elf| (elf.note.abi_major, elf.note.abi_minor) = (2, 7)),
        "the image is built for ABI 2.7, newer than 1.3, which this VMM speaks; run it with a \
         newer Paravane"
    );
    assert_eq!(
        refusal_after(|elf| (elf.note.abi_major, elf.note.abi_minor) = (0, 9)),
        "the image is built for ABI 0.9, older than 1.3, which this VMM speaks; build it again"
    );
    accepted_after(|elf| elf.note.abi_minor = 99);
    assert_eq!(
        refusal_after(|elf| elf.note.reserved = 0x10),
        "the image's note has 0x10 in its reserved field; it must be 0"
    );
    for size in [0, 12 << 10, 65537, (64 << 20) + 4096, u64::MAX] {
        assert_eq!(
            refusal_after(|elf| elf.note.stack_size = size),
            format!(
                "the image's note asks for a boot stack of {size} bytes; it must be a multiple \
                 of 4096 from 16 KiB to 64 MiB"
            )
        );
    }
    for (minimum, maximum) in [(3, 2), (0, 0)] {
        assert_eq!(
            refusal_after(
                |elf| (elf.note.minimum_vcpus, elf.note.maximum_vcpus) = (minimum, maximum)
            ),
            format!(
                "the image's note asks for {minimum} to {maximum} vCPUs; the most must be at \
                 least 1 and not below the least"
            )
        );
    }
    assert_eq!(
        refusal_after(|elf| elf.note.name[31] = 0xc3),
        "the name in the image's note is not UTF-8 from byte 31 on; it must be UTF-8 of at most \
         32 bytes (a longer name is cut, perhaps inside a character)"
    );
    for character in ['\x1b', '\0'] {
        assert_eq!(
            refusal_after(|elf| elf.note.name[2] = character as u8),
            format!(
                "the name in the image's note has the control character U+{:04X}; it must be \
                 printable",
                character as u32
            )
        );
    }
}
