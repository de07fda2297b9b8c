//! Says something now and then, and lets others do so in between.

#![no_std]
#![no_main]

mod system;

#[unsafe(no_mangle)]
extern "C" fn _start(number: u64) -> ! {
    let start = system::time();
    for line in 1..=3 {
        println!("talker {number}: line {line}");
        system::give_way();
    }
    // Not that anybody could tell how long it was away.
    let _microseconds = (system::time() - start) / 1000;
    // The kernel looks at what it is given.
    let wrong = core::ptr::with_exposed_provenance::<u8>(0x1000);
    // SAFETY: the slice is not accessed here, and the kernel refuses it.
    let refused = system::write(unsafe { core::slice::from_raw_parts(wrong, 8) });
    println!("talker {number}: writing from nowhere gives {refused}");
    system::exit()
}
