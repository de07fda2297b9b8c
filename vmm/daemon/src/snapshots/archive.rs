//! A snapshot as one file, to be taken to another host: a tar archive, compressed by zstd (RFC 8878), of
//! `snapshot.json`, which is the [`Snapshot`] as the API has it, `state` and `memory`, in this order.
//!
//! What is zero in the memory takes no room in either.

use crate::host::SnapshotFacts;
use paravane_api::check;
use paravane_api::problem::FieldError;
use paravane_api::snapshot::Snapshot;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use tar::{Archive, Builder, Entries, Entry, EntryType, Header};
use thiserror::Error;
use uuid::Uuid;

const ABOUT: &str = "snapshot.json";
const STATE: &str = "state";
const MEMORY: &str = "memory";

/// The most bytes of `snapshot.json`, and of `state`.
const ABOUT_MAX: u64 = 1 << 20;
const STATE_MAX: u64 = 24 << 20;
/// The state has at most one byte more for so many of RAM: the numbers of page tables.
const STATE_OF_RAM: u64 = 1024;
/// More than what follows the entries of a tar archive.
const END_MAX: u64 = 1 << 20;

/// zstd's fastest level: what is not zero is compressed at about the speed of a disk.
const LEVEL: i32 = 1;
/// The largest window of a compressed archive, as a power of two: what it takes to read one.
const WINDOW_LOG: u32 = 23;

/// What is looked at at a time. What is zero of it stays a hole.
const BLOCK: usize = 4096;
const BUFFER: usize = 64 * BLOCK;

/// Why an archive was not read.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// It is no archive of a snapshot.
    #[error("the archive is none of a snapshot: {0}")]
    Wrong(String),
    /// The VM that it is of cannot be had.
    #[error("the snapshot's VM has values that are not possible")]
    Values(Vec<FieldError>),
    /// What is in it cannot be written.
    #[error("{0}")]
    Write(#[from] io::Error),
}

/// Files of a snapshot.
#[derive(Debug)]
pub struct Files {
    state: File,
    memory: File,
}

impl Files {
    /// Opens those of a folder.
    ///
    /// # Errors
    ///
    /// One is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self {
            state: File::open(folder.join(STATE))?,
            memory: File::open(folder.join(MEMORY))?,
        })
    }
}

/// Writes an archive.
///
/// # Errors
///
/// `to` takes no more, or a file cannot be read.
pub fn write(snapshot: &Snapshot, files: &Files, to: impl Write) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = Builder::new(encoder);
    let about = serde_json::to_vec(snapshot).map_err(io::Error::other)?;
    append(&mut archive, ABOUT, about.len() as u64, about.as_slice())?;
    for (name, mut file) in [(STATE, &files.state), (MEMORY, &files.memory)] {
        let size = file.metadata()?.len();
        append(&mut archive, name, size, (&mut file).take(size))?;
    }
    archive.into_inner()?.finish()?.flush()
}

fn append(
    archive: &mut Builder<impl Write>,
    name: &str,
    size: u64,
    contents: impl Read,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o400);
    archive.append_data(&mut header, name, contents)
}

/// Reads an archive into a folder, as files `state` and `memory` which only their owner can read. `facts`
/// says what the file `state` is of. What the archive says of the snapshot.
///
/// # Errors
///
/// It is none of a snapshot, or the files cannot be written.
pub fn read(
    archive: impl Read,
    folder: &Path,
    facts: impl FnOnce(&Path) -> Result<SnapshotFacts, String>,
) -> Result<Snapshot, ArchiveError> {
    let mut decoder = zstd::Decoder::new(archive)?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut archive = Archive::new(BufReader::with_capacity(BUFFER, decoder));
    // Raw, so that nothing of the archive is kept in memory that is not asked for.
    let mut entries = archive.entries().map_err(damaged)?.raw(true);

    let mut text = Vec::new();
    let mut entry = next(&mut entries, ABOUT, 0..=ABOUT_MAX)?;
    entry.read_to_end(&mut text).map_err(damaged)?;
    let about = parse(&text)?;
    let resources = &about.spec.resources;

    let state_max = STATE_MAX + resources.memory / STATE_OF_RAM;
    let entry = next(&mut entries, STATE, 0..=state_max)?;
    copy(entry, &folder.join(STATE))?;
    let facts = facts(&folder.join(STATE)).map_err(ArchiveError::Wrong)?;
    if (facts.vcpus, facts.ram) != (resources.vcpus, resources.memory) {
        return Err(ArchiveError::Wrong(format!(
            "its state is of {} vCPUs and {} bytes of RAM, and its spec says {} and {}",
            facts.vcpus, facts.ram, resources.vcpus, resources.memory
        )));
    }
    let entry = next(&mut entries, MEMORY, facts.memory..=facts.memory)?;
    copy(entry, &folder.join(MEMORY))?;
    match entries.next() {
        None => {}
        Some(Ok(_)) => return Err(ArchiveError::Wrong("something follows the memory".into())),
        Some(Err(error)) => return Err(damaged(error)),
    }
    // Behind the end of a tar archive are zeros, and then comes the sum that zstd made of all.
    let rest = io::copy(&mut archive.into_inner().take(END_MAX), &mut io::sink());
    match rest.map_err(damaged)? {
        END_MAX.. => Err(ArchiveError::Wrong("something follows its end".into())),
        _ => Ok(about),
    }
}

