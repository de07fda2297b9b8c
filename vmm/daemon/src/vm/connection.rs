//! The daemon's connection to the process of a VM.

use paravane_control::line::{self, LineError};
use paravane_control::message::{Answer, Message, Notice, Refusal, Reply, Request};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Memory for what comes at once, in bytes; there is one for each VM.
const BUFFER: usize = 1024;

/// How many notices may wait for the VM's task.
const NOTICES: usize = 16;

/// How many requests may wait for an answer.
const REQUESTS: usize = 64;

/// Why a request to the process has no answer.
#[derive(Debug, Error)]
pub enum RequestError {
    /// The process says no.
    #[error("{}", reason(.0))]
    Refused(Refusal),
    /// It has not answered in time.
    #[error("the VM's process has not answered within {0:?}")]
    TimedOut(Duration),
    /// There is no connection any more.
    #[error("the connection to the VM's process has ended")]
    Closed,
    /// Too many requests wait.
    #[error("{REQUESTS} requests wait for the VM's process already")]
    Busy,
    /// It answered something else.
    #[error("the VM's process answered something else than what was asked")]
    Unexpected,
}

fn reason(refusal: &Refusal) -> &str {
    match refusal {
        Refusal::State(why)
        | Refusal::Busy(why)
        | Refusal::Unsupported(why)
        | Refusal::Failed(why) => why,
    }
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiting: Waiting,
    /// Why what came could not be understood.
    garbled: Arc<OnceLock<String>>,
    reader: JoinHandle<()>,
}

/// Who waits for answers, in the order of their requests. None once there are no more.
type Waiting = Arc<Mutex<Option<VecDeque<oneshot::Sender<Reply>>>>>;

impl Connection {
    /// Connects to the socket at `path`. What the process tells comes from the receiver, which
    /// ends with the connection.
    ///
    /// # Errors
    ///
    /// Nobody listens there.
    pub async fn open(path: &Path) -> std::io::Result<(Self, mpsc::Receiver<Notice>)> {
        let (read, write) = UnixStream::connect(path).await?.into_split();
        let waiting: Waiting = Arc::new(Mutex::new(Some(VecDeque::new())));
        let (told, notices) = mpsc::channel(NOTICES);
        let garbled = Arc::new(OnceLock::new());
        let reading = read_all(read, Arc::clone(&waiting), told, Arc::clone(&garbled));
        let reader = tokio::spawn(reading);
        let connection = Self {
            writer: tokio::sync::Mutex::new(write),
            waiting,
            garbled,
            reader,
        };
        Ok((connection, notices))
    }

    /// Why the connection has ended, if what came could not be understood.
    pub fn garbled(&self) -> Option<&str> {
        self.garbled.get().map(String::as_str)
    }

    /// Asks the process for something.
    ///
    /// # Errors
    ///
    /// It refuses, or does not answer within `limit`.
    pub async fn request(
        &self,
        request: &Request,
        limit: Duration,
    ) -> Result<Answer, RequestError> {
        timeout(limit, self.exchange(request))
            .await
            .unwrap_or(Err(RequestError::TimedOut(limit)))
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, RequestError> {
        let (answered, answer) = oneshot::channel();
        let mut writer = self.writer.lock().await;
        match &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            None => return Err(RequestError::Closed),
            Some(waiting) if waiting.len() >= REQUESTS => return Err(RequestError::Busy),
            Some(waiting) => waiting.push_back(answered),
        }
        // Part of a line may have been written when the time is over. The connection is of no
        // use then.
        let sent = Sending(&self.waiting);
        line::write(&mut *writer, request)
            .await
            .map_err(|_| RequestError::Closed)?;
        std::mem::forget(sent);
        drop(writer);
        answer
            .await
            .map_err(|_| RequestError::Closed)?
            .map_err(RequestError::Refused)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A request that is being written; the connection is closed if it is given up.
struct Sending<'a>(&'a Waiting);

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        close(self.0);
    }
}

fn close(waiting: &Waiting) {
    // Who waits finds the sender gone.
    *waiting.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

async fn read_all(
    from: OwnedReadHalf,
    waiting: Waiting,
    told: mpsc::Sender<Notice>,
    garbled: Arc<OnceLock<String>>,
) {
    // It is set once, before who waits is told.
    let is_garbled = |why: String| {
        let _ = garbled.set(why);
    };
    let mut from = BufReader::with_capacity(BUFFER, from);
    loop {
        match line::read::<Message>(&mut from).await {
            Ok(Some(Message::Reply(reply))) => {
                let next = match &mut *waiting.lock().unwrap_or_else(PoisonError::into_inner) {
                    Some(waiting) => waiting.pop_front(),
                    None => None,
                };
                let Some(next) = next else {
                    is_garbled("its process answered what nobody asked".to_string());
                    break;
                };
                // Who gave up waiting does not want it.
                let _ = next.send(reply);
            }
            Ok(Some(Message::Notice(notice))) => {
                if told.send(notice).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            // It ended within a line: it was killed.
            Err(LineError::Io(_) | LineError::NoEnd) => break,
            Err(error) => {
                is_garbled(error.to_string());
                break;
            }
        }
    }
    close(&waiting);
}
