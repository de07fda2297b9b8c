//! Images that can be used, and what is said of those that cannot.

use super::*;
use crate::device::block::engine::test_memory::TestMemory;
use crate::device::block::engine::{Operation, Transfer};
use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const CLUSTER: usize = 4 << 10;
const DISK: u64 = 256 << 10;

/// A qcow2 image of version 3 with one cluster of data, the second: header, L1 table, L2 table and
/// data are a cluster each.
fn qcow2() -> Vec<u8> {
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

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }
}

fn options(path: &Path, read_only: bool) -> OpenOptions {
    OpenOptions {
        path: path.into(),
        read_only,
        direct: false,
        format: Format::Auto,
    }
}

#[track_caller]
fn refused(options: &OpenOptions) -> String {
    let error = options.open().expect_err("it cannot be used").to_string();
    let path = options.path.display().to_string();
    assert!(error.contains(&path), "{error}");
    assert!(!error.contains('\n'), "{error}");
    error.replace(&path, "PATH")
}

fn read(image: &Image, offset: u64, length: usize) -> std::io::Result<Vec<u8>> {
    let memory = TestMemory::new(&[length / 2, length - length / 2], 0);
    let mut operation = Operation::Read(Transfer::new(offset, memory.boxed()));
    image.execute(&mut operation)?;
    Ok(memory.bytes())
}

#[test]
fn an_image_in_use_is_locked() {
    let folder = Folder::new();
    let path = folder.file("disk", &[0; 1024]);
    let (write, share) = (options(&path, false), options(&path, true));
    let in_use = "the image PATH: it is in use by another VM or another disk; only disks that \
                  all have ro may share an image";
    let writer = write.open().unwrap();
    assert_eq!(refused(&write), in_use);
    assert_eq!(refused(&share), in_use);
    let clone = writer.clone();
    drop(writer);
    assert_eq!(refused(&share), in_use);
    drop(clone);
    let readers = (share.open().unwrap(), share.open().unwrap());
    assert_eq!(refused(&write), in_use);
    drop(readers);
    assert!(write.open().is_ok());
}

#[test]
fn what_is_no_image_is_told() {
    let folder = Folder::new();
    let said = |path: &Path| refused(&options(path, false));
    let at = |name: &str| folder.0.path().join(name);
    assert_eq!(said(&at("none")), "the image PATH: there is no such file");
    let file = folder.file("file", &[0; 513]);
    assert_eq!(
        said(&file.join("x")),
        "the image PATH: there is no such file"
    );
    assert_eq!(
        said(&file),
        "the image PATH: its size of 513 bytes is not a multiple of 512"
    );
    let kind = "; an image is a regular file or a block device";
    assert_eq!(
        said(folder.0.path()),
        format!("the image PATH: it is a directory{kind}")
    );
    let device = Path::new("/dev/null");
    assert_eq!(
        said(device),
        format!("the image PATH: it is a character device{kind}")
    );
    let fifo = at("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        0o600.into(),
        0,
    )
    .unwrap();
    assert_eq!(said(&fifo), format!("the image PATH: it is a FIFO{kind}"));
    let _socket = UnixListener::bind(at("socket")).unwrap();
    assert_eq!(
        said(&at("socket")),
        format!("the image PATH: it is a socket{kind}")
    );
    let empty = said(&folder.file("empty", &[]));
    assert!(
        empty.starts_with("the image PATH: it is empty; "),
        "{empty}"
    );
}

#[test]
fn errors_of_the_host_have_their_sentences() {
    let said = |code, read_only| {
        let error = std::io::Error::from_raw_os_error(code);
        Problem::of_open(error, read_only).to_string()
    };
    let write = "no permission to write to it; add ro to use it read-only";
    assert_eq!(said(libc::EACCES, false), write);
    assert_eq!(said(libc::EACCES, true), "no permission to read it");
    assert_eq!(
        said(libc::EROFS, false),
        "it cannot be written to; add ro to use it read-only"
    );
    assert_eq!(
        said(libc::EBUSY, false),
        "the host uses it, as one that is mounted, say"
    );
}

#[test]
fn a_raw_image_is_read_and_not_written_when_it_is_read_only() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..4096).map(|at| (at % 253) as u8).collect();
    let path = folder.file("disk", &bytes);
    let image = options(&path, true).open().unwrap();
    assert_eq!((image.size(), image.block_sizes()), (4096, (512, 4096)));
    assert_eq!(read(&image, 512, 1024).unwrap(), bytes[512..1536]);
    let memory = TestMemory::new(&[512], 0);
    let writes = [
        Operation::Write {
            transfer: Transfer::new(0, memory.boxed()),
            durable: false,
        },
        Operation::Discard(vec![0..512]),
        Operation::WriteZeroes {
            range: 0..512,
            may_unmap: true,
        },
    ];
    for mut operation in writes {
        assert!(image.execute(&mut operation).is_err(), "{operation:?}");
    }
    assert!(image.execute(&mut Operation::Flush).is_ok());
    assert_eq!(fs::read(&path).unwrap(), bytes);
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

#[test]
fn direct_io_is_for_a_file_system_that_has_it() {
    let folder = Folder::new();
    let path = folder.file("disk", &vec![7; 8192]);
    let options = OpenOptions {
        direct: true,
        ..options(&path, false)
    };
    match options.open() {
        Ok(image) => {
            let (block, _) = image.block_sizes();
            assert!(block.is_power_of_two() && (512..=65536).contains(&block));
            assert_eq!(read(&image, 0, 8192).unwrap(), vec![7; 8192]);
        }
        // tmpfs of older kernels.
        Err(error) => assert!(matches!(error.problem, Problem::NoDirect), "{error}"),
    }
    let mut file = [0; 1];
    fs::File::open(&path)
        .unwrap()
        .read_exact_at(&mut file, 0)
        .unwrap();
    assert_eq!(file, [7]);
}
