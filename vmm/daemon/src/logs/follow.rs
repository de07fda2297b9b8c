//! A log as a stream.

use super::files::{identity, open_all};
use super::lines::{Lines, fits, last};
use super::watch::{Watch, Watches};
use axum::body::Bytes;
use futures_util::stream::{self, Stream};
use paravane_api::log::LogSource;
use paravane_control::folder::Folder;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

/// What is wanted of a log.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// So many of the last lines; all without it.
    pub tail: Option<usize>,
    /// Only of this source.
    pub source: Option<LogSource>,
    /// Also what is written from now on.
    pub follow: bool,
}

struct Reading {
    folder: Folder,
    wanted: Wanted,
    /// The file that is being read, and those after it.
    files: VecDeque<Lines>,
    watch: Option<Watch>,
}

/// The lines that are wanted, as they are in the files. It ends with the log, and not by itself
/// if it is followed.
///
/// # Errors
///
/// The files cannot be read.
pub async fn follow(
    watches: &Arc<Watches>,
    folder: Folder,
    wanted: Wanted,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static> {
    // Before the files are read, so that nothing is missed in between.
    let watch = match wanted.follow {
        true => Some(watches.watch(folder.path())?),
        false => None,
    };
    let reading = blocking(move || Reading::begin(folder, wanted, watch)).await?;
    Ok(stream::try_unfold(reading, |mut reading| async move {
        loop {
            let (text, back) = blocking(move || {
                let text = reading.read()?;
                Ok((text, reading))
            })
            .await?;
            reading = back;
            match text {
                Some(text) if !text.is_empty() => return Ok(Some((text, reading))),
                Some(_) => {}
                None => match &mut reading.watch {
                    None => return Ok(None),
                    Some(watch) => {
                        if !watch.changed().await {
                            return Ok(None);
                        }
                    }
                },
            }
        }
    }))
}

impl Reading {
    fn begin(folder: Folder, wanted: Wanted, watch: Option<Watch>) -> io::Result<Self> {
        let files = open_all(&folder)?;
        let (first, at) = last(&files, &wanted)?;
        let files = files.into_iter().enumerate().skip(first);
        let files =
            files.map(|(number, file)| Lines::new(file, if number == first { at } else { 0 }));
        Ok(Self {
            folder,
            wanted,
            files: files.collect(),
            watch,
        })
    }

    /// Lines that come next, if any of them is wanted; none when there is no more for now.
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(lines) = self.files.front_mut() {
                let mut text = Vec::new();
                let source = self.wanted.source;
                if lines.next(|_, line| {
                    if fits(line, source) {
                        text.extend_from_slice(line);
                    }
                })? {
                    return Ok(Some(text.into()));
                }
            }
            if self.files.len() > 1 {
                self.files.pop_front();
                continue;
            }
            if !self.wanted.follow || !self.newer_files()? {
                return Ok(None);
            }
        }
    }

    /// Whether there are newer files than the one that is being read. The latter is read to its
    /// end once more: it was written until it got its new name.
    fn newer_files(&mut self) -> io::Result<bool> {
        let current = match self.files.front() {
            Some(lines) => Some(identity(lines.file())?),
            None => None,
        };
        let mut newer = Vec::new();
        for file in open_all(&self.folder)? {
            if Some(identity(&file)?) == current {
                newer.clear();
            } else {
                newer.push(Lines::new(file, 0));
            }
        }
        let any = !newer.is_empty();
        self.files.extend(newer);
        Ok(any)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await?
}
