//! Every rule of an image: one that keeps them all, and one that breaks each.

use super::test_elf::{PT_NOTE, R, RW, TestElf, TestSegment};
use super::{Image, SEGMENTS_MAX};
use pv_abi::Features;

mod damage;
mod files;
mod headers;
mod notes;
mod segments;

/// Every feature that there will ever be.
const ALL: Features = Features(u64::MAX);

/// The sentence by which an image is refused.
fn refusal(bytes: Vec<u8>) -> String {
    match Image::parse(bytes) {
        Ok(image) => panic!("this was to be refused: {image:?}"),
        Err(error) => error.to_string(),
    }
}

/// The sentence by which the valid image is refused after a change.
fn refusal_after(change: impl FnOnce(&mut TestElf)) -> String {
    let mut elf = TestElf::new();
    change(&mut elf);
    refusal(elf.build())
}

/// The sentence by which the valid image is refused after a change of some of its bytes.
fn refusal_with(offset: usize, bytes: &[u8]) -> String {
    let mut file = TestElf::new().build();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    refusal(file)
}

fn accepted_after(change: impl FnOnce(&mut TestElf)) -> Image {
    let mut elf = TestElf::new();
    change(&mut elf);
    Image::parse(elf.build()).expect("a valid image")
}

#[test]
fn a_valid_image_is_taken_apart() {
    let image = accepted_after(|_| ());
    assert_eq!(image.name(), "test guest");
    assert_eq!(image.entry(), 0x20_1610);
    assert_eq!(image.note().minimum_memory, 8 << 20);
    let rights: Vec<_> = image
        .segments()
        .iter()
        .map(|s| s.rights.to_string())
        .collect();
    assert_eq!(rights, ["r--", "r-x", "rw-"]);
    let data = &image.segments()[TestElf::DATA];
    assert_eq!((data.address, data.gpa), (0x20_2830, 0x20_2830));
    assert_eq!(data.page_gpas(), 0x20_2000..0x20_6000);
    assert_eq!(data.page_addresses(), 0x20_2000..0x20_6000);
    assert_eq!(image.contents(data), &image.bytes()[0x2830..0x2870]);
    image.check_host(16 << 20, 1, ALL).expect("it fits this VM");
}

#[test]
fn segments_are_sorted_by_guest_physical_address() {
    let image = accepted_after(|elf| {
        elf.segments[TestElf::CONSTANTS].p_paddr = 0x90_0000;
        elf.segments.swap(0, 2);
    });
    let order: Vec<_> = image.segments().iter().map(|s| s.index).collect();
    assert_eq!(order, [1, 0, 2]);
}

#[test]
fn an_empty_segment_is_ignored() {
    let image = accepted_after(|elf| {
        let mut empty = elf.segments[TestElf::DATA].clone();
        (empty.p_filesz, empty.p_memsz, empty.p_vaddr) = (0, 0, 0);
        elf.segments.push(empty);
    });
    assert_eq!(image.segments().len(), 3);
}

#[test]
fn a_segment_of_zeros_may_have_any_offset_in_the_file() {
    let image = accepted_after(|elf| {
        let data = &mut elf.segments[TestElf::DATA];
        data.p_filesz = 0;
        data.p_offset += 0x10_0000;
    });
    let data = &image.segments()[TestElf::DATA];
    assert_eq!(image.contents(data), b"");
    assert_eq!(data.memory_size, 0x3000);
}

/// The sentence by which a VM is found unfit for the valid image after a change.
fn unfit(
    change: impl FnOnce(&mut TestElf),
    ram_size: u64,
    vcpus: u32,
    offered: Features,
) -> String {
    let image = accepted_after(change);
    let result = image.check_host(ram_size, vcpus, offered);
    result.expect_err("the VM is unfit").to_string()
}

#[test]
fn a_vm_that_is_unfit_for_the_image_is_refused() {
    assert_eq!(
        unfit(|_| (), 4 << 20, 1, ALL),
        "the image needs at least 8 MiB of RAM, but the VM has 4 MiB; give it more"
    );
    let small = |elf: &mut TestElf| elf.note.minimum_memory = 0;
    assert_eq!(
        unfit(small, 0x20_5000, 1, ALL),
        "segment 2 ends at physical address 0x206000, but the VM's RAM ends at 0x205000; give \
         the VM more memory or link the image to lower physical addresses"
    );
    accepted_after(small)
        .check_host(0x20_6000, 1, ALL)
        .expect("it just fits");
    let parallel = |elf: &mut TestElf| elf.note.minimum_vcpus = 2;
    assert_eq!(
        unfit(parallel, 8 << 20, 1, ALL),
        "the image needs at least 2 vCPUs, but the VM has 1; give it more"
    );
    assert_eq!(
        unfit(|_| (), 8 << 20, 3, ALL),
        "the image can use at most 2 vCPUs, but the VM has 3; give it fewer"
    );
    let demanding = |elf: &mut TestElf| elf.note.required_features = 1 << 40 | 3;
    assert_eq!(
        unfit(demanding, 8 << 20, 1, Features::BATCH),
        "the image requires features that this VM does not offer: ENTROPY, bit 40; run it with \
         a Paravane that has them, or build it without them"
    );
}

#[test]
fn an_inspection_is_for_people_and_programs() {
    let image = accepted_after(|elf| elf.note.required_features = 1 << 40 | 3);
    let inspection = image.inspect();
    let text = inspection.to_string();
    for line in [
        "name:              test guest",
        "ABI:               1.3",
        "required features: BATCH, ENTROPY, bit 40",
        "minimum memory:    8 MiB",
        "vCPUs:             1 to 2",
        "boot stack:        64 KiB",
        "entry:             0x201610",
        "symbols:           no",
        "        0x202830        0x202830      0x3000        0x40  rw-",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "`{line}` is not in:\n{text}"
        );
    }
    let json = serde_json::to_value(&inspection).expect("an inspection is JSON");
    assert_eq!(json["name"], "test guest");
    assert_eq!(json["required_features"][2], "bit 40");
    assert_eq!(json["segments"][1]["rights"], "r-x");
    assert_eq!(json["segments"][2]["memory_size"], 0x3000);
    assert_eq!(json["has_symbols"], false);
}

#[test]
fn broken_section_headers_only_hide_the_symbols() {
    let mut file = TestElf::new().build();
    file[0x28..0x30].copy_from_slice(&u64::MAX.to_le_bytes());
    file[0x3c] = 9;
    let image = Image::parse(file).expect("sections are not needed to run");
    assert!(!image.inspect().has_symbols);
}
