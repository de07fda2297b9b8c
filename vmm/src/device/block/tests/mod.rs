//! The device as its driver sees it, on its thread and with rings in RAM.

mod full;
mod fuzz;
mod hostile;
mod rig;

use super::image::SECTOR;
use super::image::tests::qcow2::{CLUSTER, qcow2};
use crate::device::block::disk::Disk;
use rig::{DATA, Rig};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;
use virtio_bindings::virtio_blk as spec;

const IN: u32 = spec::VIRTIO_BLK_T_IN;
const OUT: u32 = spec::VIRTIO_BLK_T_OUT;
const FLUSH: u32 = spec::VIRTIO_BLK_T_FLUSH;
const OK: u8 = 0;
const IOERR: u8 = 1;
const UNSUPP: u8 = 2;

const SIZE: usize = 8 << 20;

fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at * 7 + (at >> 9) + seed) as u8)
        .collect()
}

fn file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), pattern(0, SIZE)).unwrap();
    file
}

fn disk(file: &NamedTempFile, more: &str) -> Rig {
    Rig::new(&format!("path={}{more}", file.path().display()))
}

fn bytes_of(path: &Path, place: u64, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    File::open(path)
        .unwrap()
        .read_exact_at(&mut bytes, place)
        .unwrap();
    bytes
}

#[test]
fn a_driver_reads_and_writes() {
    for more in ["", ",direct"] {
        let file = file();
        let mut rig = disk(&file, more);
        let (size, half) = (64 << 10, 32 << 10);
        let pieces = [(DATA, half, true), (DATA + 0x10_0000, half, true)];
        assert_eq!(rig.one(IN, 3, &pieces), OK);
        assert_eq!(rig.written(0), size + 1);
        let expected = &pattern(0, SIZE)[3 * 512..][..size as usize];
        assert_eq!(rig.get(DATA, half as usize), expected[..half as usize]);
        assert_eq!(
            rig.get(DATA + 0x10_0000, half as usize),
            expected[half as usize..]
        );

        let data = pattern(77, size as usize);
        rig.put(DATA, &data);
        assert_eq!(rig.one(OUT, 100, &[(DATA, size, false)]), OK);
        assert_eq!(rig.written(0), 1);
        assert_eq!(rig.one(FLUSH, 0, &[]), OK);
        assert_eq!(bytes_of(file.path(), 100 * SECTOR, data.len()), data);
        assert_eq!(rig.stats(0).requests, 3);
    }
}

#[test]
fn a_driver_reads_a_qcow2_image() {
    let file = NamedTempFile::new().unwrap();
    let bytes = qcow2();
    fs::write(file.path(), &bytes).unwrap();
    let mut rig = disk(&file, ",ro");
    let size = CLUSTER as u32;
    // In the image's last cluster is the disk's second.
    for number in 0..40 {
        let place = DATA + number * u64::from(size);
        rig.request(0, IN, u64::from(size) / SECTOR, &[(place, size, true)]);
    }
    rig.wait(0, 0);
    for number in 0..40 {
        let found = rig.get(DATA + number * u64::from(size), CLUSTER);
        assert_eq!(found, bytes[3 * CLUSTER..]);
    }
    assert_eq!(rig.one(IN, 0, &[(DATA, size, true)]), OK);
    assert_eq!(rig.get(DATA, CLUSTER), vec![0; CLUSTER]);
    assert_eq!(rig.one(FLUSH, 0, &[]), OK);
    assert_eq!(rig.one(OUT, 0, &[(DATA, 512, false)]), IOERR);
}

#[test]
fn a_driver_without_flush_has_what_it_wrote_on_disk() {
    let file = file();
    let mut rig = disk(&file, "");
    rig.reset();
    rig.start(0);
    rig.put(DATA, &[9; 512]);
    assert_eq!(rig.one(OUT, 5, &[(DATA, 512, false)]), OK);
    assert_eq!(bytes_of(file.path(), 5 * SECTOR, 512), [9; 512]);
}

#[test]
fn the_serial_number_is_told() {
    let file = file();
    let mut rig = disk(&file, ",serial=AB-12");
    let mut expected = *b"AB-12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 20, true)]),
        OK
    );
    assert_eq!(rig.get(DATA, 20), expected);
    // A buffer that is too small gets what it has room for.
    rig.put(DATA, &[0xee; 20]);
    expected[3..].fill(0xee);
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_GET_ID, 0, &[(DATA, 3, true)]),
        OK
    );
    assert_eq!(rig.get(DATA, 20), expected);
}

