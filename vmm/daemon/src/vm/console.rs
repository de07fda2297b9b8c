//! A connection to a VM's process that becomes a console.

use super::actions::of_request;
use super::connection::RequestError;
use crate::problem::{Error, Kind, Result};
use paravane_control::line;
use paravane_control::message::{Answer, Message, Request};
use std::path::Path;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Memory for what comes at once, in bytes.
const BUFFER: usize = 4096;

/// Opens a console at the control socket `path`: from now on each way carries frames.
///
/// # Errors
///
/// The process refuses, or cannot be connected to.
pub async fn open_console(
    path: &Path,
    write: bool,
    steal: bool,
) -> Result<(BufReader<OwnedReadHalf>, OwnedWriteHalf)> {
    let lost = |error: &dyn std::fmt::Display| {
        let detail = format!("the VM's process cannot be connected to: {error}");
        Error::new(Kind::NotResponding, detail)
    };
    let stream = UnixStream::connect(path).await.map_err(|e| lost(&e))?;
    let (from, mut to) = stream.into_split();
    let mut from = BufReader::with_capacity(BUFFER, from);
    line::write(&mut to, &Request::Console { write, steal })
        .await
        .map_err(|e| lost(&e))?;
    loop {
        match line::read::<Message>(&mut from).await {
            Ok(Some(Message::Reply(Ok(Answer::Done)))) => return Ok((from, to)),
            Ok(Some(Message::Reply(Err(refusal)))) => {
                return Err(of_request(&RequestError::Refused(refusal)));
            }
            Ok(Some(Message::Reply(Ok(_)))) => return Err(of_request(&RequestError::Unexpected)),
            Ok(Some(Message::Notice(_))) => {}
            Ok(None) => return Err(of_request(&RequestError::Closed)),
            Err(error) => return Err(lost(&error)),
        }
    }
}
