#![no_std]
#![no_main]
paravane_sdk::entry!(main);

fn main() {
    paravane_sdk::println!("hello from {}", env!("CARGO_PKG_NAME"));
}
