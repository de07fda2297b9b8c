//! The columns of a table of results: which occur, and in which order.

use super::ways;
use crate::bench::result::{Cell, Outcome, Results, RowResult, Way};
use crate::carrier::{Carrier, Privilege};

/// The size of the batches that tables show.
pub const BATCH: u32 = 64;

/// A column of costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// [`Way::Native`].
    Native,
    /// [`Way::Trap`].
    Trap,
    /// [`Way::Hypercall`]; in the row of the floor, [`Way::Floor`] of the same mode.
    Call {
        /// The privilege.
        privilege: Privilege,
        /// The carrier.
        carrier: Carrier,
    },
    /// [`Way::Batch`] of [`BATCH`].
    Batch {
        /// The privilege.
        privilege: Privilege,
        /// The carrier.
        carrier: Carrier,
    },
    /// [`Way::Exitless`].
    Exitless {
        /// The privilege.
        privilege: Privilege,
    },
}

impl Column {
    /// The column that a way is shown in; `None` for batches of other sizes.
    pub fn of(way: Way) -> Option<Self> {
        Some(match way {
            Way::Native => Self::Native,
            Way::Trap => Self::Trap,
            Way::Floor { privilege, carrier } | Way::Hypercall { privilege, carrier } => {
                Self::Call { privilege, carrier }
            }
            Way::Batch {
                privilege,
                carrier,
                size: BATCH,
            } => Self::Batch { privilege, carrier },
            Way::Batch { .. } => return None,
            Way::Exitless { privilege } => Self::Exitless { privilege },
        })
    }

    /// The columns in which anything was measured, from left to right.
    pub fn all(results: &Results) -> Vec<Self> {
        let cells = results.rows.iter().flat_map(|row| &row.cells);
        let measured = cells.filter(|cell| ways::measured(cell).is_some());
        sorted(measured.filter_map(|cell| Self::of(cell.way)))
    }

    /// The columns in which nothing could be measured, each with the reasons, each once.
    pub fn empty(results: &Results) -> Vec<(Self, Vec<&str>)> {
        let measured = Self::all(results);
        let cells = || results.rows.iter().flat_map(|row| &row.cells);
        let tried = sorted(cells().filter_map(|cell| Self::of(cell.way)));
        let empty = tried.into_iter().filter(|way| !measured.contains(way));
        empty
            .map(|column| {
                let mut reasons = Vec::new();
                for cell in cells().filter(|cell| Self::of(cell.way) == Some(column)) {
                    if let Outcome::Absent { reason } = &cell.outcome
                        && !reasons.contains(&reason.as_str())
                    {
                        reasons.push(reason);
                    }
                }
                (column, reasons)
            })
            .collect()
    }

    /// The cell of a row in this column.
    pub fn cell(self, row: &RowResult) -> Option<&Cell> {
        row.cells
            .iter()
            .find(|cell| Self::of(cell.way) == Some(self))
    }

    /// The two lines of its heading.
    pub fn heading(self) -> [String; 2] {
        let mode = |privilege, carrier| format!("{privilege}/{carrier}");
        match self {
            Self::Native => ["native".to_string(), "CPL 0".to_string()],
            Self::Trap => ["trap, emulate".to_string(), "CPL 3".to_string()],
            Self::Call { privilege, carrier } => {
                ["hypercall".to_string(), mode(privilege, carrier)]
            }
            Self::Batch { privilege, carrier } => {
                [format!("{BATCH} in a batch"), mode(privilege, carrier)]
            }
            Self::Exitless { privilege } => ["exitless".to_string(), privilege.to_string()],
        }
    }

    /// The way that gives it its colour.
    pub fn way(self) -> Way {
        match self {
            Self::Native => Way::Native,
            Self::Trap => Way::Trap,
            Self::Call { privilege, carrier } => Way::Hypercall { privilege, carrier },
            Self::Batch { privilege, carrier } => Way::Batch {
                privilege,
                carrier,
                size: BATCH,
            },
            Self::Exitless { privilege } => Way::Exitless { privilege },
        }
    }

    /// Whether it belongs to a mode, written as in
    /// [`automatic`](crate::bench::result::Provenance::automatic).
    pub fn is_of(self, mode: &str) -> bool {
        match self {
            Self::Native | Self::Trap => true,
            Self::Call { privilege, carrier } | Self::Batch { privilege, carrier } => {
                mode == format!("{privilege}/{carrier}")
            }
            Self::Exitless { privilege } => mode
                .split('/')
                .next()
                .is_some_and(|name| name == privilege.to_string()),
        }
    }

    fn order(self) -> (u8, u8, usize) {
        let place = |carrier| Carrier::ALL.iter().position(|known| *known == carrier);
        match self {
            Self::Native => (0, 0, 0),
            Self::Trap => (1, 0, 0),
            Self::Call { privilege, carrier } => {
                (2, privilege.cpl(), place(carrier).unwrap_or_default())
            }
            Self::Batch { privilege, carrier } => {
                (3, privilege.cpl(), place(carrier).unwrap_or_default())
            }
            Self::Exitless { privilege } => (4, privilege.cpl(), 0),
        }
    }
}

fn sorted(columns: impl Iterator<Item = Column>) -> Vec<Column> {
    let mut columns: Vec<_> = columns.collect();
    columns.sort_by_key(|column| column.order());
    columns.dedup();
    columns
}

/// The rows in the order in which tables show them: the floor first, then group after group, with
/// the group's name where one begins.
pub fn groups(results: &Results) -> Vec<(&str, Vec<&RowResult>)> {
    let (floor, others): (Vec<_>, Vec<_>) = results.rows.iter().partition(|row| is_floor(row));
    let mut groups: Vec<(&str, Vec<&RowResult>)> = Vec::new();
    for row in floor.into_iter().chain(others) {
        match groups.iter_mut().find(|(group, _)| *group == row.group) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((&row.group, vec![row])),
        }
    }
    groups
}

fn is_floor(row: &RowResult) -> bool {
    row.cells
        .iter()
        .any(|cell| matches!(cell.way, Way::Floor { .. }))
}
