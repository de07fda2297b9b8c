//! A driver of the crate `virtio-drivers` on a device of Paravane's: prints random bytes.
//!
//! ```sh
//! cargo build --release
//! paravane run --rng target/release/random
//! ```
//!
//! The SDK has its own driver for this kind of device. This is how those that it does not have are
//! used: with the SDK's `Transport` and `Hal`.

#![no_std]
#![no_main]

use paravane_sdk::virtio::hal::Hal;
use paravane_sdk::virtio::transport::Transport;
use paravane_sdk::virtio::{Error, find, kind};
use paravane_sdk::{entry, println};
use virtio_drivers::device::rng::VirtIORng;

entry!(main);

fn main() -> i32 {
    let found = find(kind::ENTROPY, None).ok_or(Error::NotFound);
    let transport = match found.and_then(Transport::new) {
        Ok(transport) => transport,
        Err(error) => {
            println!("the device: {error}");
            return 1;
        }
    };
    // On the stack, where it has another address than in the linear map.
    let mut bytes = [0; 16];
    let filled = VirtIORng::<Hal, _>::new(transport)
        .and_then(|mut source| source.request_entropy(&mut bytes));
    match filled {
        Ok(size) => {
            println!("{:02x?}", &bytes[..size]);
            0
        }
        Err(error) => {
            println!("the driver: {error}");
            1
        }
    }
}
