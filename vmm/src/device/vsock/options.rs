//! `--vsock`.

use super::VsockDevice;
use crate::device::backend::Backend;
use crate::device::options::Options;
use crate::device::spec::DeviceOptions;
use crate::device::unix_socket::{ListeningSocket, PATH_MAX};
use crate::sandbox::needs::{Access, DeviceWork, Needs};
use std::error::Error;
use std::path::PathBuf;

/// The smallest address of a guest: 0 and 1 are reserved, 2 is the host.
const CID_MIN: u64 = 3;
/// The largest: all ones stands for any.
const CID_MAX: u64 = 0xffff_fffe;

/// The longest that is added to the path for a port of the host, `_4294967295`.
const SUFFIX_MAX: usize = 11;

const KNOWN: [&str; 3] = ["cid=N", "uds=PATH", "id=NAME"];

/// What the user said of a vsock device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VsockOptions {
    id: Option<String>,
    cid: u32,
    path: PathBuf,
}

impl VsockOptions {
    /// Parses `cid=N,uds=PATH[,id=NAME]`.
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
        let cid = options.take_number("cid", CID_MIN..=CID_MAX)?;
        let path = options.take("uds").filter(|path| !path.is_empty());
        options.finish(&KNOWN)?;
        let cid = cid.ok_or("the guest's address is missing: cid=N, where N is 3 or more")?;
        let path = path.ok_or("the socket for host programs is missing: uds=PATH")?;
        Ok(Self {
            id,
            // The range says that it fits.
            cid: cid as u32,
            path: path.into(),
        })
    }
}

impl DeviceOptions for VsockOptions {
    fn kind(&self) -> &'static str {
        "vsock"
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        let socket = ListeningSocket::bind(&self.path, PATH_MAX - SUFFIX_MAX)?;
        Ok(Box::new(VsockDevice::new(self.cid, socket)))
    }

    fn add_needs(&self, needs: &mut Needs) {
        needs.devices.insert(DeviceWork::UnixSockets);
        needs.folder_of(&self.path, Access::Connect);
        if needs.rebuilds {
            needs.folder_of(&self.path, Access::Create);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed() {
        let options = VsockOptions::parse("cid=3,uds=/tmp/v.sock,id=logs").unwrap();
        assert_eq!(options.cid, 3);
        assert_eq!(options.path, PathBuf::from("/tmp/v.sock"));
        assert_eq!(options.id(), Some("logs"));
        assert!(VsockOptions::parse("cid=4294967294,uds=x").is_ok());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let parse = |text: &str| VsockOptions::parse(text).unwrap_err();
        for cid in ["0", "1", "2", "4294967295", "4294967296", "-1", "x"] {
            let expected = format!("cid={cid} is not a number from 3 to 4294967294");
            assert_eq!(parse(&format!("cid={cid},uds=x")), expected);
        }
        let no_cid = "the guest's address is missing: cid=N, where N is 3 or more";
        assert_eq!(parse("uds=x"), no_cid);
        let no_path = "the socket for host programs is missing: uds=PATH";
        assert_eq!(parse("cid=3"), no_path);
        assert_eq!(parse("cid=3,uds="), no_path);
        let unknown = "\"path=x\" is no setting here; there are cid=N, uds=PATH, id=NAME";
        assert_eq!(parse("cid=3,path=x"), unknown);
    }

    #[test]
    fn the_path_has_room_for_a_port() {
        let folder = tempfile::tempdir().unwrap();
        let rest = PATH_MAX - SUFFIX_MAX - folder.path().as_os_str().len() - 1;
        let open = |size| {
            let path = folder.path().join("x".repeat(size));
            VsockOptions::parse(&format!("cid=3,uds={}", path.display()))
                .unwrap()
                .open()
        };
        drop(open(rest).unwrap());
        let error = open(rest + 1).unwrap_err().to_string();
        assert!(
            error.ends_with("has 97 bytes; at most 96 fit here"),
            "{error}"
        );
    }
}