#[test]
fn what_is_told_of_a_disk() {
    let file = file();
    let open = |more: &str| {
        let text = format!("{}{more}", file.path().display());
        let device = super::BlockOptions::parse(&text).unwrap().open().unwrap();
        device.disk
    };
    let has = |disk: &Disk, bit: u32| disk.features() & 1 << bit != 0;
    let disk = open(",queues=3");
    for bit in [
        spec::VIRTIO_BLK_F_FLUSH,
        spec::VIRTIO_BLK_F_MQ,
        spec::VIRTIO_BLK_F_DISCARD,
        spec::VIRTIO_BLK_F_WRITE_ZEROES,
    ] {
        assert!(has(&disk, bit), "{bit}");
    }
    assert!(!has(&disk, spec::VIRTIO_BLK_F_RO));
    let config = disk.config();
    assert_eq!(config.len(), 60);
    assert_eq!(config[..8], (SIZE as u64 / 512).to_le_bytes());
    assert_eq!(config[12..16], 254_u32.to_le_bytes());
    assert_eq!(config[20..24], 512_u32.to_le_bytes());
    assert_eq!((config[24], config[34], config[56]), (3, 3, 1));
    let disk = open(",ro");
    assert!(has(&disk, spec::VIRTIO_BLK_F_RO));
    for bit in [spec::VIRTIO_BLK_F_DISCARD, spec::VIRTIO_BLK_F_WRITE_ZEROES] {
        assert!(!has(&disk, bit), "{bit}");
    }
}

#[test]
fn a_range_is_discarded_and_another_filled_with_zeros() {
    let file = file();
    let mut rig = disk(&file, "");
    let segment = |sector: u64, sectors: u32, flags: u32| {
        let parts = [
            sector.to_le_bytes().to_vec(),
            sectors.to_le_bytes().to_vec(),
        ];
        [parts.concat(), flags.to_le_bytes().to_vec()].concat()
    };
    rig.put(
        DATA,
        &[segment(0, 8, 0), segment(32, 0, 0), segment(16, 8, 0)].concat(),
    );
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 48, false)]),
        OK
    );
    rig.put(DATA, &segment(9, 2, 1));
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_WRITE_ZEROES, 0, &[(DATA, 16, false)]),
        OK
    );
    rig.put(DATA, &segment(11, 0, 0));
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_WRITE_ZEROES, 0, &[(DATA, 16, false)]),
        OK
    );
    let bytes = fs::read(file.path()).unwrap();
    let expected = pattern(0, SIZE);
    assert_eq!(bytes.len(), SIZE);
    assert_eq!(bytes[8 * 512..9 * 512], expected[8 * 512..9 * 512]);
    assert!(bytes[9 * 512..11 * 512].iter().all(|&byte| byte == 0));
    assert_eq!(bytes[11 * 512..16 * 512], expected[11 * 512..16 * 512]);
    assert_eq!(bytes[24 * 512..], expected[24 * 512..]);
    rig.put(DATA, &segment(0, 8, 1));
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 16, false)]),
        UNSUPP
    );
    assert_eq!(
        rig.one(spec::VIRTIO_BLK_T_DISCARD, 0, &[(DATA, 15, false)]),
        IOERR
    );
}

#[test]
fn many_requests_of_many_queues_are_all_done_and_ring_seldom() {
    let file = file();
    let mut rig = disk(&file, ",queues=4");
    let expected = pattern(0, SIZE);
    let rounds = 50_u64;
    for round in 0..rounds {
        for queue in 0..4_u64 {
            for number in 0..32 {
                let place = DATA + (queue * 32 + number) * 4096;
                let sector = (round * 128 + queue * 32 + number) % 1800 * 8;
                rig.request(queue as usize, IN, sector, &[(place, 4096, true)]);
            }
        }
        for queue in 0..4_u64 {
            rig.wait(queue as usize, 0);
            for number in 0..32 {
                let place = DATA + (queue * 32 + number) * 4096;
                let sector = (round * 128 + queue * 32 + number) % 1800 * 8;
                let found = rig.get(place, 4096);
                assert_eq!(found, expected[sector as usize * 512..][..4096]);
            }
        }
    }
    let requests: u64 = (0..4).map(|queue| rig.stats(queue).requests).sum();
    assert_eq!(requests, rounds * 128);
    assert!(
        rig.rung * 4 < requests,
        "{} doorbells for {requests}",
        rig.rung
    );
}

