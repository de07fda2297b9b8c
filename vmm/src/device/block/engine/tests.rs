//! Both ways of doing I/O, on real files.

use super::test_memory::TestMemory;
use super::*;
use crate::device::block::image::{Format, OpenOptions};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

const SIZE: u64 = 4 << 20;

fn pattern(start: u64, length: usize) -> Vec<u8> {
    (start..)
        .take(length)
        .map(|at| ((at * 31) >> 3) as u8 ^ at as u8)
        .collect()
}

fn file() -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), pattern(0, SIZE as usize)).unwrap();
    file
}

fn image(path: &Path, direct: bool) -> Image {
    let options = OpenOptions {
        path: path.into(),
        read_only: false,
        direct,
        format: Format::Raw,
    };
    options.open().unwrap()
}

/// One engine of each kind, on a file of its own.
fn engines(direct: bool) -> Vec<(NamedTempFile, Engine)> {
    let with = file();
    let without = file();
    let ring = Engine::new(image(with.path(), direct));
    let threads = Engine::without_ring(image(without.path(), direct));
    vec![(with, ring), (without, threads)]
}

async fn all(engine: &mut Engine) -> Vec<Done> {
    let mut all = Vec::new();
    engine.submit().unwrap();
    while engine.in_flight() > 0 {
        match engine.take().unwrap() {
            Some(done) => all.push(done),
            None => engine.wait().await.unwrap(),
        }
    }
    all.sort_by_key(|done| done.token);
    all
}

async fn one(engine: &mut Engine, operation: Operation) -> io::Result<()> {
    engine.start(7, operation);
    let mut done = all(engine).await;
    assert_eq!((done.len(), done[0].token), (1, 7));
    done.remove(0).result
}

fn read(offset: u64, memory: &TestMemory) -> Operation {
    Operation::Read(Transfer::new(offset, memory.boxed()))
}

fn write(offset: u64, memory: &TestMemory) -> Operation {
    Operation::Write {
        transfer: Transfer::new(offset, memory.boxed()),
        durable: false,
    }
}

#[tokio::test]
async fn what_was_written_is_read_and_is_in_the_file() {
    for (direct, slow_writes) in [(false, 0), (false, 8), (true, 0)] {
        for (file, mut engine) in engines(direct) {
            engine.slow_writes = slow_writes;
            let data = pattern(999, 64 << 10);
            let memory = TestMemory::with(&data);
            one(&mut engine, write(512 * 7, &memory)).await.unwrap();
            one(&mut engine, Operation::Flush).await.unwrap();
            let back = TestMemory::new(&[4096, 512, 60928], 0);
            one(&mut engine, read(512 * 7, &back)).await.unwrap();
            assert_eq!(back.bytes(), data);
            let mut found = vec![0; data.len()];
            let opened = File::open(file.path()).unwrap();
            opened.read_exact_at(&mut found, 512 * 7).unwrap();
            assert_eq!(found, data);
        }
    }
}

#[tokio::test]
async fn buffers_that_direct_io_cannot_take_are_read_and_written_all_the_same() {
    for (_file, mut engine) in engines(true) {
        let memory = TestMemory::new(&[100, 412, 512], 3);
        one(&mut engine, read(512, &memory)).await.unwrap();
        assert_eq!(memory.bytes(), pattern(512, 1024));
        one(&mut engine, write(4096, &memory)).await.unwrap();
        // It is seen by direct I/O too.
        let aligned = TestMemory::new(&[4096], 0);
        one(&mut engine, read(4096, &aligned)).await.unwrap();
        assert_eq!(aligned.bytes()[..1024], pattern(512, 1024));
        assert_eq!(aligned.bytes()[1024..], pattern(5120, 3072));
    }
}

#[tokio::test]
async fn many_at_once_are_all_done() {
    for direct in [false, true] {
        for (_file, mut engine) in engines(direct) {
            let memories: Vec<_> = (0..DEPTH).map(|_| TestMemory::new(&[4096], 0)).collect();
            for (token, memory) in (0_u64..).zip(&memories) {
                engine.start(token, read(token * 4096, memory));
            }
            assert_eq!(engine.in_flight(), DEPTH);
            let done = all(&mut engine).await;
            assert_eq!(done.len(), DEPTH);
            for ((token, done), memory) in (0_u64..).zip(&done).zip(&memories) {
                assert!(done.token == token && done.result.is_ok(), "{done:?}");
                assert_eq!(memory.bytes(), pattern(token * 4096, 4096));
            }
        }
    }
}

