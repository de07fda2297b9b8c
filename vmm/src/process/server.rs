//! The listening socket of a process.

use super::connection;
use super::state::Process;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// The most connections at a time; the next one is closed at once.
pub const CONNECTIONS_MAX: usize = 256;

/// How long to leave the socket alone when a connection cannot be taken, as when there are too many
/// files.
const RETRY: Duration = Duration::from_millis(100);

/// How long connections may take to read what is left for them when the VM has ended.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves connections until the VM has ended and they have been told all.
pub async fn serve(listener: UnixListener, process: Arc<Process>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = process.output.ended() => break,
            // A panic has been told by its hook; it ends the connection and nothing else.
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(connection::serve(stream, Arc::clone(&process)));
                }
                Ok(_) => {}
                Err(_) => sleep(RETRY).await,
            },
        }
    }
    // Who connects from now on is told that nobody is there.
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    // The others are closed without their rest.
    let _ = timeout(FAREWELL, all).await;
}
