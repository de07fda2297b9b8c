//! The database is opened and read when the daemon starts.

use super::change::Table;
use super::error::StoreError;
use super::file::DatabaseFile;
use super::migrate::{STEPS, migrate};
use super::record::VmRecord;
use super::writer::Store;
use paravane_api::image::StoredImage;
use paravane_api::snapshot::Snapshot;
use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError};
use serde::de::DeserializeOwned;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Memory for pages of the database in bytes: it is small, and read when the daemon starts.
const CACHE: usize = 2 << 20;

/// The largest value that is believed, in bytes.
const MAX_VALUE: usize = 16 << 20;

/// What the database knew when the daemon started.
#[derive(Debug, Default)]
pub struct Contents {
    /// The VMs, by the time of their creation.
    pub vms: Vec<VmRecord>,
    /// The snapshots, by the time of their creation.
    pub snapshots: Vec<Snapshot>,
    /// The images.
    pub images: Vec<StoredImage>,
    /// The boot of the host (`/proc/sys/kernel/random/boot_id`) that wrote last.
    pub boot: Option<String>,
    /// Events have numbers from here on.
    pub next_event: u64,
}

/// Opens the database at `path`, makes it if there is none, and reads it.
///
/// # Errors
///
/// It cannot be read, is damaged or of a newer version.
pub fn open(path: &Path) -> Result<(Store, Contents), StoreError> {
    let (db, contents) = load(path)?;
    Ok((Store::start(db, path.to_path_buf())?, contents))
}

/// Reads all of the database at `path` and checks its sums, without using it.
///
/// # Errors
///
/// It cannot be read, is damaged or of a newer version.
pub fn check(path: &Path) -> Result<Contents, StoreError> {
    if !path.exists() {
        return Ok(Contents::default());
    }
    let (mut db, contents) = load(path)?;
    let sound = guarded(path, || {
        db.check_integrity().map_err(|error| of(path, error.into()))
    })?;
    if sound {
        Ok(contents)
    } else {
        Err(damaged(path, "its sums do not fit its contents"))
    }
}

fn load(path: &Path) -> Result<(Database, Contents), StoreError> {
    guarded(path, || {
        let db = database(path)?;
        migrate(&db, path, STEPS)?;
        let contents = read(&db, path)?;
        Ok((db, contents))
    })
}

/// Opens the database or makes it.
pub(super) fn database(path: &Path) -> Result<Database, StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(redb::Error::Io)?;
    Builder::new()
        .set_cache_size(CACHE)
        .create_with_backend(DatabaseFile(file))
        .map_err(|error| of(path, error.into()))
}

/// A damaged file makes the library panic in places; that is told as damage too.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(_) => Err(damaged(path, "it cannot be read")),
    }
}

fn damaged(path: &Path, reason: impl ToString) -> StoreError {
    StoreError::Damaged {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}

/// The error of opening: what is no database, or not a whole one, is damage.
fn of(path: &Path, error: redb::Error) -> StoreError {
    match &error {
        redb::Error::Corrupted(reason) => damaged(path, reason),
        redb::Error::RepairAborted | redb::Error::UpgradeRequired(_) => damaged(path, &error),
        redb::Error::Io(io)
            if matches!(
                io.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            damaged(path, io)
        }
        _ => error.into(),
    }
}

fn read(db: &Database, path: &Path) -> Result<Contents, StoreError> {
    let meta = values::<serde_json::Value>(db, path, Table::Meta)?;
    let fact = |name: &str| meta.iter().find(|(key, _)| key == name).map(|(_, v)| v);
    let mut vms = values::<VmRecord>(db, path, Table::Vms)?;
    vms.sort_by_key(|(_, record)| record.id);
    Ok(Contents {
        vms: second(vms),
        snapshots: second(values(db, path, Table::Snapshots)?),
        images: second(values(db, path, Table::Images)?),
        boot: fact("boot").and_then(|v| Some(v.as_str()?.to_string())),
        next_event: fact("next_event").and_then(|v| v.as_u64()).unwrap_or(1),
    })
}

fn second<T>(pairs: Vec<(String, T)>) -> Vec<T> {
    pairs.into_iter().map(|(_, value)| value).collect()
}

/// All values of a table.
fn values<T: DeserializeOwned>(
    db: &Database,
    path: &Path,
    table: Table,
) -> Result<Vec<(String, T)>, StoreError> {
    let of_storage = |error: StorageError| of(path, error.into());
    let transaction = db.begin_read().map_err(redb::Error::from)?;
    let opened = transaction
        .open_table(table.definition())
        .map_err(|error| of(path, error.into()))?;
    let mut values = Vec::new();
    for entry in opened.iter().map_err(of_storage)? {
        let (key, value) = entry.map_err(of_storage)?;
        let (key, value) = (key.value(), value.value());
        if value.len() > MAX_VALUE {
            return Err(damaged(
                path,
                format!("the value of {table:?} {key} is too long"),
            ));
        }
        let value = serde_json::from_slice(value).map_err(|error| {
            damaged(
                path,
                format!("the value of {table:?} {key} is none: {error}"),
            )
        })?;
        values.push((key.to_string(), value));
    }
    Ok(values)
}

/// The error of a database that cannot be opened.
impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        redb::Error::from(error).into()
    }
}
