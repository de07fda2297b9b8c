//! What the daemon must not forget: a database (redb) in the state folder.
//!
//! Everything that is asked about often is in memory too, so that reads do not wait for the
//! disk; the database is read when the daemon starts. A request is answered only after
//! [`Store::commit`] says that its changes are on the disk. One thread writes ([`writer`]) and
//! takes all changes that wait into one transaction, so that many requests share one fsync.

mod change;
mod error;
mod file;
mod migrate;
mod open;
mod record;
mod writer;

pub use change::{Change, Table};
pub use error::StoreError;
pub use open::{Contents, check, open};
pub use record::{KeyRecord, KeyResponse, Pending, VmRecord};
pub use writer::Store;
