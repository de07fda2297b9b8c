//! A headless Chromium, for tests of the web page.
//!
//! A [`Browser`] is a process with an empty profile of its own. In it a test has a [`Page`], which
//! is used as a person uses it (by what stands on buttons and beside fields), and which remembers
//! what must not happen: errors, violations of the content security policy, requests that leave
//! the origin.

mod browser;
mod page;
mod watch;

pub use browser::{Browser, find};
pub use page::Page;
