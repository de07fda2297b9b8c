//! What follows `disk=`: a word, and `NAME=VALUE` behind commas.

use crate::command_line::Misuse;
use alloc::format;
use paravane_sdk::virtio::block::SECTOR;

/// The values, those that were not given included.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// The operator's name for the disk.
    pub id: Option<&'a str>,
    /// What the pattern is made of.
    pub seed: u64,
    /// Number of requests.
    pub count: Option<u64>,
    /// Bytes of a request, a multiple of [`SECTOR`].
    pub size: Option<usize>,
    /// Requests at once.
    pub depth: Option<u64>,
    /// Requests between two flushes.
    pub flush: u64,
    /// The only measurement that is made.
    pub only: Option<&'a str>,
}

/// The first word, and the options.
pub fn parse(argument: &str) -> Result<(&str, Options<'_>), Misuse> {
    let mut parts = argument.split(',');
    let what = parts.next().unwrap_or_default();
    let mut options = Options {
        id: None,
        seed: 1,
        count: None,
        size: None,
        depth: None,
        flush: 64,
        only: None,
    };
    for part in parts {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| Misuse(format!("\"{part}\" is no NAME=VALUE")))?;
        let number = || {
            value
                .parse::<u64>()
                .ok()
                .filter(|&number| number > 0)
                .ok_or_else(|| Misuse(format!("{name} is a number from 1 on, not \"{value}\"")))
        };
        match name {
            "id" => options.id = Some(value),
            "only" => options.only = Some(value),
            "seed" => options.seed = number()?,
            "count" => options.count = Some(number()?),
            "depth" => options.depth = Some(number()?.min(256)),
            "flush" => options.flush = number()?,
            "size" => options.size = Some(size(number()?)?),
            _ => {
                return Err(Misuse(format!(
                    "there is no option \"{name}\"; there are id, seed, count, size, depth, flush \
                     and only"
                )));
            }
        }
    }
    Ok((what, options))
}

fn size(bytes: u64) -> Result<usize, Misuse> {
    const MOST: u64 = 16 << 20;
    if bytes > MOST || !bytes.is_multiple_of(SECTOR as u64) {
        return Err(Misuse(format!(
            "size is a multiple of {SECTOR} up to {MOST}, not {bytes}"
        )));
    }
    Ok(bytes as usize)
}
