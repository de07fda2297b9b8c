//! What a VM may use of the host.

use super::Findings;
use crate::spec::Resources;
use std::collections::BTreeSet;

/// The most vCPUs.
const MAX_VCPUS: u32 = 64;
const PAGE: u64 = 4096;
const MAX_MEMORY: u64 = 1 << 40;

pub(super) fn resources(found: &mut Findings, resources: &Resources, at: &str) {
    let Resources {
        vcpus,
        memory,
        cpu_weight,
        cpu_quota,
        cpus,
        memory_overhead,
    } = resources;
    found.unless(
        (1..=MAX_VCPUS).contains(vcpus),
        format!("{at}/vcpus"),
        format!("{vcpus} is out of range: 1 to {MAX_VCPUS}"),
    );
    found.unless(
        (PAGE..=MAX_MEMORY).contains(memory) && memory.is_multiple_of(PAGE),
        format!("{at}/memory"),
        format!("{memory} is not possible: a multiple of {PAGE} from {PAGE} to {MAX_MEMORY}"),
    );
    if let Some(weight) = cpu_weight {
        found.unless(
            (1..=10_000).contains(weight),
            format!("{at}/cpu_weight"),
            format!("{weight} is out of range: 1 to 10000"),
        );
    }
    if let Some(quota) = cpu_quota {
        found.unless(
            (1..=6400).contains(quota),
            format!("{at}/cpu_quota"),
            format!("{quota} is out of range: 1 to 6400"),
        );
    }
    if let Some(cpus) = cpus {
        found.unless(
            processors(cpus).is_some(),
            format!("{at}/cpus"),
            format!("{cpus:?} is no list of processors, such as 0-3,6"),
        );
    }
    if let Some(overhead) = memory_overhead {
        found.unless(
            (16 << 20..=MAX_MEMORY).contains(overhead),
            format!("{at}/memory_overhead"),
            format!("{overhead} is out of range: 16777216 to {MAX_MEMORY}"),
        );
    }
}

/// The processors of a list such as `0-3,6`, in its order; none if it is no such list. At most
/// 4096 processors have numbers.
pub fn processors(list: &str) -> Option<Vec<u32>> {
    const MAX: u32 = 4096;
    let number = |text: &str| -> Option<u32> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?.filter(|n| *n < MAX)
    };
    let mut all = BTreeSet::new();
    if list.len() > 4 * MAX as usize {
        return None;
    }
    for part in list.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(processors("0-2,6,1"), Some(vec![0, 1, 2, 6]));
        for wrong in ["", "a", "1-", "-1", "2-1", "4096", "+1", "1,,2"] {
            assert_eq!(processors(wrong), None, "{wrong}");
        }
    }
}
