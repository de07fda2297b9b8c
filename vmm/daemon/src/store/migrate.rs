//! Schema versions of the database.

use super::change::Table;
use super::error::StoreError;
use redb::{Database, ReadableDatabase, TableError, WriteTransaction};
use std::path::Path;

/// A step from one version to the next.
pub(super) type Step = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The steps; the first leads from version 1 to version 2.
pub(super) const STEPS: &[Step] = &[];

const VERSION: &str = "schema";

/// Brings the database to the newest version; a new database has it at once. Before the first
/// step of an old one, its file is copied to a name that ends in its version.
pub(super) fn migrate(db: &Database, path: &Path, steps: &[Step]) -> Result<(), StoreError> {
    let newest = steps.len() as u64 + 1;
    let found = version(db)?;
    let from = match found {
        Some(found) if found > newest => {
            return Err(StoreError::TooNew {
                path: path.to_path_buf(),
                found,
                known: newest,
            });
        }
        Some(found) if found == newest => return Ok(()),
        Some(found) => {
            keep_copy(path, found)?;
            found.max(1)
        }
        None => newest,
    };
    let transaction = db.begin_write().map_err(redb::Error::from)?;
    for table in Table::ALL {
        transaction
            .open_table(table.definition())
            .map_err(redb::Error::from)?;
    }
    for step in steps.iter().skip(from as usize - 1) {
        step(&transaction)?;
    }
    transaction
        .open_table(Table::Meta.definition())
        .map_err(redb::Error::from)?
        .insert(VERSION, newest.to_string().as_bytes())
        .map_err(redb::Error::from)?;
    transaction.commit().map_err(redb::Error::from)?;
    Ok(())
}

/// The version of the database; none of an empty one.
fn version(db: &Database) -> Result<Option<u64>, StoreError> {
    let transaction = db.begin_read().map_err(redb::Error::from)?;
    let table = match transaction.open_table(Table::Meta.definition()) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(redb::Error::from(error).into()),
    };
    let value = table.get(VERSION).map_err(redb::Error::from)?;
    Ok(value.and_then(|value| serde_json::from_slice(value.value()).ok()))
}

fn keep_copy(path: &Path, version: u64) -> Result<(), StoreError> {
    let mut name = path.as_os_str().to_os_string();
    name.push(format!(".v{version}"));
    std::fs::copy(path, name).map_err(redb::Error::Io)?;
    Ok(())
}
