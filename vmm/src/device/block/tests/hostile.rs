//! Drivers that break the rules.

use super::rig::DATA;
use super::*;

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
        rig.until(|rig| rig.needs_reset());
        rig.reset();
        rig.start(u64::MAX);
        assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
        rig.reset();
        rig.start(u64::MAX);
    }
}
