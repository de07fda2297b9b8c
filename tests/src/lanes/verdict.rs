//! Judging a run by its serial output.
//!
//! `init.sh` frames what the program writes with marker lines:
//!
//! ```text
//! PARAVANE-LANE-BEGIN
//! ... the program's output, then a line feed that is not part of it
//! PARAVANE-LANE-END
//! ... what the kernel logged in the meantime
//! PARAVANE-LANE-EXIT <exit status>
//! ```
//!
//! or says `PARAVANE-LANE-FAILED <reason>` if it cannot even begin. The emulators' own exit
//! statuses mean nothing: Bochs's is 1 after a clean power-off.

const BEGIN: &[u8] = b"PARAVANE-LANE-BEGIN";
const END: &[u8] = b"PARAVANE-LANE-END";
const EXIT: &[u8] = b"PARAVANE-LANE-EXIT ";
const FAILED: &[u8] = b"PARAVANE-LANE-FAILED ";

/// The kernel's own words, after the time stamp that begins a line of its log: a program that
/// prints the same words is not mistaken for it.
const PANIC: &[u8] = b"] Kernel panic - not syncing";

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// The program has not been started.
    #[default]
    Boot,
    /// The program runs.
    Program,
    /// The program has ended; the kernel's log follows.
    KernelLog,
    /// All is there, and this is the program's exit status.
    Exited(i32),
    /// The program could not be started.
    Failed,
    /// The kernel panicked, and perhaps is not done saying so.
    Panicking,
}

impl Phase {
    /// What goes on in this phase, for "time was up, ...".
    pub(super) fn description(self) -> &'static str {
        match self {
            Phase::Boot => "before the lane had booted",
            Phase::Program => "while the program ran",
            Phase::KernelLog | Phase::Exited(_) | Phase::Failed => "after the program had ended",
            Phase::Panicking => "while the kernel panicked",
        }
    }
}

/// The serial output so far, and what has been made out in it.
#[derive(Default)]
pub(super) struct Transcript {
    /// All bytes but carriage returns.
    text: Vec<u8>,
    /// Where the line begins that is not complete yet.
    line: usize,
    phase: Phase,
    /// How many empty lines of the program's have not been reported yet.
    empty_lines: usize,
    /// Where the program's output begins.
    output_start: usize,
    /// Where the program's output ends.
    output_end: usize,
    /// Where the kernel's messages begin.
    messages_start: usize,
    /// Where the kernel's messages end.
    messages_end: usize,
    /// Why the program could not be started, or why the kernel panicked.
    failure: String,
}

impl Transcript {
    /// Appends `new`. Each line of the program's that it completes is given to `progress`.
    pub(super) fn push(&mut self, new: &[u8], progress: &mut dyn FnMut(&str)) {
        let mut searched = self.text.len();
        self.text.extend(new.iter().filter(|&&byte| byte != b'\r'));
        while let Some(length) = self.text[searched..].iter().position(|&byte| byte == b'\n') {
            let line = self.line;
            searched += length + 1;
            self.line = searched;
            self.judge(line, searched - 1);
            if self.phase == Phase::Program && line >= self.output_start {
                let line = String::from_utf8_lossy(&self.text[line..searched - 1]);
                Self::report(&mut self.empty_lines, &line, progress);
            }
        }
    }

    /// Gives `line` to `progress`, empty lines only once another follows: the last is no line of
    /// the program's.
    fn report(empty_lines: &mut usize, line: &str, progress: &mut dyn FnMut(&str)) {
        if line.is_empty() {
            *empty_lines += 1;
            return;
        }
        (0..std::mem::take(empty_lines)).for_each(|_| progress(""));
        progress(line);
    }

    /// Takes notice of the complete line from `start` to `end`.
    fn judge(&mut self, start: usize, end: usize) {
        let line = &self.text[start..end];
        if self.phase != Phase::Panicking && contains(line, PANIC) {
            self.failure = String::from_utf8_lossy(line).into_owned();
            self.phase = Phase::Panicking;
        }
        match self.phase {
            Phase::Boot if line == BEGIN => {
                self.phase = Phase::Program;
                self.output_start = end + 1;
            }
            Phase::Boot => {
                if let Some(reason) = line.strip_prefix(FAILED) {
                    self.failure = String::from_utf8_lossy(reason).into_owned();
                    self.phase = Phase::Failed;
                }
            }
            Phase::Program if line == END => {
                self.phase = Phase::KernelLog;
                // Without the line feed before the marker, which init.sh has added.
                self.output_end = start.saturating_sub(1).max(self.output_start);
                self.messages_start = end + 1;
            }
            Phase::KernelLog => {
                let code = line
                    .strip_prefix(EXIT)
                    .and_then(|code| str::from_utf8(code).ok());
                if let Some(code) = code.and_then(|code| code.parse().ok()) {
                    self.phase = Phase::Exited(code);
                    self.messages_end = start;
                }
            }
            Phase::Program | Phase::Exited(_) | Phase::Failed | Phase::Panicking => {}
        }
    }

