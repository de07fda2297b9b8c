//! Several vCPUs: the product of two matrices, first by one vCPU, then by all.
//!
//! ```sh
//! cargo build --release
//! paravane run --vcpus 4 target/release/smp-matrix
//! paravane run --vcpus 4 --cmdline 1000 target/release/smp-matrix   # rows and columns
//! ```
//!
//! There are no threads here: each vCPU is started at a function, and stops when that returns. The
//! rows of the product are handed out by an atomic counter, so a vCPU that the host lets run less
//! does less.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use paravane_sdk::sync::SpinLock;
use paravane_sdk::time::Instant;
use paravane_sdk::vcpu::{self, PerVcpu};
use paravane_sdk::{Features, entry, println, start_info};

entry!(
    main,
    vcpus(1, 64),
    requires(Features::CLOCK),
    wants(Features::VCPUS)
);

/// Rows and columns, unless the command line names another number.
const SIZE: usize = 384;

/// Rows that each vCPU has computed, in the last run.
static ROWS: PerVcpu<AtomicU32> = PerVcpu::new(|_| AtomicU32::new(0));

/// A product under way.
struct Product {
    /// Rows and columns.
    size: usize,
    a: Matrix,
    /// The transpose of the right factor: its columns are adjacent in memory.
    b: Matrix,
    /// The rows that are done, in the order in which they were. Each row is locked only once.
    result: SpinLock<Vec<(usize, Vec<f32>)>>,
    next_row: AtomicUsize,
}

/// Row after row.
type Matrix = Vec<f32>;

fn main() {
    let argument = start_info::get().command_line().trim();
    let size = match argument {
        "" => SIZE,
        _ => match argument.parse() {
            Ok(size @ 1..=4096) => size,
            _ => panic!("the command line is {argument:?}, not a number from 1 to 4096"),
        },
    };
    let (one, alone) = multiply(size, 1);
    println!("1 vCPU:  {alone:?}, checksum {one:#010x}");
    let vcpus = vcpu::count();
    let (all, together) = multiply(size, vcpus);
    println!("{vcpus} vCPUs: {together:?}, checksum {all:#010x}");
    for (id, rows) in ROWS.iter().enumerate() {
        println!(
            "vCPU {id} has computed {} rows",
            rows.load(Ordering::Relaxed)
        );
    }
    let speedup = alone.as_secs_f32() / together.as_secs_f32();
    println!("speed-up: {speedup:.2}");
    assert_eq!(one, all, "the products differ");
}

/// Computes a product of that size by so many vCPUs: its checksum, and the time that it took.
fn multiply(size: usize, vcpus: u32) -> (u32, Duration) {
    for rows in ROWS.iter() {
        rows.store(0, Ordering::Relaxed);
    }
    let product = Arc::new(Product {
        size,
        a: (0..size * size).map(|i| (i % 7) as f32 - 3.0).collect(),
        b: (0..size * size).map(|i| (i % 5) as f32 - 2.0).collect(),
        result: SpinLock::new(Vec::with_capacity(size)),
        next_row: AtomicUsize::new(0),
    });
    let start = Instant::now();
    let others = match vcpus {
        1 => Vec::new(),
        _ => {
            let product = Arc::clone(&product);
            vcpu::start_all(move |_| compute_rows(&product))
        }
    };
    compute_rows(&product);
    vcpu::join(&others);
    let time = start.elapsed();

    let mut rows = core::mem::take(&mut *product.result.lock());
    rows.sort_unstable_by_key(|(row, _)| *row);
    (checksum(rows.iter().flat_map(|(_, row)| row)), time)
}

/// What each vCPU does.
fn compute_rows(product: &Product) {
    let size = product.size;
    loop {
        let row = product.next_row.fetch_add(1, Ordering::Relaxed);
        if row >= size {
            return;
        }
        let left = &product.a[row * size..][..size];
        let mut result = vec![0.0; size];
        for (value, right) in result.iter_mut().zip(product.b.chunks_exact(size)) {
            *value = left.iter().zip(right).map(|(a, b)| a * b).sum();
        }
        product.result.lock().push((row, result));
        // This vCPU's own, which no other one writes.
        ROWS.with(|rows| rows.fetch_add(1, Ordering::Relaxed));
    }
}

/// FNV-1a of the values' bits.
fn checksum<'a>(values: impl Iterator<Item = &'a f32>) -> u32 {
    values.fold(0x811c_9dc5, |hash, value| {
        value
            .to_bits()
            .to_le_bytes()
            .iter()
            .fold(hash, |hash, &byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            })
    })
}
