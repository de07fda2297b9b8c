//! Drivers that break the rules.

use super::rig::{DATA, Rig};
use super::*;
use proptest::prelude::*;

#[test]
fn requests_that_are_wrong_get_a_status_and_the_device_goes_on() {
    let file = file();
    let mut rig = disk(&file, ",ro");
    let sectors = SIZE as u64 / 512;
    for (kind, sector, size, writable, expected) in [
        (IN, sectors, 512, true, IOERR),
        (IN, sectors - 1, 1024, true, IOERR),
        (IN, u64::MAX, 512, true, IOERR),
        (IN, 1 << 55, 512, true, IOERR),
        (IN, 0, 511, true, IOERR),
        (OUT, 0, 512, false, IOERR),
        (spec::VIRTIO_BLK_T_DISCARD, 0, 16, false, UNSUPP),
        (99, 0, 512, true, UNSUPP),
        (IN, 0, 512, true, OK),
    ] {
        let status = rig.one(kind, sector, &[(DATA, size, writable)]);
        assert_eq!(status, expected, "{kind} {sector} {size}");
    }
    assert_eq!(fs::read(file.path()).unwrap(), pattern(0, SIZE));
    assert!(!rig.needs_reset());
}

#[test]
fn chains_that_make_no_sense_stop_the_device_until_it_is_reset() {
    let file = file();
    let mut rig = disk(&file, "");
    let chains: [&[rig::Piece]; 6] = [
        // No room for a status, half a header, nothing but a status, and out of RAM.
        &[(DATA, 16, false)],
        &[(DATA, 8, false), (DATA + 64, 1, true)],
        &[(DATA + 64, 1, true)],
        &[
            (DATA, 16, false),
            (u64::MAX - 511, 512, true),
            (DATA + 64, 1, true),
        ],
        &[
            (DATA, 16, false),
            (DATA, u32::MAX, true),
            (DATA + 64, 1, true),
        ],
        &[(DATA, 16, false), (DATA + 64, 0, true)],
    ];
    for chain in chains {
        rig.put(DATA, &[0; 64]);
        rig.give(0, chain);
        rig.tell(0, 0);
        rig.until("DEVICE_NEEDS_RESET", |rig| rig.needs_reset());
        rig.reset();
        rig.start(u64::MAX);
        assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
        rig.reset();
        rig.start(u64::MAX);
    }
}

fn piece() -> impl Strategy<Value = rig::Piece> {
    let gpa = prop_oneof![
        6 => DATA..DATA + 0x10_0000,
        2 => 0..0x1_0000_u64,
        1 => any::<u64>(),
    ];
    let size = prop_oneof![
        3 => Just(16_u32), 3 => Just(512), 1 => Just(1), 2 => 0..0x1_0000_u32, 1 => any::<u32>()
    ];
    (gpa, size, any::<bool>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever it is given, the device serves the next driver, and the image keeps its size.
    #[test]
    fn any_chains_leave_a_device_that_can_be_reset(
        chains in prop::collection::vec(
            (prop::collection::vec(piece(), 1..=4), 0_u32..16, 0..20_000_u64),
            1..40,
        ),
    ) {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(SIZE as u64).unwrap();
        let mut rig: Rig = disk(&file, ",queues=2");
        for (pieces, kind, sector) in &chains {
            let queue = (sector % 2) as usize;
            if let Some(&(gpa, 16, false)) = pieces.first()
                && (DATA..DATA + 0x10_0000).contains(&gpa)
            {
                rig.put(gpa, &kind.to_le_bytes());
                rig.put(gpa + 8, &sector.to_le_bytes());
            }
            rig.give(queue, pieces);
            rig.tell(queue, 0);
        }
        rig.until("an end", |rig| {
            rig.needs_reset() || (rig.open(0) == 0 && rig.open(1) == 0)
        });
        rig.reset();
        rig.start(u64::MAX);
        prop_assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
        prop_assert_eq!(fs::metadata(file.path()).unwrap().len(), SIZE as u64);
    }
}
