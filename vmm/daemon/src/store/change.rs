//! Changes of the store.

use super::error::StoreError;
use super::record::{KeyRecord, VmRecord};
use paravane_api::image::StoredImage;
use paravane_api::snapshot::Snapshot;
use redb::TableDefinition;
use serde::Serialize;
use uuid::Uuid;

/// A table: what belongs to a key, in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// VMs by id.
    Vms,
    /// Idempotency keys.
    Keys,
    /// Snapshots by id.
    Snapshots,
    /// Images by digest.
    Images,
    /// Numbers and words about the whole: the schema's version, the host's boot, counters.
    Meta,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Vms,
        Self::Keys,
        Self::Snapshots,
        Self::Images,
        Self::Meta,
    ];

    /// The table in the database.
    pub(super) fn definition(self) -> TableDefinition<'static, &'static str, &'static [u8]> {
        TableDefinition::new(match self {
            Self::Vms => "vms",
            Self::Keys => "keys",
            Self::Snapshots => "snapshots",
            Self::Images => "images",
            Self::Meta => "meta",
        })
    }
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub(super) table: Table,
    /// Of what.
    pub(super) key: String,
    /// What it is now; nothing when it is gone.
    pub(super) value: Option<Vec<u8>>,
}

impl Change {
    fn put(
        table: Table,
        key: impl Into<String>,
        value: &impl Serialize,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            table,
            key: key.into(),
            value: Some(
                serde_json::to_vec(value).map_err(|error| StoreError::Encode(error.to_string()))?,
            ),
        })
    }

    /// A VM is now so.
    pub fn vm(record: &VmRecord) -> Result<Self, StoreError> {
        Self::put(Table::Vms, record.id.to_string(), record)
    }

    /// A VM is gone.
    pub fn no_vm(id: Uuid) -> Self {
        Self::none(Table::Vms, id.to_string())
    }

    /// An idempotency key belongs to a request.
    pub fn key(key: &str, record: &KeyRecord) -> Result<Self, StoreError> {
        Self::put(Table::Keys, key, record)
    }

    /// A snapshot is there.
    pub fn snapshot(snapshot: &Snapshot) -> Result<Self, StoreError> {
        Self::put(Table::Snapshots, snapshot.id.clone(), snapshot)
    }

    /// An image is there.
    pub fn image(image: &StoredImage) -> Result<Self, StoreError> {
        Self::put(Table::Images, image.digest.clone(), image)
    }

    /// A fact about the whole.
    pub fn meta(name: &str, value: &impl Serialize) -> Result<Self, StoreError> {
        Self::put(Table::Meta, name, value)
    }

    /// Something is gone.
    pub fn none(table: Table, key: impl Into<String>) -> Self {
        Self {
            table,
            key: key.into(),
            value: None,
        }
    }
}