/// The next entry, which has to be this one and of such a size.
fn next<'a, R: Read>(
    entries: &mut Entries<'a, R>,
    name: &str,
    sizes: RangeInclusive<u64>,
) -> Result<Entry<'a, R>, ArchiveError> {
    let missing = || ArchiveError::Wrong(format!("{name} is missing"));
    let entry = entries.next().ok_or_else(missing)?.map_err(damaged)?;
    let its = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if its != name || entry.header().entry_type() != EntryType::Regular {
        let wrong = format!("it has {its:?} where {name} has to be");
        return Err(ArchiveError::Wrong(wrong));
    }
    if !sizes.contains(&entry.size()) {
        let (least, most) = sizes.into_inner();
        let expected = match least == most {
            true => format!("it has to have {most}"),
            false => format!("it may have {most}"),
        };
        let wrong = format!("{name} has {} bytes, and {expected}", entry.size());
        return Err(ArchiveError::Wrong(wrong));
    }
    Ok(entry)
}

fn parse(text: &[u8]) -> Result<Snapshot, ArchiveError> {
    let about: Snapshot = serde_json::from_slice(text)
        .map_err(|error| ArchiveError::Wrong(format!("{ABOUT}: {error}")))?;
    let mut wrong = check::spec(&about.spec, "/spec");
    let mut add = |field: &str, detail: String| {
        wrong.push(FieldError {
            field: field.to_string(),
            detail,
        });
    };
    if let Some(detail) = check::name(&about.name) {
        add("/name", detail);
    }
    if let Err(error) = Uuid::parse_str(&about.vm) {
        add("/vm", format!("{:?} is no UUID: {error}", about.vm));
    }
    if let Err(error) = humantime::parse_rfc3339(&about.created_at) {
        let detail = format!("{:?} is no date: {error}", about.created_at);
        add("/created_at", detail);
    }
    match wrong.is_empty() {
        true => Ok(about),
        false => Err(ArchiveError::Values(wrong)),
    }
}

/// Copies an entry into a new file, but for what is zero.
fn copy(mut from: Entry<'_, impl Read>, to: &Path) -> Result<(), ArchiveError> {
    let size = from.size();
    let mut options = OpenOptions::new();
    let to = options.write(true).create_new(true).mode(0o400).open(to)?;
    to.set_len(size)?;
    let mut buffer = vec![0; BUFFER];
    let mut at = 0;
    while at < size {
        let count = (size - at).min(BUFFER as u64) as usize;
        let part = buffer.get_mut(..count).unwrap_or_default();
        from.read_exact(part).map_err(damaged)?;
        for block in part.chunks(BLOCK) {
            if block.iter().any(|&byte| byte != 0) {
                to.write_all_at(block, at)?;
            }
            at += block.len() as u64;
        }
    }
    Ok(())
}

