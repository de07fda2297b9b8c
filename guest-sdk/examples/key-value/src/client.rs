//! One client: commands in, answers out.

use crate::batch::{KEY_MAX, LARGEST};
use crate::commit::{Refused, Store, Ticket};
use crate::data::Change;
use crate::resp::{self, Answers};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use embedded_io_async::{Read, Write};

/// Largest command in bytes.
const COMMAND: usize = LARGEST;
/// What a client's buffer begins with.
const FIRST_BUFFER: usize = 16 << 10;
/// Answers are sent when they are so much.
const ANSWERS: usize = 64 << 10;
/// Changes of one client that are under way at once.
const UNDER_WAY: usize = 256;
/// Keys of an answer to SCAN, unless it says otherwise.
const SCAN: usize = 10;

/// A change, or several, whose answer is due.
enum Due {
    /// SET: OK.
    Done(Arc<Ticket>),
    /// DEL: how many keys were there.
    Count(Vec<Arc<Ticket>>),
}

/// Serves a client to its end.
pub async fn serve<S: Read + Write>(stream: S, store: Arc<Store>) {
    let client = Client {
        stream,
        store,
        due: Vec::new(),
        answers: Answers::default(),
    };
    // A client that goes without a word is its own affair.
    let _ = client.run().await;
}

struct Client<S> {
    stream: S,
    store: Arc<Store>,
    /// Answers that wait for the disk, the oldest first.
    due: Vec<Due>,
    answers: Answers,
}

impl<S: Read + Write> Client<S> {
    async fn run(mut self) -> Result<(), S::Error> {
        let mut input = vec![0; FIRST_BUFFER];
        let mut filled = 0;
        loop {
            let mut from = 0;
            loop {
                match resp::parse(&input[from..filled]) {
                    Ok(None) => break,
                    Ok(Some(command)) => {
                        let stay = self.execute(&command.words).await;
                        from += command.size;
                        if !stay {
                            return self.send().await;
                        }
                        if self.answers.0.len() >= ANSWERS || self.due.len() >= UNDER_WAY {
                            self.send().await?;
                        }
                    }
                    Err(resp::Malformed) => {
                        self.settle().await;
                        self.answers.error("Protocol error");
                        return self.send().await;
                    }
                }
            }
            self.send().await?;
            input.copy_within(from..filled, 0);
            filled -= from;
            if filled == input.len() {
                if filled >= COMMAND {
                    self.answers.error("the command is too large");
                    return self.send().await;
                }
                input.resize((2 * filled).min(COMMAND), 0);
            }
            match self.stream.read(&mut input[filled..]).await? {
                0 => return Ok(()),
                size => filled += size,
            }
        }
    }

    /// Sends all answers, once they are there.
    async fn send(&mut self) -> Result<(), S::Error> {
        self.settle().await;
        self.stream.write_all(&self.answers.0).await?;
        self.answers.0.clear();
        self.stream.flush().await
    }

    /// Waits for the changes under way, and answers.
    async fn settle(&mut self) {
        for due in self.due.drain(..) {
            let result = match due {
                Due::Done(ticket) => ticket.wait().await.map(|_| None),
                Due::Count(tickets) => count(tickets).await.map(Some),
            };
            match result {
                Ok(None) => self.answers.simple("OK"),
                Ok(Some(count)) => self.answers.integer(count),
                Err(Refused::Full) => self.answers.error("there is no room"),
                Err(Refused::Disk) => self.answers.error("the disk reports an error"),
            }
        }
    }

    /// Does what a command says: whether the client stays.
    async fn execute(&mut self, arguments: &[&[u8]]) -> bool {
        let Some((name, arguments)) = arguments.split_first() else {
            return true;
        };
        let name = name.to_ascii_uppercase();
        match (&name[..], arguments) {
            (b"SET", [key, value]) if is_key(key) => {
                let change = Change::Set((*key).into(), (*value).into());
                self.due.push(Due::Done(self.store.change(change)));
                return true;
            }
            (b"DEL", keys) if !keys.is_empty() && keys.iter().all(|key| is_key(key)) => {
                let delete = |key: &&[u8]| self.store.change(Change::Delete((*key).into()));
                self.due.push(Due::Count(keys.iter().map(delete).collect()));
                return true;
            }
            _ => {}
        }
        // What is asked now sees all changes before.
        self.settle().await;
        self.answer(&name, arguments)
    }

    fn answer(&mut self, name: &[u8], arguments: &[&[u8]]) -> bool {
        let answers = &mut self.answers;
        match (name, arguments) {
            (b"PING", []) => answers.simple("PONG"),
            (b"PING" | b"ECHO", [text]) => answers.bulk(Some(text)),
            (b"GET", [key]) => self.store.look(|data| answers.bulk(data.get(key))),
            (b"EXISTS", keys) => {
                let there = |key: &&&[u8]| self.store.look(|data| data.get(key).is_some());
                answers.integer(keys.iter().filter(there).count());
            }
            (b"DBSIZE", []) => answers.integer(self.store.look(|data| data.len())),
            (b"SCAN", [place, options @ ..]) => match scan_options(place, options) {
                Some((place, count)) => self.store.look(|data| {
                    let (keys, next) = data.scan(place, count);
                    answers.array(2);
                    answers.bulk(Some(format!("{next}").as_bytes()));
                    answers.array(keys.len());
                    keys.iter().for_each(|key| answers.bulk(Some(key)));
                }),
                None => answers.error("SCAN takes a cursor, and COUNT with a number"),
            },
            (b"INFO", _) => {
                let (keys, size) = self.store.look(|data| (data.len(), data.size()));
                let commits = self.store.commits();
                let text = format!("keys:{keys}\r\nbytes:{size}\r\ncommits:{commits}\r\n");
                answers.bulk(Some(text.as_bytes()));
            }
            // Clients ask these to begin with, and live without an answer.
            (b"COMMAND" | b"CONFIG", _) => answers.array(0),
            (b"QUIT", _) => {
                answers.simple("OK");
                return false;
            }
            _ => answers.error("unknown command, or wrong arguments"),
        }
        true
    }
}

async fn count(tickets: Vec<Arc<Ticket>>) -> Result<usize, Refused> {
    let mut count = 0;
    for ticket in tickets {
        count += usize::from(ticket.wait().await?);
    }
    Ok(count)
}

fn is_key(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= KEY_MAX
}

/// Place and count of SCAN.
fn scan_options(place: &[u8], options: &[&[u8]]) -> Option<(u64, usize)> {
    let place = str::from_utf8(place).ok()?.parse().ok()?;
    let count = match options {
        [] => SCAN,
        [name, count] if name.eq_ignore_ascii_case(b"COUNT") => {
            str::from_utf8(count).ok()?.parse().ok()?
        }
        _ => return None,
    };
    Some((place, count))
}