#[tokio::test]
async fn more_buffers_than_a_system_call_takes_are_one_request() {
    for (_file, mut engine) in engines(false) {
        let memory = TestMemory::new(&[512; 1030], 0);
        one(&mut engine, read(0, &memory)).await.unwrap();
        assert_eq!(memory.bytes(), pattern(0, 512 * 1030));
        one(&mut engine, write(512, &memory)).await.unwrap();
        one(&mut engine, read(512, &memory)).await.unwrap();
        assert_eq!(memory.bytes(), pattern(0, 512 * 1030));
    }
}

#[tokio::test]
async fn zeros_and_discards_keep_the_size_and_what_is_around_them() {
    for (file, mut engine) in engines(false) {
        for may_unmap in [false, true] {
            let range = 8192..16384;
            let zeroes = Operation::WriteZeroes {
                range,
                may_unmap,
                durable: true,
            };
            one(&mut engine, zeroes).await.unwrap();
            let bytes = fs::read(file.path()).unwrap();
            assert_eq!(bytes.len() as u64, SIZE);
            assert!(bytes[8192..16384].iter().all(|&byte| byte == 0));
            assert_eq!(bytes[..8192], pattern(0, 8192));
            assert_eq!(bytes[16384..20480], pattern(16384, 4096));
            fs::write(file.path(), pattern(0, SIZE as usize)).unwrap();
        }
        let ranges = vec![0..SIZE / 2, SIZE - 4096..SIZE];
        one(&mut engine, Operation::Discard(ranges)).await.unwrap();
        let bytes = fs::read(file.path()).unwrap();
        assert_eq!(bytes.len() as u64, SIZE);
        let kept = (SIZE / 2) as usize..(SIZE - 4096) as usize;
        assert_eq!(bytes[kept.clone()], pattern(0, SIZE as usize)[kept]);
    }
}

#[tokio::test]
async fn an_image_that_was_cut_short_gives_errors_and_does_not_grow() {
    for direct in [false, true] {
        for (file, mut engine) in engines(direct) {
            File::options()
                .write(true)
                .open(file.path())
                .unwrap()
                .set_len(8192)
                .unwrap();
            let memory = TestMemory::new(&[4096], 0);
            assert!(one(&mut engine, read(4096, &memory)).await.is_ok());
            assert!(one(&mut engine, read(8192, &memory)).await.is_err());
            let across = TestMemory::new(&[8192], 0);
            assert!(one(&mut engine, read(4096, &across)).await.is_err());
            assert!(one(&mut engine, write(8192, &memory)).await.is_err());
            let range = 8192..16384;
            let zeroes = Operation::WriteZeroes {
                range,
                may_unmap: false,
                durable: true,
            };
            assert!(one(&mut engine, zeroes).await.is_err());
            assert_eq!(fs::metadata(file.path()).unwrap().len(), 8192);
            // Made whole again, it can be used again.
            File::options()
                .write(true)
                .open(file.path())
                .unwrap()
                .set_len(SIZE)
                .unwrap();
            assert!(one(&mut engine, write(8192, &memory)).await.is_ok());
        }
    }
}

#[tokio::test]
async fn a_future_that_is_dropped_while_it_waits_loses_nothing() {
    for (_file, mut engine) in engines(true) {
        let memory = TestMemory::new(&[1 << 20], 0);
        engine.start(1, read(0, &memory));
        engine.submit().unwrap();
        {
            let mut wait = Box::pin(engine.wait());
            let _ = futures_poll_once(&mut wait).await;
        }
        let done = all(&mut engine).await;
        assert!(done.len() == 1 && done[0].result.is_ok());
        assert_eq!(memory.bytes(), pattern(0, 1 << 20));
    }
}

async fn futures_poll_once<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
    let mut future = std::pin::Pin::new(future);
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn an_engine_that_is_dropped_lets_go_of_memory_only_when_nothing_writes_to_it() {
    for _ in 0..20 {
        for (_file, mut engine) in engines(true) {
            let memory = TestMemory::new(&[1 << 20], 0);
            engine.start(1, read(0, &memory));
            engine.submit().unwrap();
            let has_ring = engine.ring.is_some();
            drop(engine);
            if has_ring {
                assert_eq!(memory.bytes(), pattern(0, 1 << 20));
            }
        }
    }
}