    /// How far the run has come.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// What the program wrote, once it has ended.
    pub(super) fn output(&self) -> String {
        String::from_utf8_lossy(&self.text[self.output_start..self.output_end]).into_owned()
    }

    /// What the kernel logged, once that is known.
    pub(super) fn kernel_messages(&self) -> String {
        String::from_utf8_lossy(&self.text[self.messages_start..self.messages_end]).into_owned()
    }

    /// Why the program could not be started, or why the kernel panicked.
    pub(super) fn failure(&self) -> &str {
        &self.failure
    }

    /// The last `count` lines of everything.
    pub(super) fn tail(&self, count: usize) -> String {
        last_lines(&String::from_utf8_lossy(&self.text), count)
    }
}

/// The last `count` lines of `text`.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transcript of `serial` and the lines of progress, fed in pieces of `piece` bytes.
    fn transcript(serial: &str, piece: usize) -> (Transcript, Vec<String>) {
        let mut transcript = Transcript::default();
        let mut lines = Vec::new();
        for piece in serial.as_bytes().chunks(piece) {
            transcript.push(piece, &mut |line| lines.push(line.to_owned()));
        }
        (transcript, lines)
    }

    const WHOLE: &str = "SeaBIOS\r\nBooting..\r\nPARAVANE-LANE-BEGIN\r\nöne\r\n\r\nlast\r\n\
                         PARAVANE-LANE-END\r\n[ 1.0] kvm: hm\r\nPARAVANE-LANE-EXIT 42\r\nPower down";

    #[test]
    fn a_whole_run_is_judged_however_it_comes_in() {
        for piece in [1, 2, 7, 1000] {
            let (transcript, lines) = transcript(WHOLE, piece);
            assert_eq!(transcript.phase(), Phase::Exited(42));
            assert_eq!(transcript.output(), "öne\n\nlast");
            assert_eq!(transcript.kernel_messages(), "[ 1.0] kvm: hm\n");
            assert_eq!(lines, ["öne", "", "last"]);
        }
    }

    #[test]
    fn a_program_that_writes_nothing_has_no_output() {
        let serial = "PARAVANE-LANE-BEGIN\n\nPARAVANE-LANE-END\nPARAVANE-LANE-EXIT 0\n";
        let (transcript, _) = transcript(serial, 5);
        assert_eq!(transcript.phase(), Phase::Exited(0));
        assert_eq!(transcript.output(), "");
        assert_eq!(transcript.kernel_messages(), "");
    }

    #[test]
    fn an_incomplete_marker_is_no_verdict() {
        let (half, _) = transcript(&WHOLE[..WHOLE.len() - "2\r\nPower down".len()], 64);
        assert_eq!(half.phase(), Phase::KernelLog);
    }

    #[test]
    fn only_the_kernel_can_panic() {
        let said = "PARAVANE-LANE-BEGIN\nKernel panic - not syncing: says my guest\n";
        assert_eq!(transcript(said, 64).0.phase(), Phase::Program);
        let kernel = format!("{said}no line feed[    2.5] Kernel panic - not syncing: sysrq\n");
        let (panicking, _) = transcript(&kernel, 64);
        assert_eq!(panicking.phase(), Phase::Panicking);
        assert!(
            panicking.failure().ends_with("sysrq"),
            "{}",
            panicking.failure()
        );
    }

    #[test]
    fn a_failure_before_the_program_has_its_reason() {
        let (transcript, _) = transcript("\nPARAVANE-LANE-FAILED no /dev/kvm\n", 64);
        assert_eq!(transcript.phase(), Phase::Failed);
        assert_eq!(transcript.failure(), "no /dev/kvm");
    }

    #[test]
    fn the_tail_is_the_last_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
        assert_eq!(last_lines("", 2), "");
    }
}
