//! Where files are, as the daemon is told: it runs in another folder.

use std::path::{Path, absolute};

/// What the names of images begin with that are not files.
const STORED: [&str; 2] = ["sha256:", "store:"];

/// A path of the host, absolute.
pub fn path(text: &str, folder: &Path) -> Result<String, String> {
    let path = absolute(folder.join(text))
        .map_err(|error| format!("{text} cannot be made an absolute path: {error}"))?;
    let text = path.into_os_string().into_string();
    text.map_err(|path| {
        let path = path.display();
        format!("the path {path} is not UTF-8, so that the API cannot name it; rename the file")
    })
}

/// A file of the host, or of the daemon's store.
pub fn file(text: &str, folder: &Path) -> Result<String, String> {
    match STORED.iter().any(|prefix| text.starts_with(prefix)) {
        true => Ok(text.to_string()),
        false => path(text, folder),
    }
}

/// An image: a [`file`] or the one that is built in.
pub fn image(text: &str, folder: &Path) -> Result<String, String> {
    match text == paravane_api::spec::BUILTIN {
        true => Ok(text.to_string()),
        false => file(text, folder),
    }
}

/// The folder that relative paths of the command line begin in.
pub fn here() -> &'static Path {
    Path::new("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_has_no_path() {
        let folder = Path::new("/etc/vms");
        let image = |text| image(text, folder).unwrap();
        assert_eq!(image("a/guest.elf"), "/etc/vms/a/guest.elf");
        assert_eq!(image("/srv/guest.elf"), "/srv/guest.elf");
        assert_eq!(image("./builtin"), "/etc/vms/builtin");
        for same in ["builtin", "store:web", "sha256:00"] {
            assert_eq!(image(same), same);
        }
        assert_eq!(file("builtin", folder).unwrap(), "/etc/vms/builtin");
        assert!(Path::new(&path("a", here()).unwrap()).is_absolute());
    }
}
