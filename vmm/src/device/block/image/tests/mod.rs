//! Images that can be used, and what is said of those that cannot.

pub(in crate::device::block) mod qcow2;

use super::*;
use crate::device::block::engine::test_memory::TestMemory;
use crate::device::block::engine::{Operation, Transfer};
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

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
        Operation::Discard(vec![0..512, 1024..1536]),
        Operation::WriteZeroes {
            range: 0..512,
            may_unmap: true,
            durable: false,
        },
    ];
    for mut operation in writes {
        assert!(image.execute(&mut operation).is_err(), "{operation:?}");
    }
    assert!(image.execute(&mut Operation::Flush).is_ok());
    assert_eq!(fs::read(&path).unwrap(), bytes);
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
