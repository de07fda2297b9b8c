//! Writes the files that are generated from the ABI's definitions.

/// Writes each file at its place in the repository.
#[cfg(feature = "render")]
fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, contents) in pv_abi::render::files() {
        std::fs::write(root.join(path), contents)?;
        println!("wrote {path}");
    }
    Ok(())
}

/// Says what is missing. Cargo builds examples without the feature too.
#[cfg(not(feature = "render"))]
fn main() {
    eprintln!("the renderers are not built in: add --features render");
    std::process::exit(1);
}
