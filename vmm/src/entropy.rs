//! Random bytes from the host's generator.
#![allow(unsafe_code)]

use std::io;

/// Fills `bytes` with random bytes (getrandom(2)).
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    #[cfg(test)]
    tests::check_works()?;
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the pointer and the length are those of a live, writable slice.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => done += count,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) use tests::while_it_fails;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static FAILS: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `action` on a host that has no random numbers to give.
    pub(crate) fn while_it_fails<T>(action: impl FnOnce() -> T) -> T {
        FAILS.set(true);
        let result = action();
        FAILS.set(false);
        result
    }

    pub(super) fn check_works() -> io::Result<()> {
        if FAILS.get() {
            Err(io::ErrorKind::Unsupported.into())
        } else {
            Ok(())
        }
    }

    #[test]
    fn two_draws_differ() {
        let (mut first, mut second) = ([0; 32], [0; 32]);
        super::fill(&mut first).unwrap();
        super::fill(&mut second).unwrap();
        assert_ne!(first, second);
    }
}
