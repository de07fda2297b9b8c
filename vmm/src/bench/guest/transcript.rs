//! What the guest's verb `bench` prints, line by line as it comes.

use crate::bench::chunk::{Chunk, Outcome};
use crate::bench::result::Answer;
use crate::vcpu::kvm_stats::ExitCounter;

/// The longest line that is kept.
const LONGEST_LINE: usize = 1 << 16;

/// What was printed so far.
#[derive(Default)]
pub struct Transcript {
    /// Where KVM counts the VM's exits.
    pub counters: Vec<ExitCounter>,
    /// Called when the guest is about to measure.
    pub on_begin: Option<Box<dyn Fn() + Send>>,
    /// The most samples that are kept.
    most: usize,
    line: Vec<u8>,
    last: String,
    /// The exits at the last `begin`.
    begun: Option<u64>,
    empty: Loop,
    operation: Loop,
    per: u64,
    absent: Option<String>,
    failed: Option<String>,
    done: bool,
}

/// One of the two loops.
#[derive(Debug, Default)]
struct Loop {
    count: u64,
    kvm: Option<u64>,
    vmm: u64,
    ticks: Vec<u64>,
}

impl Transcript {
    /// One that expects so many samples.
    pub fn new(samples: u64) -> Self {
        Self {
            most: usize::try_from(samples).unwrap_or(usize::MAX),
            per: 1,
            ..Self::default()
        }
    }

    /// Takes a piece of output.
    pub fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.take_line(&String::from_utf8_lossy(&line));
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
        }
    }

    fn take_line(&mut self, line: &str) {
        if !line.is_empty() {
            line.clone_into(&mut self.last);
        }
        let Some(("bench", rest)) = line.split_once(' ') else {
            return;
        };
        let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok());
        match word {
            "begin" => {
                if let Some(on_begin) = &self.on_begin {
                    on_begin();
                }
                self.begun = self.exits();
            }
            "end" => {
                let kvm = self.exits().zip(self.begun);
                let mut words = rest.split(' ');
                let name = words.next();
                let part = match name {
                    Some("empty") => &mut self.empty,
                    _ => &mut self.operation,
                };
                part.kvm = kvm.map(|(now, then)| now.saturating_sub(then));
                part.count = number(words.next()).unwrap_or(0);
                part.vmm = number(words.next()).unwrap_or(0);
            }
            "per" => self.per = number(Some(rest)).unwrap_or(1).max(1),
            "empty" => self.empty.add(rest, self.most),
            "samples" => self.operation.add(rest, self.most),
            "absent" => self.absent = Some(rest.to_owned()),
            "failed" => self.failed = Some(rest.to_owned()),
            "done" => self.done = true,
            _ => {}
        }
    }

    /// The exits of all vCPUs.
    fn exits(&self) -> Option<u64> {
        if self.counters.is_empty() {
            return None;
        }
        self.counters.iter().map(ExitCounter::read).sum()
    }

    /// The last line that was not empty, for whoever asks what went wrong.
    pub fn last_line(&self) -> &str {
        &self.last
    }

    /// What was measured.
    pub fn outcome(&mut self) -> Result<Outcome, String> {
        if let Some(reason) = self.absent.take() {
            return Ok(Outcome::Absent(reason));
        }
        if let Some(reason) = self.failed.take() {
            return Err(reason);
        }
        if !self.done || self.operation.ticks.is_empty() || self.empty.ticks.is_empty() {
            return Err(format!("the guest's last words were {:?}", self.last));
        }
        let count = self.operation.count.max(1);
        let each = |number: u64| number as f64 / count as f64;
        // The empty loop has the exits that belong to the measuring itself.
        let kvm = self.operation.kvm.zip(self.empty.kvm);
        Ok(Outcome::Measured(Chunk {
            kvm: kvm.map(|(with, without)| each(with.saturating_sub(without))),
            vmm: each(self.operation.vmm),
            ticks: std::mem::take(&mut self.operation.ticks),
            empty: std::mem::take(&mut self.empty.ticks),
            per: self.per,
            answer: Answer::Unchecked,
        }))
    }
}

impl Loop {
    fn add(&mut self, text: &str, most: usize) {
        let room = most.saturating_sub(self.ticks.len());
        let numbers = text.split(' ').filter_map(|word| word.parse::<u64>().ok());
        self.ticks.extend(numbers.take(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Result<Outcome, String> {
        let mut transcript = Transcript::new(4);
        // In pieces that end anywhere.
        for piece in text.as_bytes().chunks(7) {
            transcript.take(piece);
        }
        transcript.outcome()
    }

    #[test]
    fn samples_are_gathered_from_all_lines() {
        let outcome = told(
            "bench begin empty\nbench end empty 6\nbench begin x\nbench end x 6 12\nbench per 10\n\
             bench empty 1 2\nbench empty 3\nbench samples 7 8 9\nbench samples 10 11 12\nbench done\n",
        );
        let Ok(Outcome::Measured(chunk)) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(
            (chunk.ticks, chunk.empty),
            (vec![7, 8, 9, 10], vec![1, 2, 3])
        );
        assert_eq!((chunk.per, chunk.vmm, chunk.kvm), (10, 2.0, None));
    }

    #[test]
    fn what_cannot_be_had_says_why() {
        let outcome = told("bench absent it needs 2 vCPUs\n");
        assert_eq!(outcome, Ok(Outcome::Absent("it needs 2 vCPUs".into())));
        assert_eq!(told("bench failed no\n"), Err("no".into()));
    }

    #[test]
    fn an_output_that_ends_early_is_an_error() {
        let error = told("bench begin x\nbench samples 1\n").unwrap_err();
        assert_eq!(error, "the guest's last words were \"bench samples 1\"");
    }
}
