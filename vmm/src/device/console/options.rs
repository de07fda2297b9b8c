//! `--console`.

use super::{ConsoleDevice, HostEnd, PORTS_MAX, Port};
use crate::device::backend::Backend;
use crate::device::options::Options;
use crate::device::spec::DeviceOptions;
use crate::device::unix_socket::{ListeningSocket, PATH_MAX};
use crate::sandbox::needs::{Access, DeviceWork, Needs};
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const KNOWN: [&str; 3] = ["socket=PATH", "file=PATH", "name=NAME"];

/// The longest name of a port, in bytes.
const NAME_MAX: usize = 64;

/// The host's end of a port, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EndOptions {
    Socket(PathBuf),
    File(PathBuf),
}

/// What the user said of one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortOptions {
    name: Option<String>,
    end: EndOptions,
}

impl PortOptions {
    /// Parses `socket=PATH[,name=NAME]` or `file=PATH[,name=NAME]`.
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
        let name = options.take("name");
        let socket = options.take("socket").filter(|path| !path.is_empty());
        let file = options.take("file").filter(|path| !path.is_empty());
        options.finish(&KNOWN)?;
        if let Some(name) = name
            .as_ref()
            .filter(|name| !(1..=NAME_MAX).contains(&name.len()))
        {
            return Err(format!(
                "the name \"{name}\" has {} bytes; a port's name has 1 to {NAME_MAX}",
                name.len()
            ));
        }
        let end = match (socket, file) {
            (Some(path), None) => EndOptions::Socket(path.into()),
            (None, Some(path)) => EndOptions::File(path.into()),
            _ => return Err("a port has either socket=PATH or file=PATH".into()),
        };
        Ok(Self { name, end })
    }

    fn open(&self, name: String) -> Result<Port, Box<dyn Error + Send + Sync>> {
        let end = match &self.end {
            EndOptions::Socket(path) => HostEnd::Socket(ListeningSocket::bind(path, PATH_MAX)?),
            EndOptions::File(path) => HostEnd::File(append_to(path)?, path.clone()),
        };
        Ok(Port { name, end })
    }
}

/// What the user said of all ports of a guest.
#[derive(Clone, Debug)]
pub struct ConsoleOptions {
    ports: Vec<PortOptions>,
    names: Vec<String>,
}

impl ConsoleOptions {
    /// One device of all ports. Those without a name are called by their number, such as port0.
    ///
    /// # Errors
    ///
    /// There are too many, or two have one name.
    pub fn new(ports: Vec<PortOptions>) -> Result<Self, String> {
        if ports.len() > PORTS_MAX {
            return Err(format!(
                "{} console ports are more than the {PORTS_MAX} that a guest can have",
                ports.len()
            ));
        }
        let named = |(index, port): (usize, &PortOptions)| {
            port.name.clone().unwrap_or_else(|| format!("port{index}"))
        };
        let names: Vec<_> = ports.iter().enumerate().map(named).collect();
        let same = (1..).zip(&names).find(|&(next, name)| {
            let rest = names.get(next..).unwrap_or_default();
            rest.contains(name)
        });
        match same {
            Some((_, name)) => Err(format!(
                "two console ports have the name {name}; give one of them another by name="
            )),
            None => Ok(Self { ports, names }),
        }
    }
}

impl DeviceOptions for ConsoleOptions {
    fn kind(&self) -> &'static str {
        "console"
    }

    fn id(&self) -> Option<&str> {
        None
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        let ports = self.ports.iter().zip(&self.names);
        let ports = ports.map(|(port, name)| port.open(name.clone()));
        Ok(Box::new(ConsoleDevice::new(
            ports.collect::<Result<_, _>>()?,
        )))
    }

    fn add_needs(&self, needs: &mut Needs) {
        for port in &self.ports {
            match &port.end {
                EndOptions::Socket(path) => {
                    needs.devices.insert(DeviceWork::UnixSockets);
                    if needs.rebuilds {
                        needs.folder_of(path, Access::Create);
                    }
                }
                EndOptions::File(path) => {
                    needs.devices.insert(DeviceWork::Files);
                    if needs.rebuilds {
                        needs.path(path, Access::Write);
                    }
                }
            }
        }
    }
}

/// Why a port cannot write to a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It would block, or it is a folder.
    #[error("{} is not a regular file; give the path of one, or of one that is to be made", .0.display())]
    NotAFile(PathBuf),
    /// It cannot be opened.
    #[error("cannot write to the file {}: {error}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Opens or makes a file to append to. Anything but a regular file could block the device.
fn append_to(path: &Path) -> Result<File, FileError> {
    if fs::metadata(path).is_ok_and(|file| !file.is_file()) {
        return Err(FileError::NotAFile(path.to_path_buf()));
    }
    let file = File::options().append(true).create(true).open(path);
    file.map_err(|error| FileError::Open {
        path: path.to_path_buf(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_parsed() {
        let port = PortOptions::parse("socket=/tmp/s,name=shell").unwrap();
        assert_eq!(port.end, EndOptions::Socket("/tmp/s".into()));
        assert_eq!(port.name.as_deref(), Some("shell"));
        let port = PortOptions::parse("file=log").unwrap();
        assert_eq!(port.end, EndOptions::File("log".into()));
        let parse = |text: &str| PortOptions::parse(text).unwrap_err();
        let either = "a port has either socket=PATH or file=PATH";
        for text in ["", "socket=", "name=x", "socket=a,file=b"] {
            assert_eq!(parse(text), either, "{text}");
        }
        let empty = "the name \"\" has 0 bytes; a port's name has 1 to 64";
        assert_eq!(parse("file=log,name="), empty);
        let unknown = "\"tty\" is no setting here; there are socket=PATH, file=PATH, name=NAME";
        assert_eq!(parse("tty"), unknown);
    }

    #[test]
    fn the_ports_of_a_guest_have_names() {
        let port = |text: &str| PortOptions::parse(text).unwrap();
        let all = vec![port("file=a"), port("file=b,name=log"), port("file=c")];
        let options = ConsoleOptions::new(all).unwrap();
        assert_eq!(options.names, ["port0", "log", "port2"]);
        let twice = vec![port("file=a,name=port1"), port("file=b")];
        assert_eq!(
            ConsoleOptions::new(twice).unwrap_err(),
            "two console ports have the name port1; give one of them another by name="
        );
        let many = vec![port("file=a"); PORTS_MAX + 1];
        assert_eq!(
            ConsoleOptions::new(many).unwrap_err(),
            "16 console ports are more than the 15 that a guest can have"
        );
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let error = append_to(path).unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
        let error = append_to(&path.join("no/log")).unwrap_err().to_string();
        assert!(error.starts_with("cannot write to the file "), "{error}");
        append_to(&path.join("log")).unwrap();
    }
}
