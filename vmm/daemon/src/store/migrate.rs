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

#[cfg(test)]
mod tests {
    use super::*;
    use redb::{ReadableTable, StorageError};
    use tempfile::TempDir;

    fn names(db: &Database) -> Vec<String> {
        let transaction = db.begin_read().unwrap();
        let table = transaction.open_table(Table::Vms.definition()).unwrap();
        let all: Result<Vec<_>, StorageError> = table
            .iter()
            .unwrap()
            .map(|entry| Ok(entry?.0.value().to_string()))
            .collect();
        all.unwrap()
    }

    fn add(transaction: &WriteTransaction, name: &str) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(Table::Vms.definition())?;
        table.insert(name, b"{}".as_slice())?;
        Ok(())
    }

    fn second(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        add(transaction, "second")
    }

    fn third(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        add(transaction, "third")
    }

    fn fails(transaction: &WriteTransaction) -> Result<(), redb::Error> {
        add(transaction, "half")?;
        Err(redb::Error::Corrupted("a value".to_string()))
    }

    #[test]
    fn each_step_is_made_once_and_the_old_file_is_kept() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let db = Database::create(&path).unwrap();
        migrate(&db, &path, &[]).unwrap();
        assert_eq!(version(&db).unwrap(), Some(1));
        migrate(&db, &path, &[second]).unwrap();
        assert_eq!(names(&db), ["second"]);
        // A step that fails changes nothing.
        migrate(&db, &path, &[second, fails]).unwrap_err();
        assert_eq!((version(&db).unwrap(), names(&db).len()), (Some(2), 1));
        migrate(&db, &path, &[second, third]).unwrap();
        assert_eq!(names(&db), ["second", "third"]);
        assert_eq!(version(&db).unwrap(), Some(3));
        let old = Database::open(folder.path().join("db.v2")).unwrap();
        assert_eq!(names(&old), ["second"]);
        let error = migrate(&db, &path, &[second]).unwrap_err();
        assert!(matches!(
            error,
            StoreError::TooNew {
                found: 3,
                known: 2,
                ..
            }
        ));
    }

    #[test]
    fn a_new_database_needs_no_step() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let db = Database::create(&path).unwrap();
        migrate(&db, &path, &[fails]).unwrap();
        assert_eq!(version(&db).unwrap(), Some(2));
        assert_eq!(names(&db), [] as [&str; 0]);
    }
}
