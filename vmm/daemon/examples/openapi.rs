//! Writes the description of the API, which is docs/openapi.json:
//! `cargo run -p paravane-daemon --example openapi > docs/openapi.json`.

fn main() {
    print!("{}", paravane_daemon::openapi::document());
}
