//! Footnotes: texts with numbers, each text once.

/// The footnotes of a table.
#[derive(Clone, Debug, Default)]
pub struct Notes {
    texts: Vec<String>,
}

impl Notes {
    /// The number of a footnote, from 1 on. A text that was there before keeps its number.
    pub fn number(&mut self, text: &str) -> usize {
        let index = self.texts.iter().position(|known| known == text);
        let index = index.unwrap_or_else(|| {
            self.texts.push(text.to_string());
            self.texts.len() - 1
        });
        index + 1
    }

    /// All footnotes with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.texts.iter().map(String::as_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_has_the_same_number() {
        let mut notes = Notes::default();
        assert_eq!(notes.number("no VMX"), 1);
        assert_eq!(notes.number("noisy"), 2);
        assert_eq!(notes.number("no VMX"), 1);
        let all: Vec<_> = notes.iter().collect();
        assert_eq!(all, [(1, "no VMX"), (2, "noisy")]);
    }
}
