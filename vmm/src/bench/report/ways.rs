//! What the ways are called, and which colour each has wherever it is drawn.

use crate::bench::result::{Cell, Measurement, Outcome, RowResult, Way};
use crate::carrier::{Carrier, Privilege};

/// Red, green, blue.
pub type Colour = (u8, u8, u8);

/// A way's name: "native", "trap", "hypercall ring0/vmcall", "batch of 64 ring3/pio".
pub fn label(way: Way) -> String {
    match way {
        Way::Floor { privilege, carrier } => format!("floor {privilege}/{carrier}"),
        Way::Native => "native".to_string(),
        Way::Trap => "trap".to_string(),
        Way::Hypercall { privilege, carrier } => format!("hypercall {privilege}/{carrier}"),
        Way::Exitless { privilege } => format!("exitless {privilege}"),
        Way::Batch {
            privilege,
            carrier,
            size,
        } => format!("batch of {size} {privilege}/{carrier}"),
    }
}

/// A way's colour, the same in all charts and tables; most of them from a palette that people
/// with any kind of colour vision can tell apart (Okabe and Ito).
pub fn colour(way: Way) -> Colour {
    use Carrier::{Pio, Vmcall, Vmmcall};
    use Privilege::{Ring0, Ring3};
    match way {
        Way::Native => (0x00, 0x72, 0xb2),
        Way::Trap => (0xd5, 0x5e, 0x00),
        Way::Hypercall { privilege, carrier } => match (privilege, carrier) {
            (Ring0, Vmcall) => (0x00, 0x9e, 0x73),
            (Ring0, Vmmcall) => (0x00, 0x87, 0x62),
            (Ring0, Pio) => (0x6c, 0xc0, 0x9b),
            (Ring3, Vmcall) => (0x7b, 0x52, 0xab),
            (Ring3, Vmmcall) => (0x62, 0x3d, 0x91),
            (Ring3, Pio) => (0xa9, 0x88, 0xd0),
        },
        Way::Exitless { privilege: Ring0 } => (0xcc, 0x79, 0xa7),
        Way::Exitless { privilege: Ring3 } => (0x8c, 0x2d, 0x62),
        Way::Batch { privilege, .. } => match privilege {
            Ring0 => (0xe6, 0x9f, 0x00),
            Ring3 => (0xa5, 0x72, 0x00),
        },
        Way::Floor { privilege, .. } => match privilege {
            Ring0 => (0x9a, 0xa0, 0xa6),
            Ring3 => (0x5f, 0x63, 0x68),
        },
    }
}

/// A way's colour as CSS has it: "#0072b2".
pub fn css(way: Way) -> String {
    let (red, green, blue) = colour(way);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// What was measured in a cell.
pub fn measured(cell: &Cell) -> Option<&Measurement> {
    match &cell.outcome {
        Outcome::Measured(measurement) => Some(measurement),
        Outcome::Absent { .. } => None,
    }
}

/// What was measured of a row in a way.
pub fn measurement(row: &RowResult, way: Way) -> Option<&Measurement> {
    let cell = row.cells.iter().find(|cell| cell.way == way)?;
    measured(cell)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_one_table_has_a_colour_of_its_own() {
        let mut ways = vec![Way::Native, Way::Trap];
        for privilege in [Privilege::Ring0, Privilege::Ring3] {
            ways.push(Way::Exitless { privilege });
            for carrier in Carrier::ALL {
                ways.push(Way::Hypercall { privilege, carrier });
            }
        }
        let mut colours: Vec<_> = ways.iter().map(|way| css(*way)).collect();
        colours.sort();
        colours.dedup();
        assert_eq!(colours.len(), ways.len());
    }

    #[test]
    fn a_name_says_privilege_carrier_and_size() {
        let way = Way::Batch {
            privilege: Privilege::Ring3,
            carrier: Carrier::Pio,
            size: 64,
        };
        assert_eq!(label(way), "batch of 64 ring3/pio");
    }
}
