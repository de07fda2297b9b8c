//! qcow2 images, whole and broken.

use super::*;
use proptest::prelude::*;

pub const CLUSTER: usize = 4 << 10;
const DISK: u64 = 256 << 10;

/// A qcow2 image of version 3 with one cluster of data, the second: header, L1 table, L2 table and
/// data are a cluster each.
pub fn qcow2() -> Vec<u8> {
    let mut bytes = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    put(20, &12_u32.to_be_bytes());
    put(24, &DISK.to_be_bytes());
    put(36, &1_u32.to_be_bytes());
    put(40, &(CLUSTER as u64).to_be_bytes());
    // A refcount table is needed only for writing; this one is never read.
    put(48, &(CLUSTER as u64).to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    let copied = 1_u64 << 63;
    put(CLUSTER, &(copied | (2 * CLUSTER) as u64).to_be_bytes());
    put(
        2 * CLUSTER + 8,
        &(copied | (3 * CLUSTER) as u64).to_be_bytes(),
    );
    for (at, byte) in bytes[3 * CLUSTER..].iter_mut().enumerate() {
        *byte = (at % 251) as u8;
    }
    bytes
}

#[test]
fn what_takes_too_much_memory_for_tables_is_refused() {
    let folder = Folder::new();
    // Clusters of 2 MiB, and as much L1 table as the disk needs.
    let image = |size: u64| {
        const CLUSTER: usize = 2 << 20;
        let mut bytes = qcow2();
        bytes.resize(2 * CLUSTER, 0);
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(20, &21_u32.to_be_bytes());
        put(24, &size.to_be_bytes());
        put(36, &(size.div_ceil(512 << 30) as u32).to_be_bytes());
        put(40, &(CLUSTER as u64).to_be_bytes());
        put(48, &(CLUSTER as u64).to_be_bytes());
        folder.file("large.qcow2", &bytes)
    };
    let most = 8 << 40;
    let opened = options(&image(most), true).open().unwrap();
    assert_eq!(opened.size(), most);
    drop(opened);
    let reason = refused(&options(&image(most + 512), true));
    assert!(
        reason.contains("for tables, more than 33554432"),
        "{reason}"
    );
}

#[test]
fn qcow2_is_recognised_only_for_reading() {
    let folder = Folder::new();
    let path = folder.file("disk.qcow2", &qcow2());
    let writable = refused(&options(&path, false));
    assert!(writable.contains("add ro, or format=raw"), "{writable}");
    let raw = OpenOptions {
        format: Format::Raw,
        ..options(&path, false)
    };
    assert_eq!(raw.open().unwrap().size(), 4 * CLUSTER as u64);
    let direct = OpenOptions {
        direct: true,
        ..options(&path, true)
    };
    assert!(refused(&direct).contains("leave out direct"));
    let not = folder.file("raw", &[0; 512]);
    let forced = OpenOptions {
        format: Format::Qcow2,
        ..options(&not, true)
    };
    assert!(refused(&forced).contains("it does not begin as one; use format=raw"));
}

#[test]
fn qcow2_is_read_across_clusters_and_holes() {
    let folder = Folder::new();
    let bytes = qcow2();
    let path = folder.file("disk.qcow2", &bytes);
    let image = options(&path, true).open().unwrap();
    assert_eq!(image.size(), DISK);
    let all = read(&image, 0, DISK as usize).unwrap();
    assert!(all[..CLUSTER].iter().all(|&byte| byte == 0));
    assert_eq!(all[CLUSTER..2 * CLUSTER], bytes[3 * CLUSTER..]);
    assert!(all[2 * CLUSTER..].iter().all(|&byte| byte == 0));
    let at = CLUSTER as u64 - 512;
    assert_eq!(
        read(&image, at, 1024).unwrap(),
        all[CLUSTER - 512..CLUSTER + 512]
    );
    // What was cut off reads as zeros by itself.
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(3 * CLUSTER as u64)
        .unwrap();
    assert!(read(&image, CLUSTER as u64, 512).is_err());
}

#[test]
fn what_is_not_supported_of_qcow2_is_told() {
    let folder = Folder::new();
    let said = |at: usize, value: &[u8]| {
        let mut bytes = qcow2();
        bytes[at..at + value.len()].copy_from_slice(value);
        refused(&options(&folder.file("disk.qcow2", &bytes), true))
    };
    let u32 = |value: u32| value.to_be_bytes();
    let u64 = |value: u64| value.to_be_bytes();
    assert!(said(4, &u32(4)).contains("its version is 4; 2 and 3 are supported"));
    assert!(said(8, &u64(512)).contains("it has a backing file"));
    assert!(said(20, &u32(8)).contains("its clusters of 2^8 bytes"));
    assert!(said(20, &u32(64)).contains("its clusters of 2^64 bytes"));
    assert!(said(24, &u64(1)).contains("the disk's size of 1 bytes"));
    assert!(said(24, &u64(0)).contains("the disk's size of 0 bytes"));
    assert!(said(24, &u64(u64::MAX << 9)).contains("is too small for"));
    assert!(said(32, &u32(1)).contains("it is encrypted"));
    assert!(said(36, &u32(u32::MAX)).contains("entries is too large"));
    assert!(said(40, &u64(u64::MAX << 12)).contains("its L1 table is not in the file"));
    assert!(said(72, &u64(4)).contains("its data is in another file"));
    assert!(said(72, &u64(1 << 40)).contains("features that are not supported"));
    // What the crate finds.
    assert!(said(100, &u32(1)).contains("it cannot be used as qcow2: "));
    let short = folder.file("short.qcow2", &qcow2()[..72]);
    assert!(refused(&options(&short, true)).contains("it is too short for a header"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Headers and tables of noise: an error or some data, in bounded time and memory.
    #[test]
    fn broken_qcow2_never_panics(
        changes in prop::collection::vec(
            (
                prop_oneof![4_usize..112, CLUSTER..CLUSTER + 16, 2 * CLUSTER..2 * CLUSTER + 128],
                prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(1), Just(0x40)],
            ),
            1..12,
        ),
        length in prop_oneof![4 => Just(4 * CLUSTER), 1 => 4..4 * CLUSTER],
    ) {
        let mut bytes = qcow2();
        for (at, value) in changes {
            bytes[at] = value;
        }
        bytes.truncate(length);
        let folder = Folder::new();
        let path = folder.file("disk.qcow2", &bytes);
        match options(&path, true).open() {
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
            Ok(image) => {
                let size = image.size();
                for offset in [0, CLUSTER as u64, size / 2, size - 512] {
                    let length = (size - offset).min(2 * CLUSTER as u64);
                    let _ = read(&image, offset, length as usize);
                }
            }
        }
    }

    /// The same for a compressed cluster, with the data of it noise.
    #[test]
    fn broken_compressed_clusters_never_panic(entry in any::<u64>(), noise in any::<u64>()) {
        let mut bytes = qcow2();
        // Compressed, somewhere near the data.
        let entry = (entry | 1 << 62) & !(1 << 63) & (0xffff << 48 | 0x3fff);
        bytes[2 * CLUSTER + 8..2 * CLUSTER + 16].copy_from_slice(&entry.to_be_bytes());
        for (at, byte) in bytes[3 * CLUSTER..].iter_mut().enumerate() {
            *byte ^= (noise >> (at % 64)) as u8;
        }
        let folder = Folder::new();
        let image = options(&folder.file("disk.qcow2", &bytes), true).open().unwrap();
        let _ = read(&image, CLUSTER as u64, CLUSTER);
    }
}
