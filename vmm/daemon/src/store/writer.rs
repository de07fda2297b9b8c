//! The thread that writes.

use super::change::{Change, Table};
use super::error::StoreError;
use super::open::database;
use super::record::KeyRecord;
use redb::{Database, ReadableDatabase};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The most requests that share a transaction.
const MAX_GROUP: usize = 256;

/// How long changes that nobody waits for are kept for others that they can share a transaction with.
const COMPANY: Duration = Duration::from_millis(50);

/// The store. All clones are one store, which is closed when the last is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    queue: mpsc::Sender<Group>,
    db: Arc<Open>,
}

/// The database.
#[derive(Debug)]
struct Open {
    path: PathBuf,
    state: RwLock<State>,
}

/// What the database is.
#[derive(Debug)]
enum State {
    /// In use.
    Open(Database),
    /// To be opened by who needs it next: after an error of the disk the library wants it closed
    /// and opened anew.
    Shut,
    /// Closed for ever.
    Closed,
}

/// Changes that are made together or not at all.
#[derive(Debug, Default)]
struct Group {
    changes: Vec<Change>,
    done: Option<oneshot::Sender<Result<(), StoreError>>>,
    /// The store is closed after them.
    last: bool,
}

impl Store {
    /// Starts the thread that writes to `db`, the database at `path`.
    pub(super) fn start(db: Database, path: PathBuf) -> Result<Self, StoreError> {
        let (queue, groups) = mpsc::channel();
        let db = Arc::new(Open {
            path,
            state: RwLock::new(State::Open(db)),
        });
        let writer = Arc::clone(&db);
        thread::Builder::new()
            .name("store".to_string())
            .spawn(move || write_all(&groups, &writer))
            .map_err(redb::Error::Io)?;
        Ok(Self { queue, db })
    }

    /// Makes changes, all or none. They are on the disk when this returns.
    ///
    /// # Errors
    ///
    /// They could not be written, and are not made.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.send(changes, false).await
    }

    /// Closes the store; what was to be written later is written before. Others get
    /// [`StoreError::Closed`] from now on.
    pub async fn close(&self) {
        // What could not be written has been told in the log.
        let _ = self.send(Vec::new(), true).await;
    }

    async fn send(&self, changes: Vec<Change>, last: bool) -> Result<(), StoreError> {
        let (done, result) = oneshot::channel();
        let done = Some(done);
        self.queue
            .send(Group {
                changes,
                done,
                last,
            })
            .map_err(|_| StoreError::Closed)?;
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Makes changes soon, which can be found out anew if they are lost.
    pub fn commit_later(&self, changes: Vec<Change>) {
        let group = Group {
            changes,
            ..Group::default()
        };
        // A closed store forgets what can be found out anew.
        let _ = self.queue.send(group);
    }

    /// What belongs to an idempotency key.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn key(&self, key: &str) -> Result<Option<KeyRecord>, StoreError> {
        self.db.with(|db| {
            let transaction = db.begin_read().map_err(redb::Error::from)?;
            let table = transaction
                .open_table(Table::Keys.definition())
                .map_err(redb::Error::from)?;
            let value = table.get(key).map_err(redb::Error::from)?;
            Ok(value.and_then(|value| serde_json::from_slice(value.value()).ok()))
        })
    }

    /// Forgets idempotency keys that came before `oldest_ms`, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The database cannot be read or written.
    pub async fn forget_keys(&self, oldest_ms: u64) -> Result<usize, StoreError> {
        let old = self.db.with(|db| {
            let transaction = db.begin_read().map_err(redb::Error::from)?;
            let table = transaction
                .open_table(Table::Keys.definition())
                .map_err(redb::Error::from)?;
            let mut old = Vec::new();
            for entry in redb::ReadableTable::iter(&table).map_err(redb::Error::from)? {
                let (key, value) = entry.map_err(redb::Error::from)?;
                let record = serde_json::from_slice::<KeyRecord>(value.value());
                if record.map_or(true, |record| record.at_ms < oldest_ms) {
                    old.push(Change::none(Table::Keys, key.value()));
                }
            }
            Ok(old)
        })?;
        let count = old.len();
        if count > 0 {
            self.commit(old).await?;
        }
        Ok(count)
    }
}

impl Open {
    /// Uses the database, which is opened if it is not.
    fn with<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.ensure()?;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Open(db) => work(db),
            // An error shut it just now, of which the disk's being full is the usual one.
            State::Shut => Err(StoreError::Full),
            State::Closed => Err(StoreError::Closed),
        }
    }

    /// Opens the database anew if it had to be shut.
    fn ensure(&self) -> Result<(), StoreError> {
        let is_shut = |state: &State| matches!(state, State::Shut);
        if !is_shut(&self.state.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(());
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if is_shut(&state) {
            *state = State::Open(database(&self.path)?);
        }
        Ok(())
    }

    fn set(&self, next: State) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

fn write_all(groups: &mpsc::Receiver<Group>, open: &Open) {
    while let Ok(first) = groups.recv() {
        let mut group = vec![first];
        while group.len() < MAX_GROUP
            && let Ok(next) = groups.try_recv()
        {
            group.push(next);
        }
        let deadline = Instant::now() + COMPANY;
        while group.len() < MAX_GROUP
            && !group.iter().any(|one| one.done.is_some() || one.last)
            && let Some(time) = deadline.checked_duration_since(Instant::now())
            && let Ok(next) = groups.recv_timeout(time)
        {
            group.push(next);
        }
        let result = open.with(|db| write(db, &group));
        if let Err(error) = &result {
            tracing::error!("{error}");
            open.set(State::Shut);
        }
        let last = group.iter().any(|group| group.last);
        if last {
            open.set(State::Closed);
        }
        for done in group.into_iter().filter_map(|group| group.done) {
            // Who does not wait for the answer does not want it.
            let _ = done.send(result.clone());
        }
        if last {
            return;
        }
    }
}

fn write(db: &Database, groups: &[Group]) -> Result<(), StoreError> {
    let mut transaction = db.begin_write().map_err(redb::Error::from)?;
    // First what it writes, then that it counts: one that fails for want of room is not found to have
    // been made after all when the database is opened next.
    transaction.set_two_phase_commit(true);
    for table in Table::ALL {
        let mut changes = groups
            .iter()
            .flat_map(|group| &group.changes)
            .filter(|change| change.table == table)
            .peekable();
        if changes.peek().is_none() {
            continue;
        }
        let mut opened = transaction
            .open_table(table.definition())
            .map_err(redb::Error::from)?;
        for change in changes {
            match &change.value {
                Some(value) => opened.insert(change.key.as_str(), value.as_slice()),
                None => opened.remove(change.key.as_str()),
            }
            .map_err(redb::Error::from)?;
        }
    }
    transaction.commit().map_err(redb::Error::from)?;
    Ok(())
}
