//! Lines, from bytes that come in pieces.

/// The most bytes of a line; a longer one becomes several.
pub(super) const LINE_MAX: usize = 4096;

/// What has come of a line that has no end yet.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes, and gives each line that they complete to `each`, without its end.
    pub(super) fn take(&mut self, bytes: &[u8], mut each: impl FnMut(&str)) {
        let mut pieces = bytes.split(|&byte| byte == b'\n');
        // Behind the last end begins a line that goes on.
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.extend(piece, &mut each);
            let line = self.partial.strip_suffix(b"\r").unwrap_or(&self.partial);
            each(&String::from_utf8_lossy(line));
            self.partial.clear();
        }
        self.extend(last, &mut each);
    }

    /// Gives what is left, if anything is.
    pub(super) fn finish(&mut self, each: impl FnOnce(&str)) {
        if !self.partial.is_empty() {
            each(&String::from_utf8_lossy(&self.partial));
            self.partial.clear();
        }
    }

    fn extend(&mut self, mut bytes: &[u8], each: &mut impl FnMut(&str)) {
        loop {
            let room = LINE_MAX.saturating_sub(self.partial.len());
            let (fits, rest) = bytes.split_at(room.min(bytes.len()));
            self.partial.extend_from_slice(fits);
            if rest.is_empty() {
                return;
            }
            bytes = rest;
            // A character that is not whole yet waits for the rest of it.
            let whole = match str::from_utf8(&self.partial) {
                Err(error) if error.error_len().is_none() => error.valid_up_to(),
                _ => self.partial.len(),
            };
            let line = self.partial.get(..whole).unwrap_or_default();
            each(&String::from_utf8_lossy(line));
            self.partial.drain(..whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for piece in pieces {
            lines.take(piece, |line| all.push(line.to_string()));
        }
        lines.finish(|line| all.push(line.to_string()));
        all
    }

    #[test]
    fn lines_end_at_newlines_whatever_the_pieces() {
        let pieces: [&[u8]; 4] = [b"one\ntw", b"o", b"\r\n\nla", b"st"];
        assert_eq!(split(&pieces), ["one", "two", "", "last"]);
        assert_eq!(split(&[b"\n"]), [""]);
        assert_eq!(split(&[]), [""; 0]);
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("a{}", "\u{20ac}".repeat(LINE_MAX));
        let lines = split(&[text.as_bytes()]);
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX));
        assert_eq!(lines.concat(), text);
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        assert_eq!(split(&[b"a\xff\xfeb\n"]), ["a\u{fffd}\u{fffd}b"]);
        let bad = [0xff; LINE_MAX + 1];
        assert_eq!(split(&[&bad]).len(), 2);
    }

    proptest! {
        #[test]
        fn the_pieces_make_no_difference(
            bytes in proptest::collection::vec(any::<u8>(), 0..10_000),
            cut in 1..5000usize,
        ) {
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();
            prop_assert_eq!(split(&pieces), split(&[&bytes]));
        }
    }
}