fn damaged(error: io::Error) -> ArchiveError {
    ArchiveError::Wrong(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use paravane_api::VmSpec;
    use std::os::unix::fs::MetadataExt;
    use tempfile::TempDir;

    const SIZE: u64 = 8 << 20;

    fn about() -> Snapshot {
        Snapshot {
            id: "1".into(),
            name: "one".into(),
            vm: Uuid::nil().to_string(),
            spec: VmSpec::default(),
            created_at: "2026-01-01T00:00:00Z".into(),
            size: 3,
        }
    }

    /// A snapshot whose memory has two pages.
    fn snapshot() -> TempDir {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join(STATE), "state").unwrap();
        let memory = File::create(folder.path().join(MEMORY)).unwrap();
        memory.set_len(SIZE).unwrap();
        memory.write_all_at(b"first", 4096).unwrap();
        memory.write_all_at(b"last", SIZE - 4).unwrap();
        folder
    }

    fn archive() -> Vec<u8> {
        let mut bytes = Vec::new();
        let files = Files::open(snapshot().path()).unwrap();
        write(&about(), &files, &mut bytes).unwrap();
        bytes
    }

    fn facts(state: &Path) -> Result<SnapshotFacts, String> {
        let resources = VmSpec::default().resources;
        match std::fs::read(state).unwrap().as_slice() {
            b"state" => Ok(SnapshotFacts {
                vcpus: resources.vcpus,
                ram: resources.memory,
                memory: SIZE,
            }),
            b"another" => Ok(SnapshotFacts {
                vcpus: 7,
                ram: 4096,
                memory: SIZE,
            }),
            _ => Err("it has no state".to_string()),
        }
    }

    /// Why it is refused.
    fn refused(archive: &[u8]) -> String {
        let folder = TempDir::new().unwrap();
        match read(archive, folder.path(), facts) {
            Err(ArchiveError::Wrong(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// Names and contents.
    type Listed<'a> = &'a [(&'a str, &'a [u8])];

    /// An archive of these.
    fn made_up(entries: Listed<'_>) -> Vec<u8> {
        let mut archive = Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
        for (name, contents) in entries {
            append(&mut archive, name, contents.len() as u64, *contents).unwrap();
        }
        archive.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_and_holes_stay() {
        let bytes = archive();
        assert!(bytes.len() < 100_000, "{}", bytes.len());
        let folder = TempDir::new().unwrap();
        assert_eq!(
            read(bytes.as_slice(), folder.path(), facts).unwrap(),
            about()
        );
        let state = std::fs::read(folder.path().join(STATE)).unwrap();
        assert_eq!(state, b"state");
        let memory = File::open(folder.path().join(MEMORY)).unwrap();
        let metadata = memory.metadata().unwrap();
        assert_eq!((metadata.len(), metadata.mode() & 0o777), (SIZE, 0o400));
        assert!(metadata.blocks() * 512 < 1 << 20, "{}", metadata.blocks());
        let mut bytes = [0; 5];
        memory.read_exact_at(&mut bytes, 4096).unwrap();
        assert_eq!(&bytes, b"first");
        memory.read_exact_at(&mut bytes[..4], SIZE - 4).unwrap();
        assert_eq!(&bytes[..4], b"last");
    }

    #[test]
    fn what_is_no_snapshot_is_refused() {
        refused(b"");
        refused(b"what is this?");
        let bytes = archive();
        for size in [10, bytes.len() / 2, bytes.len() - 1] {
            refused(&bytes[..size]);
        }
        let expected = std::fs::read(snapshot().path().join(MEMORY)).unwrap();
        for at in 0..100 {
            let mut bytes = bytes.clone();
            let at = at * (bytes.len() - 1) / 99;
            bytes[at] ^= 1;
            let folder = TempDir::new().unwrap();
            if read(bytes.as_slice(), folder.path(), facts).is_ok() {
                // Not all bits say something of the contents.
                let memory = std::fs::read(folder.path().join(MEMORY)).unwrap();
                assert!(memory == expected, "{at}");
            }
        }
        let twice = [&bytes[..], &bytes].concat();
        assert_eq!(refused(&twice), "something follows its end");
        let about = serde_json::to_vec(&about()).unwrap();
        let about: (&str, &[u8]) = (ABOUT, &about);
        let cases: [(Listed<'_>, &str); 8] = [
            (&[], "snapshot.json is missing"),
            (
                &[(STATE, b"")],
                "it has \"state\" where snapshot.json has to be",
            ),
            (&[(ABOUT, b"{")], "snapshot.json: "),
            (&[about, (STATE, b"")], "it has no state"),
            (
                &[about, (STATE, b"another")],
                "its state is of 7 vCPUs and 4096 bytes of RAM, and its spec says 1 and 134217728",
            ),
            (&[about, (STATE, b"state")], "memory is missing"),
            (
                &[about, (STATE, b"state"), (MEMORY, b"short")],
                "memory has 5 bytes, and it has to have 8388608",
            ),
            (
                &[about, (MEMORY, b"")],
                "it has \"memory\" where state has to be",
            ),
        ];
        for (entries, expected) in cases {
            let why = refused(&made_up(entries));
            assert!(why.starts_with(expected), "{why}");
        }
        let long = vec![b' '; 2 << 20];
        let why = refused(&made_up(&[(ABOUT, &long)]));
        assert_eq!(
            why,
            "snapshot.json has 2097152 bytes, and it may have 1048576"
        );
    }

    #[test]
    fn what_is_not_possible_is_told_by_its_field() {
        let wrong = Snapshot {
            name: "a/b".into(),
            vm: "v".repeat(99),
            created_at: "today".into(),
            ..about()
        };
        let wrong = serde_json::to_vec(&wrong).unwrap();
        let folder = TempDir::new().unwrap();
        let bytes = made_up(&[(ABOUT, &wrong)]);
        match read(bytes.as_slice(), folder.path(), facts) {
            Err(ArchiveError::Values(errors)) => {
                let fields: Vec<_> = errors.iter().map(|one| one.field.as_str()).collect();
                assert_eq!(fields, ["/name", "/vm", "/created_at"]);
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let mut archive = Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).unwrap());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        archive
            .append_link(&mut header, ABOUT, "/etc/passwd")
            .unwrap();
        let bytes = archive.into_inner().unwrap().finish().unwrap();
        assert!(refused(&bytes).starts_with("it has \"snapshot.json\" where"));
    }
}
