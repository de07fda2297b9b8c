//! A connection that is a console.

use super::state::Process;
use super::typing::Grant;
use crate::console::ring::Found;
use paravane_control::console::Frame;
use std::future::pending;
use tokio::io::{BufReader, Interest};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// The most bytes of a frame to a reader.
const PIECE: usize = 16 << 10;

/// Serves a console until its client is gone, the right to type is lost, or the VM has ended and
/// all that it wrote was passed on.
pub(super) async fn serve(
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    process: &Process,
    grant: Option<Grant>,
) {
    tokio::select! {
        () = show(to, process) => {}
        () = read(from, process, grant) => {}
    }
}

/// Passes on what the guest writes.
async fn show(mut to: OwnedWriteHalf, process: &Process) {
    let mut cursor = process.output.oldest();
    let mut bytes = vec![0; PIECE];
    loop {
        let frame = match process.output.next(&mut cursor, &mut bytes).await {
            Found::Bytes(count) => Frame::Data(bytes.get(..count).unwrap_or_default().to_vec()),
            Found::Lost(count) => Frame::Lost(count),
            Found::Nothing => continue,
            Found::End => return,
        };
        if frame.write(&mut to).await.is_err() {
            return;
        }
    }
}

/// Passes on what is typed. Without a grant only the end of the connection counts.
async fn read(mut from: BufReader<OwnedReadHalf>, process: &Process, grant: Option<Grant>) {
    let lost = async {
        match &grant {
            Some(grant) => grant.lost().await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = lost => {}
        () = pass_on(&mut from, process, grant.as_ref()) => {}
    }
}

async fn pass_on(from: &mut BufReader<OwnedReadHalf>, process: &Process, grant: Option<&Grant>) {
    while let Ok(Some(frame)) = Frame::read(from).await {
        let (Frame::Data(typed), Some(grant)) = (frame, grant) else {
            continue;
        };
        let push = process.input.push_async(&typed);
        tokio::pin!(push);
        let taken = tokio::select! {
            biased;
            taken = &mut push => taken,
            () = hangs_up(from.get_ref()) => {
                // The guest may read it later; until then nobody else has to wait.
                grant.abandon();
                push.await
            }
        };
        if !taken {
            // The VM is being stopped: what it wrote before still goes out.
            return pending().await;
        }
    }
}

/// Waits until the client writes no more, whatever of it has not been read yet.
async fn hangs_up(from: &OwnedReadHalf) {
    // Of what this waits for only the end of the stream ever comes, as a Unix socket of streams
    // has no urgent data here.
    if from.ready(Interest::PRIORITY).await.is_err() {
        pending().await
    }
}
