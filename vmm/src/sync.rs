//! Locking.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. Every holder in this crate leaves the data whole at each step, so a panic of one
/// of them does not make it unusable.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