/// How often a thread of this process was taken off its processor.
fn switches(thread: &str) -> Option<u64> {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        // Other tests' threads come and go.
        let read = |name| fs::read_to_string(path.join(name)).unwrap_or_default();
        if read("comm").trim() == thread {
            let status = read("status");
            let counts = status.lines().filter(|line| line.contains("ctxt_switches"));
            let counts = counts.filter_map(|line| line.split_whitespace().last());
            return Some(counts.filter_map(|count| count.parse::<u64>().ok()).sum());
        }
    }
    None
}

#[test]
fn an_idle_disk_is_not_woken() {
    let file = file();
    let mut rig = disk(&file, ",id=idle,queues=4");
    for number in 0..100 {
        assert_eq!(rig.one(IN, number, &[(DATA, 512, true)]), OK);
        assert_eq!(rig.one(OUT, number, &[(DATA, 512, false)]), OK);
    }
    // It may still be on its way to sleep.
    let quiet = |_: &mut Rig| {
        let before = switches("dev-idle").unwrap();
        std::thread::sleep(Duration::from_millis(500));
        switches("dev-idle").unwrap() == before
    };
    rig.until(quiet);
    assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
}

/// The gate closes while the disk works, looks for work, or is about to sleep.
#[test]
fn a_disk_is_held_whatever_it_is_about_to_do() {
    const PATIENCE: Duration = Duration::from_secs(30);
    let file = file();
    let mut rig = disk(&file, "");
    let gate = rig.gate();
    for round in 0..4000 {
        assert_eq!(rig.one(IN, 3, &[(DATA, 4096, true)]), OK);
        // The disk looks for work for 20 to 200 us.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_nanos(round * 7919 % 250_000) {
            std::hint::spin_loop();
        }
        gate.close();
        assert!(gate.wait_until_held(Instant::now() + PATIENCE), "{round}");
        gate.open();
    }
}

#[test]
fn a_disk_that_is_held_can_end() {
    let file = file();
    let mut rig = disk(&file, "");
    assert_eq!(rig.one(IN, 3, &[(DATA, 4096, true)]), OK);
    let gate = rig.gate();
    gate.close();
    assert!(gate.wait_until_held(Instant::now() + Duration::from_secs(30)));
    rig.reset();
    // It is another one that is served now.
    rig.start(u64::MAX);
    assert_eq!(rig.one(IN, 3, &[(DATA, 4096, true)]), OK);
}

#[test]
fn a_rate_is_kept() {
    let file = file();
    let mut rig = disk(&file, ",iops=200");
    let start = Instant::now();
    for _ in 0..300 {
        assert_eq!(rig.one(IN, 0, &[(DATA, 512, true)]), OK);
    }
    // The first 200 are the burst.
    assert!(
        start.elapsed() >= Duration::from_millis(490),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_driver_that_starts_again_finds_its_disk() {
    let file = file();
    let mut rig = disk(&file, ",direct");
    for round in 0..20 {
        for number in 0..32 {
            rig.request(
                0,
                IN,
                number * 256,
                &[(DATA + number * 0x2_0000, 0x2_0000, true)],
            );
        }
        // In the middle of it: when the reset is over, nothing is written any more.
        rig.reset();
        rig.put(DATA, &vec![round; 32 * 0x2_0000]);
        let kept = rig.get(DATA, 32 * 0x2_0000);
        rig.start(u64::MAX);
        assert_eq!(rig.one(IN, 0, &[(0x3f0_0000, 512, true)]), OK);
        assert_eq!(rig.get(0x3f0_0000, 512), pattern(0, 512));
        assert!(kept.iter().all(|&byte| byte == round));
        rig.reset();
        rig.start(u64::MAX);
    }
}

#[test]
fn an_image_that_is_cut_short_gives_io_errors_until_it_is_whole() {
    let file = file();
    let mut rig = disk(&file, "");
    let set = |size: usize| file.as_file().set_len(size as u64).unwrap();
    set(4096);
    assert_eq!(rig.one(IN, 0, &[(DATA, 4096, true)]), OK);
    assert_eq!(rig.one(IN, 8, &[(DATA, 4096, true)]), IOERR);
    assert_eq!(rig.one(OUT, 8, &[(DATA, 4096, false)]), IOERR);
    assert_eq!(fs::metadata(file.path()).unwrap().len(), 4096);
    set(SIZE * 2);
    assert_eq!(rig.one(OUT, 8, &[(DATA, 4096, false)]), OK);
    assert_eq!(rig.one(IN, SIZE as u64 / 512, &[(DATA, 512, true)]), IOERR);
    assert!(!rig.needs_reset());
}
