//! The tasks that serve the queues of a device, one for each.

use super::packets::End;
use crate::device::DeviceError;
use crate::device::watched::Watched;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use tokio::io::Interest;
use tokio::task::JoinSet;

/// Waits until a task fails. When the other side is gone, `gone` is called, and nothing more
/// comes.
pub async fn first_end(
    tasks: &mut JoinSet<Result<(), End>>,
    gone: impl FnOnce(),
) -> Result<(), DeviceError> {
    let mut gone = Some(gone);
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(Err(End::Error(error))) => return Err(error),
            Ok(Err(End::Gone)) => {
                if let Some(gone) = gone.take() {
                    gone();
                }
            }
            Ok(Ok(())) => {}
            Err(error) => {
                let error = io::Error::other(error);
                return Err(DeviceError::host("serving a queue")(error));
            }
        }
    }
    std::future::pending().await
}

/// A descriptor of the network for the tasks of this thread.
pub fn watch_fd(fd: &OwnedFd) -> Result<Rc<Watched>, DeviceError> {
    let failed = DeviceError::host("watching the network");
    let fd = fd.try_clone().map_err(&failed)?;
    let interest = Interest::READABLE | Interest::WRITABLE | Interest::ERROR;
    Ok(Rc::new(Watched::new(fd, interest).map_err(failed)?))
}
