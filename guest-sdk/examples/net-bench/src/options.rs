//! What the command line says.

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Address and port of a peer.
pub type Target = (Ipv4Addr, u16);

/// What is to be measured.
pub struct Options {
    pub verbs: Vec<Verb>,
}

/// A measurement.
pub enum Verb {
    Send(Target, u64),
    Receive(Target, u64),
    Request {
        target: Target,
        count: u64,
        connections: u64,
        size: usize,
    },
    Serve,
}

impl Options {
    /// Those of a command line, or the word that is none.
    pub fn parse(command_line: &str) -> Result<Self, &str> {
        let verbs = command_line
            .split(';')
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        let verbs = verbs.map(Verb::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { verbs })
    }
}

impl Verb {
    fn parse(text: &str) -> Result<Self, &str> {
        // The network's own words may stand anywhere.
        let words = || {
            text.split_ascii_whitespace()
                .filter(|word| !word.starts_with("ip="))
        };
        let target = || {
            let mut words = words().skip(1);
            let address = words.next().and_then(|word| word.parse().ok());
            let port = words.next().and_then(|word| word.parse().ok());
            address.zip(port).ok_or(text)
        };
        let number = |name: &str, default: u64| {
            let mut values = words().filter_map(|word| word.split_once('='));
            match values.find(|(other, _)| *other == name) {
                Some((_, value)) => value.parse().map_err(|_| text),
                None => Ok(default),
            }
        };
        let bytes = || number("bytes", 1 << 30);
        match words().next() {
            Some("send") => Ok(Self::Send(target()?, bytes()?)),
            Some("receive") => Ok(Self::Receive(target()?, bytes()?)),
            Some("request") => Ok(Self::Request {
                target: target()?,
                count: number("count", 10_000)?,
                connections: number("connections", 1)?,
                size: number("size", 64)? as usize,
            }),
            Some("serve") => Ok(Self::Serve),
            _ => Err(text),
        }
    }
}
