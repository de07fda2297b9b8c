//! The ELF header and the program headers.

use super::*;

#[test]
fn a_file_that_is_no_elf_file_is_refused() {
    assert_eq!(
        refusal(vec![]),
        "the image is empty; it must be an ELF executable"
    );
    assert_eq!(
        refusal(b"#!/bin/sh\n".to_vec()),
        "the image is not an ELF file: it begins with 23 21 2f 62, not with 7f 45 4c 46"
    );
    assert_eq!(
        refusal(b"\n".to_vec()),
        "the image is not an ELF file: it begins with 0a, not with 7f 45 4c 46"
    );
    for size in [3, 4, 63] {
        let mut file = TestElf::new().build();
        file.truncate(size);
        assert_eq!(
            refusal(file),
            format!(
                "the image is truncated: it has {size} bytes, fewer than the 64 of an ELF header"
            )
        );
    }
}

#[test]
fn an_elf_file_of_another_kind_is_refused() {
    assert_eq!(
        refusal_with(4, &[1]),
        "the image is a 32-bit ELF file; it must be a 64-bit ELF file"
    );
    assert_eq!(
        refusal_with(4, &[7]),
        "the image is of ELF class 7; it must be a 64-bit ELF file"
    );
    assert_eq!(
        refusal_with(5, &[2]),
        "the image is big-endian; it must be little-endian"
    );
    assert_eq!(
        refusal_with(5, &[0]),
        "the image is of ELF data encoding 0; it must be little-endian"
    );
    assert_eq!(
        refusal_with(6, &[2]),
        "the image has ELF version 2; it must be 1"
    );
    assert_eq!(
        refusal_with(20, &[3]),
        "the image has ELF version 3; it must be 1"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_machine = 183),
        "the image is built for AArch64 (ELF machine 183); it must be built for x86-64"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_machine = 4711),
        "the image is built for ELF machine 4711; it must be built for x86-64"
    );
}

#[test]
fn a_file_that_is_no_static_executable_is_refused() {
    assert_eq!(
        refusal_after(|elf| elf.e_type = 1),
        "the image is a relocatable object file (ELF type 1); link it to a static executable"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_type = 9),
        "the image is of ELF type 9; link it to a static executable"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_type = 3),
        "the image is position-independent (ELF type ET_DYN); it must be linked with -static \
         -no-pie (in Rust, -C relocation-model=static)"
    );
    for (p_type, name) in [(2, "PT_DYNAMIC"), (3, "PT_INTERP")] {
        let refusal = refusal_after(|elf| {
            let segment = elf.segments[TestElf::CONSTANTS].clone();
            elf.segments.push(TestSegment { p_type, ..segment });
        });
        assert_eq!(
            refusal,
            format!(
                "the image is dynamically linked (it has a {name} segment); it must be linked \
                 with -static -no-pie"
            )
        );
    }
}

#[test]
fn bad_program_headers_are_refused() {
    assert_eq!(
        refusal_after(|elf| elf.e_phentsize = 32),
        "the image's program headers have 32 bytes each; in ELF64 they have 56"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_phnum = Some(65)),
        "the image has 65 program headers; it may have at most 64"
    );
    assert_eq!(
        refusal_after(|elf| elf.e_phnum = Some(0xffff)),
        "the image has 65535 program headers; it may have at most 64"
    );
    for offset in [0x2800, u64::MAX] {
        assert_eq!(
            refusal_after(|elf| elf.e_phoff = offset),
            format!(
                "the image is truncated: its 4 program headers begin at byte {offset:#x}, but \
                 the file has 0x2870 bytes"
            )
        );
    }
    let none = "the image has no loadable segment; link it to a static executable";
    assert_eq!(refusal_after(|elf| elf.segments.clear()), none);
    assert_eq!(refusal_with(32, &[0; 8]), none);
}
