//! What the same operations cost elsewhere, from a file that a person wrote:
//!
//! ```json
//! {"peers": [{"name": "Solo5 hvt", "host": "QEMU's SVM, -icount", "source": "its test_time",
//!             "unit": "instructions", "rows": {"rdtsc": {"p50": 3368}}}]}
//! ```

use crate::bench::result::Unit;
use serde::Deserialize;
use std::collections::BTreeMap;
use thiserror::Error;

/// External results.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    /// Each of them.
    pub peers: Vec<Peer>,
}

/// Something else that does some of the same operations.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name, which heads its column.
    pub name: String,
    /// The host it was measured on.
    pub host: String,
    /// Where the figures come from.
    pub source: String,
    /// What they are in.
    pub unit: Unit,
    /// The figures, by the row's name.
    pub rows: BTreeMap<String, PeerCost>,
}

/// What an operation costs a peer.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerCost {
    /// The median.
    pub p50: f64,
}

/// Why external results cannot be taken.
#[derive(Debug, Error)]
pub enum PeersError {
    /// It is no JSON, or not of the form above.
    #[error("{origin}: {reason}")]
    Malformed {
        /// The file.
        origin: String,
        /// What is wrong, and in which line and column.
        reason: serde_json::Error,
    },
    /// The bench has no such row.
    #[error("{origin}: peer {peer}: the bench has no row {row:?}; its rows are {}", valid.join(", "))]
    UnknownRow {
        /// The file.
        origin: String,
        /// The peer.
        peer: String,
        /// The name.
        row: String,
        /// The names that there are.
        valid: Vec<String>,
    },
    /// A cost must be above zero.
    #[error("{origin}: peer {peer}: the cost of {row} is {cost}, and must be above 0")]
    NoCost {
        /// The file.
        origin: String,
        /// The peer.
        peer: String,
        /// The row.
        row: String,
        /// What it says.
        cost: f64,
    },
}

/// Reads external results from a text. `origin` says in errors where it is from, and `valid` are
/// the names of the bench's rows.
///
/// # Errors
///
/// See [`PeersError`].
pub fn parse(text: &str, origin: &str, valid: &[&str]) -> Result<Peers, PeersError> {
    let origin = origin.to_string();
    let peers: Peers = match serde_json::from_str(text) {
        Ok(peers) => peers,
        Err(reason) => return Err(PeersError::Malformed { origin, reason }),
    };
    for peer in &peers.peers {
        for (row, cost) in &peer.rows {
            if !valid.contains(&row.as_str()) {
                return Err(PeersError::UnknownRow {
                    origin,
                    peer: peer.name.clone(),
                    row: row.clone(),
                    valid: valid.iter().map(ToString::to_string).collect(),
                });
            }
            if cost.p50 <= 0.0 {
                return Err(PeersError::NoCost {
                    origin,
                    peer: peer.name.clone(),
                    row: row.clone(),
                    cost: cost.p50,
                });
            }
        }
    }
    Ok(peers)
}

impl Peers {
    /// Those whose costs can stand beside costs in `unit`.
    pub fn in_unit(&self, unit: Unit) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(move |peer| peer.unit == unit)
    }
}

impl Peer {
    /// What a row costs it.
    pub fn cost(&self, row: &str) -> Option<f64> {
        self.rows.get(row).map(|cost| cost.p50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixture;

    fn error(text: &str) -> String {
        parse(text, "peers.json", &["rdtsc", "noop"])
            .unwrap_err()
            .to_string()
    }

    fn with_row(row: &str) -> String {
        format!(
            r#"{{"peers": [{{"name": "Solo5", "host": "h", "source": "s",
                 "unit": "nanoseconds", "rows": {{{row}}}}}]}}"#
        )
    }

    #[test]
    fn only_peers_in_the_same_unit_are_shown() {
        let peers = fixture::peers();
        let names = |unit| -> Vec<_> {
            let peers = peers.in_unit(unit);
            peers.map(|peer| peer.name.as_str()).collect()
        };
        assert_eq!(names(Unit::Nanoseconds), ["Solo5 hvt"]);
        assert_eq!(names(Unit::Instructions), ["Counted"]);
        assert_eq!(peers.peers[0].cost("rdtsc"), Some(33_000.0));
        assert_eq!(peers.peers[0].cost("noop"), None);
    }

    #[test]
    fn a_row_that_the_bench_does_not_have_is_named_with_those_it_has() {
        assert_eq!(
            error(&with_row(r#""rdtcs": {"p50": 1}"#)),
            "peers.json: peer Solo5: the bench has no row \"rdtcs\"; its rows are rdtsc, noop"
        );
    }

    #[test]
    fn a_cost_is_above_zero() {
        assert_eq!(
            error(&with_row(r#""rdtsc": {"p50": -2}"#)),
            "peers.json: peer Solo5: the cost of rdtsc is -2, and must be above 0"
        );
    }

    #[test]
    fn what_is_malformed_is_said_with_its_place() {
        assert_eq!(
            error("{\"peers\": [\n}"),
            "peers.json: expected value at line 2 column 1"
        );
        assert!(
            error(r#"{"peers": [{"name": "Solo5"}]}"#)
                .starts_with("peers.json: missing field `host` at line 1")
        );
        assert!(
            error(&with_row(r#""rdtsc": {"p50": 1, "p99": 2}"#))
                .starts_with("peers.json: unknown field `p99`, expected `p50` at line 2")
        );
    }
}
