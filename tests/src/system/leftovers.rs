//! What a package leaves behind.

use super::System;
use std::collections::BTreeSet;
use std::path::Path;

/// What the system itself writes while packages come and go: the books of dpkg and systemd, caches
/// and logs.
const BOOKS: [&str; 5] = [
    "var/lib/dpkg/",
    "var/lib/systemd/",
    "var/cache/",
    "var/log/",
    "var/tmp/",
];

/// The files of a system that are not this machine's.
#[derive(Debug)]
pub struct Files(BTreeSet<String>);

impl Files {
    /// Those of now.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub fn of(system: &System) -> Result<Self, String> {
        // boot.sh shows there what is above this machine's files.
        let listing = system.run(&["find", "/mnt", "-mindepth", "1", "-printf", "%P\n"])?;
        let own = listing.lines().filter(|path| {
            let is_book = BOOKS.iter().any(|books| path.starts_with(books));
            // A folder of this machine's in which something was changed is there too.
            !is_book && Path::new("/").join(path).symlink_metadata().is_err()
        });
        Ok(Self(own.map(str::to_string).collect()))
    }

    /// Those that were not there before.
    pub fn beyond<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        self.0.difference(&before.0).map(String::as_str).collect()
    }
}
