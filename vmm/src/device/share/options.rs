//! `--share`.

use super::ShareDevice;
use super::folder::open_root;
use super::server::Server;
use crate::device::backend::Backend;
use crate::device::options::Options;
use crate::device::spec::DeviceOptions;
use crate::sandbox::needs::{Access, DeviceWork, Needs};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::error::Error;
use std::path::PathBuf;

/// The longest tag, in bytes (virtio 1.2, 5.11.4).
pub const TAG_MAX: usize = 36;

/// The most inodes that a guest can know at a time, each with a file descriptor.
const INODES_MAX: u64 = 64 << 10;

const KNOWN: [&str; 3] = ["path=DIR", "tag=NAME", "id=NAME"];

/// What the user said of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareOptions {
    id: Option<String>,
    path: PathBuf,
    tag: String,
}

impl ShareOptions {
    /// Parses `path=DIR,tag=NAME[,id=NAME]`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::from_options(Options::parse(text)?)
    }

    /// Makes it of what was said.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_options(mut options: Options) -> Result<Self, String> {
        let id = options.take("id");
        let path = options.take("path").filter(|path| !path.is_empty());
        let tag = options.take("tag").filter(|tag| !tag.is_empty());
        options.finish(&KNOWN)?;
        let path = path.ok_or("the folder is missing: path=DIR")?;
        let tag = tag.ok_or("the name by which the guest finds the folder is missing: tag=NAME")?;
        if tag.len() > TAG_MAX || tag.contains('\0') {
            return Err(format!(
                "the tag {tag:?} has {} bytes; a tag has 1 to {TAG_MAX}, none of them zero",
                tag.len()
            ));
        }
        Ok(Self {
            id,
            path: path.into(),
            tag,
        })
    }
}

impl DeviceOptions for ShareOptions {
    fn kind(&self) -> &'static str {
        "share"
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        let root = open_root(&self.path)?;
        let server = Server::new(root, inodes_max());
        Ok(Box::new(ShareDevice::new(self.tag.clone(), server)))
    }

    fn add_needs(&self, needs: &mut Needs) {
        needs.devices.insert(DeviceWork::Share);
        needs.path(&self.path, Access::Read);
    }
}

/// How many inodes a guest can know. Half of the file descriptors, once their limit is as high as
/// this process may have it, stay for everything else.
fn inodes_max() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => raised,
        Err(_) => limit,
    };
    let files = limit.current.unwrap_or(u64::MAX);
    (files / 2).min(INODES_MAX) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> String {
        let text = format!("path={},tag=x", path.display());
        let opened = ShareOptions::parse(&text).unwrap().open();
        opened.unwrap_err().to_string()
    }

    #[test]
    fn options_are_parsed() {
        let options = ShareOptions::parse("path=/srv,tag=files,id=s").unwrap();
        assert_eq!(options.path, PathBuf::from("/srv"));
        assert_eq!(options.tag, "files");
        let parse = |text: &str| ShareOptions::parse(text).unwrap_err();
        assert_eq!(parse("tag=x"), "the folder is missing: path=DIR");
        let tag = "the name by which the guest finds the folder is missing: tag=NAME";
        assert_eq!(parse("path=x"), tag);
        let long = "x".repeat(TAG_MAX + 1);
        let expected =
            format!("the tag {long:?} has 37 bytes; a tag has 1 to 36, none of them zero");
        assert_eq!(parse(&format!("path=x,tag={long}")), expected);
        let unknown = "\"rw\" is no setting here; there are path=DIR, tag=NAME, id=NAME";
        assert_eq!(parse("path=x,tag=y,rw"), unknown);
    }

    #[test]
    fn what_is_no_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let expected = "does not exist; give the path of one that does";
        assert_eq!(
            open(&missing),
            format!("the folder {} {expected}", missing.display())
        );
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let expected = "is not a folder; give the path of the folder that it is in";
        assert_eq!(open(&file), format!("{} {expected}", file.display()));
    }
}
