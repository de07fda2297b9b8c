//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

/// An Ethernet address of one station.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// A random address, locally administered (IEEE 802, 8.4), so that it is nobody else's.
    pub fn random() -> Self {
        let [_, _, a, b, c, d, e, f] = fastrand::u64(..).to_be_bytes();
        Self([a & 0xfc | 0x02, b, c, d, e, f])
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{text}\" is no Ethernet address; one is six bytes, as in 02:00:00:12:34:56")
        };
        let mut bytes = [0; 6];
        let mut words = text.split(':');
        for byte in &mut bytes {
            let word = words.next().filter(|word| word.len() == 2);
            let value = word.and_then(|word| u8::from_str_radix(word, 16).ok());
            *byte = value.ok_or_else(wrong)?;
        }
        let is_all = words.next().is_none() && !text.contains('+');
        if !is_all {
            return Err(wrong());
        }
        if bytes[0] & 1 != 0 {
            return Err(format!(
                "{text} is the address of a group; that of a station has an even first byte"
            ));
        }
        if bytes == [0; 6] {
            return Err(format!("{text} is nobody's address"));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed() {
        let parse = |text: &str| text.parse::<Mac>().map(|mac| mac.to_string());
        assert_eq!(
            parse("02:AB:cd:00:ff:1f").as_deref(),
            Ok("02:ab:cd:00:ff:1f")
        );
        for wrong in [
            "",
            "02:00:00:00:00",
            "02:00:00:00:00:00:00",
            "2:0:0:0:0:0",
            "02-00-00-00-00-01",
            "0g:00:00:00:00:00",
            "+2:00:00:00:00:01",
            "03:00:00:00:00:01",
            "00:00:00:00:00:00",
        ] {
            parse(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn a_random_address_is_a_station_of_no_manufacturer() {
        for _ in 0..100 {
            assert_eq!(Mac::random().0[0] & 3, 2);
        }
    }
}
