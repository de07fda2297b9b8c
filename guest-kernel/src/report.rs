//! What the kernel says of the machine it finds itself on.

use paravane_sdk::heap::{self, Usage};
use paravane_sdk::start_info::{self, Privilege};
use paravane_sdk::{Features, abi, memory_map, println};

/// The boot log.
pub fn boot_log() {
    println!(
        "{} {}, for Paravane ABI {}.{}",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
        abi::ABI_MAJOR,
        abi::ABI_MINOR,
    );
    info();
    map();
}

/// The machine.
pub fn info() {
    let info = start_info::get();
    let (major, minor) = info.abi_version();
    println!("VMM:        Paravane ABI {major}.{minor}");
    println!(
        "privilege:  {}",
        match info.privilege() {
            Privilege::Ring0 => "ring0: this kernel runs at CPL 0",
            Privilege::Ring3 => "ring3: this kernel runs deprivileged, at CPL 3",
        }
    );
    match info.tsc_frequency() {
        Some(hertz) => println!(
            "TSC:        {}.{:03} MHz",
            hertz / 1_000_000,
            hertz / 1000 % 1000
        ),
        None => println!("TSC:        of unknown frequency"),
    }
    println!("RAM:        {} KiB", info.ram_size() >> 10);
    println!("vCPUs:      {}", info.vcpus());
    println!("initrd:     {} bytes", info.initrd().map_or(0, <[u8]>::len));
    println!("command:    \"{}\"", info.command_line());
    println!("features:");
    for (bit, name, meaning) in Features::DEFINED {
        if info.features().contains(Features(1 << bit)) {
            println!("  {name:<14} {meaning}");
        }
    }
    let defined = Features::DEFINED
        .iter()
        .fold(Features::NONE, |all, (bit, ..)| {
            all.union(Features(1 << bit))
        });
    let others = info.features().missing_from(defined);
    if !others.is_empty() {
        println!("  {others}");
    }
}

/// The memory map.
pub fn map() {
    println!("memory map (guest-physical, KiB, use, rights and address of its own):");
    for region in memory_map::regions() {
        let end = region.gpa.0 + region.size;
        match region.address {
            Some(address) => println!(
                "  {:#012x}..{end:#012x} {:>9} {:<6} {} {address:#x}",
                region.gpa.0,
                region.size >> 10,
                region.kind,
                region.rights,
            ),
            None => println!(
                "  {:#012x}..{end:#012x} {:>9} {}",
                region.gpa.0,
                region.size >> 10,
                region.kind,
            ),
        }
    }
}

/// The heap.
pub fn heap() {
    match heap::usage() {
        Usage { available: 0, .. } => println!("heap: nothing was ever allocated"),
        usage => println!(
            "heap: {} bytes in {} blocks allocated, {} KiB available",
            usage.allocated,
            usage.blocks,
            usage.available >> 10,
        ),
    }
}
