//! Lists in a snapshot of which there are few, so that a made-up one takes no memory: an item of a byte in
//! the file may have a hundred in memory.

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// What the ABI has most of, ports of events; a VM has far fewer vCPUs or devices, and a device fewer
/// queues.
const MOST: usize = pv_abi::event::EVENT_PORTS;

struct Few<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {MOST}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(one) = from.next_element()? {
            if all.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            all.push(one);
        }
        Ok(all)
    }
}

/// Reads such a list: for `#[serde(deserialize_with)]`.
///
/// # Errors
///
/// The items', or there are too many of them.
pub fn few<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    from.deserialize_seq(Few(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Listed(#[serde(deserialize_with = "few")] Vec<Option<u64>>);

    #[test]
    fn a_list_ends_at_what_is_possible() {
        let read = |count: usize| {
            let bytes = postcard::to_stdvec(&vec![None::<u64>; count]).unwrap();
            postcard::from_bytes::<Listed>(&bytes)
        };
        assert_eq!(read(MOST).unwrap().0.len(), MOST);
        read(MOST + 1).unwrap_err();
        // What says that it is long, and is not.
        postcard::from_bytes::<Listed>(&[0xff, 0xff, 0xff, 0x7f]).unwrap_err();
    }
}
