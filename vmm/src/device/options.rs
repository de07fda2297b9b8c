//! What is said about a device: an option of the command line, `value,flag,key=value`, or fields.

/// What was said, as long as nobody has taken it.
#[derive(Debug, Default)]
pub struct Options {
    first: Option<String>,
    pairs: Vec<(String, Option<String>)>,
}

impl Options {
    /// Splits `text` at its commas. A key can be there once. Two commas stand for one that belongs
    /// to a value.
    ///
    /// # Errors
    ///
    /// A key is there twice, or a setting is empty.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pairs = Vec::<(String, Option<String>)>::new();
        for setting in split(text) {
            let (key, value) = match setting.split_once('=') {
                Some((key, value)) => (key.to_string(), Some(value.to_string())),
                None => (setting, None),
            };
            if key.is_empty() {
                return Err("a setting is empty; between commas stands KEY=VALUE or a flag".into());
            }
            if pairs.iter().any(|(other, _)| *other == key) {
                return Err(format!("{key} can be given only once"));
            }
            pairs.push((key, value));
        }
        Ok(Self { first: None, pairs })
    }

    /// As [`Options::parse`], where the first word may be a value without a key.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn parse_with_first(text: &str, flags: &[&str]) -> Result<Self, String> {
        let mut options = Self::parse(text)?;
        let is_first = |(key, value): &(String, Option<String>)| {
            value.is_none() && !flags.contains(&key.as_str())
        };
        if options.pairs.first().is_some_and(is_first) {
            options.first = Some(options.pairs.remove(0).0);
        }
        Ok(options)
    }

    /// Says a value, if there is one, as it is: commas belong to it.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<impl ToString>) -> Self {
        let pair = value.map(|value| (key.to_string(), Some(value.to_string())));
        self.pairs.extend(pair);
        self
    }

    /// Says a flag, if it is on.
    #[must_use]
    pub fn with_flag(mut self, key: &str, is_on: bool) -> Self {
        self.pairs.extend(is_on.then(|| (key.to_string(), None)));
        self
    }

    /// Takes the first word, if it has no key.
    pub fn take_first(&mut self) -> Option<String> {
        self.first.take()
    }

    fn take_pair(&mut self, key: &str) -> Option<Option<String>> {
        let at = self.pairs.iter().position(|(other, _)| other == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// Takes the value of a key.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let at = self
            .pairs
            .iter()
            .position(|(other, value)| other == key && value.is_some())?;
        self.pairs.remove(at).1
    }

    /// Takes a flag: on when it is there, or `=on`; off when it is not, or `=off`.
    ///
    /// # Errors
    ///
    /// It has another value.
    pub fn take_flag(&mut self, key: &str) -> Result<bool, String> {
        match self.take_pair(key) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(value)) => match value.as_str() {
                "on" => Ok(true),
                "off" => Ok(false),
                _ => Err(format!("{key}={value} is neither {key}=on nor {key}=off")),
            },
        }
    }

    /// Takes a whole number within a range.
    ///
    /// # Errors
    ///
    /// It is none, or out of the range.
    pub fn take_number(
        &mut self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, String> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(format!(
                "{key}={value} is not a number from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }

    /// Takes a size: bytes, or with one of the binary units K, M, G and T.
    ///
    /// # Errors
    ///
    /// It is none, or 0.
    pub fn take_size(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let wrong = || {
            format!("{key}={value} is not a size; use bytes or a unit of K, M, G and T, as in 10M")
        };
        size(&value).map(Some).ok_or_else(wrong)
    }

    /// Takes a number of bytes per second: a size, with or without `/s`.
    ///
    /// # Errors
    ///
    /// It is none, or 0.
    pub fn take_rate(&mut self, key: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.take(key) else {
            return Ok(None);
        };
        let wrong = || {
            format!(
                "{key}={value} is not a rate; use bytes or a unit of K, M, G and T, as in 10M/s"
            )
        };
        let bytes = size(value.strip_suffix("/s").unwrap_or(&value));
        bytes.map(Some).ok_or_else(wrong)
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    ///
    /// Something is; `known` is what there could be.
    pub fn finish(self, known: &[&str]) -> Result<(), String> {
        let left = self.first.or_else(|| {
            let (key, value) = self.pairs.into_iter().next()?;
            Some(value.map_or(key.clone(), |value| format!("{key}={value}")))
        });
        match left {
            None => Ok(()),
            Some(setting) => Err(format!(
                "\"{setting}\" is no setting here; there are {}",
                known.join(", ")
            )),
        }
    }
}

/// A size of one byte or more.
fn size(text: &str) -> Option<u64> {
    crate::size::parse(text).ok().filter(|&size| size > 0)
}

/// Splits at single commas.
fn split(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut words = vec![String::new()];
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let is_comma = character == ',';
        if is_comma && characters.next_if_eq(&',').is_none() {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(character);
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_taken_by_their_names() {
        let text = "a,,b.img,ro,id=x,rate=2K,queues=4,direct=off";
        let mut options = Options::parse_with_first(text, &["ro"]).unwrap();
        assert_eq!(options.take_first().as_deref(), Some("a,b.img"));
        assert_eq!(options.take_flag("ro"), Ok(true));
        assert_eq!(options.take_flag("direct"), Ok(false));
        assert_eq!(options.take_flag("other"), Ok(false));
        assert_eq!(options.take("id").as_deref(), Some("x"));
        assert_eq!(options.take_size("rate"), Ok(Some(2048)));
        assert_eq!(options.take_number("queues", 1..=8), Ok(Some(4)));
        assert_eq!(options.take_number("queues", 1..=8), Ok(None));
        assert_eq!(options.finish(&[]), Ok(()));
        let flag = Options::parse_with_first("ro", &["ro"])
            .unwrap()
            .take_first();
        assert_eq!(flag, None);
    }

    #[test]
    fn what_is_no_setting_is_told() {
        let parse = |text| Options::parse(text).err().unwrap_or_default();
        assert_eq!(parse("a=1,a=2"), "a can be given only once");
        let empty = "a setting is empty; between commas stands KEY=VALUE or a flag";
        assert_eq!(parse("a=1,,,b"), "");
        assert_eq!(parse("=1"), empty);
        assert_eq!(parse("a,"), empty);
        let finish = |text| Options::parse(text).unwrap().finish(&["a=1", "b"]);
        let expected = "\"c=2\" is no setting here; there are a=1, b";
        assert_eq!(finish("c=2"), Err(expected.to_string()));
        let number = Options::parse("n=9").unwrap().take_number("n", 1..=8);
        assert_eq!(number, Err("n=9 is not a number from 1 to 8".to_string()));
        for bad in ["s=", "s=K", "s=0", "s=1X", "s=-1", "s=99999999T"] {
            let size = Options::parse(bad).unwrap().take_size("s");
            assert!(size.unwrap_err().contains(" is not a size"), "{bad}");
            let rate = Options::parse(bad).unwrap().take_rate("s");
            assert!(rate.unwrap_err().contains(" is not a rate"), "{bad}");
        }
        for good in ["s=2K", "s=2048/s", "s=2k/s", "s=2KiB/s"] {
            let rate = Options::parse(good).unwrap().take_rate("s");
            assert_eq!(rate, Ok(Some(2048)), "{good}");
        }
        let flag = Options::parse("f=1").unwrap().take_flag("f");
        assert_eq!(flag, Err("f=1 is neither f=on nor f=off".to_string()));
    }
}
