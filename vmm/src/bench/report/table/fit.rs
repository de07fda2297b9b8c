//! Which columns a terminal has room for.

use super::{build, lines};
use crate::bench::report::column::Column;
use crate::bench::report::notes::Notes;
use crate::bench::report::peers::Peer;
use crate::bench::result::Results;

/// A column of the terminal's table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shown<'a> {
    /// The row's title.
    Title,
    /// A way.
    Cost(Column),
    /// A peer.
    Peer(&'a Peer),
    /// What replaces the instruction.
    ReplacedBy,
}

impl Shown<'_> {
    /// The two lines of its heading.
    pub fn heading(&self) -> [String; 2] {
        match self {
            Self::Title => [String::new(), String::new()],
            Self::Cost(column) => column.heading(),
            Self::Peer(peer) => [peer.name.clone(), String::new()],
            Self::ReplacedBy => ["replaced by".to_string(), String::new()],
        }
    }

    /// Its heading in one line.
    pub fn name(&self) -> String {
        self.heading().join(" ").trim().to_string()
    }
}

/// The columns that are shown on a terminal of this width, and those that are not.
pub fn choose<'a>(
    results: &Results,
    peers: &[&'a Peer],
    width: usize,
) -> (Vec<Shown<'a>>, Vec<Shown<'a>>) {
    let mut columns = vec![Shown::Title];
    columns.extend(Column::all(results).into_iter().map(Shown::Cost));
    columns.extend(peers.iter().map(|peer| Shown::Peer(peer)));
    if results.rows.iter().any(|row| !row.replaced_by.is_empty()) {
        columns.push(Shown::ReplacedBy);
    }
    let first_call = columns
        .iter()
        .copied()
        .find(|column| matches!(column, Shown::Cost(Column::Call { .. })));
    let importance = |column: Shown<'_>| match Some(column) == first_call {
        // Where no mode is the automatic one, the first stands for it.
        true => CALL,
        false => importance(column, &results.provenance.automatic),
    };
    // Each comes in for which there is still room; the title and the best always.
    let mut order: Vec<_> = (0..columns.len()).collect();
    order.sort_by_key(|index| (u8::MAX - importance(columns[*index]), *index));
    let mut chosen: Vec<usize> = Vec::new();
    for index in order {
        let mut wider = chosen.clone();
        wider.push(index);
        wider.sort();
        let shown: Vec<_> = wider.iter().map(|index| columns[*index]).collect();
        if chosen.len() < 2 || fits(results, &shown, width) {
            chosen = wider;
        }
    }
    let (shown, left_out): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .enumerate()
        .partition(|(index, _)| chosen.contains(index));
    let columns = |pairs: Vec<(usize, Shown<'a>)>| pairs.into_iter().map(|(_, column)| column);
    (columns(shown).collect(), columns(left_out).collect())
}

/// What the call of the automatic mode is worth.
const CALL: u8 = 6;

/// How much a column is worth: the real instruction and the call of the mode that a guest would
/// get are the last to go.
fn importance(column: Shown<'_>, automatic: &str) -> u8 {
    let Shown::Cost(cost) = column else {
        return match column {
            Shown::Title => u8::MAX,
            Shown::Peer(_) => 2,
            _ => 0,
        };
    };
    match (cost, cost.is_of(automatic)) {
        (Column::Trap, _) => 7,
        (Column::Call { .. }, true) => CALL,
        (Column::Native, _) => 4,
        (Column::Exitless { .. }, true) => 3,
        (Column::Batch { .. }, true) => 2,
        (Column::Call { .. } | Column::Exitless { .. }, false) => 1,
        (Column::Batch { .. }, false) => 0,
    }
}

fn fits(results: &Results, columns: &[Shown<'_>], width: usize) -> bool {
    let table = build(results, columns, width, &mut Notes::default());
    lines(&table)
        .lines()
        .all(|line| line.chars().count() <= width)
}
