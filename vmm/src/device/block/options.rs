//! `--disk`.

use super::BlockDevice;
use super::disk::{Disk, SERIAL_SIZE};
use super::image::{BlockError, Format, OpenOptions};
use crate::device::backend::Backend;
use crate::device::options::Options;
use crate::device::rate::RateLimiter;
use crate::device::spec::DeviceOptions;
use crate::sandbox::needs::{Access, DeviceWork, Needs};
use std::error::Error;
use std::path::PathBuf;

/// What a disk can be told.
pub const KNOWN: &[&str] = &[
    "path=FILE",
    "id=NAME",
    "ro",
    "serial=TEXT",
    "direct",
    "rate=SIZE/s",
    "iops=N",
    "queues=N",
    "format=raw|qcow2|auto",
    "discard=on|off",
];

/// The most queues: one for each vCPU is what makes sense.
const MAX_QUEUES: u64 = 16;

/// A disk as the user wants it.
#[derive(Clone, Debug)]
pub struct BlockOptions {
    id: Option<String>,
    image: OpenOptions,
    serial: String,
    bytes_per_second: Option<u64>,
    operations_per_second: Option<u64>,
    queues: u16,
    discard: bool,
}

impl BlockOptions {
    /// Parses what follows `--disk`: `PATH,ro` or `path=PATH,ro`, and so on ([`KNOWN`]).
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let options = Options::parse_with_first(text, &["ro", "direct", "discard"])?;
        Self::from_options(options)
    }

    /// Makes it of what was said.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn from_options(mut options: Options) -> Result<Self, String> {
        let path = match (options.take_first(), options.take("path")) {
            (Some(_), Some(_)) => return Err("a disk has one path".into()),
            (first, path) => first.or(path).filter(|path| !path.is_empty()),
        };
        let path = path.ok_or("a disk needs an image: path=FILE")?;
        let image = OpenOptions {
            path: PathBuf::from(path),
            read_only: options.take_flag("ro")?,
            direct: options.take_flag("direct")?,
            format: format(options.take("format"))?,
        };
        let discard = match options.take("discard").as_deref() {
            // The word alone says what is so anyway.
            None => options.take_flag("discard").map(|_| true)?,
            Some("on") => true,
            Some("off") => false,
            Some(other) => {
                return Err(format!(
                    "discard={other} is neither discard=on nor discard=off"
                ));
            }
        };
        let id = options.take("id");
        let serial = options.take("serial");
        let parsed = Self {
            image,
            serial: check_serial(serial, id.as_deref())?,
            id,
            bytes_per_second: options.take_rate("rate")?,
            operations_per_second: options.take_number("iops", 1..=1_000_000_000)?,
            queues: options.take_number("queues", 1..=MAX_QUEUES)?.unwrap_or(1) as u16,
            discard,
        };
        options.finish(KNOWN)?;
        Ok(parsed)
    }

    /// Opens the image, and locks it as long as the device lives.
    ///
    /// # Errors
    ///
    /// One sentence about why it cannot be used.
    pub fn open(&self) -> Result<BlockDevice, BlockError> {
        let image = self.image.open()?;
        let read_only = self.image.read_only;
        let disk = Disk::new(&image, read_only, self.discard, self.queues, &self.serial);
        let rate = RateLimiter::new(self.bytes_per_second, self.operations_per_second);
        Ok(BlockDevice::new(self.image.path.clone(), image, disk, rate))
    }
}

impl DeviceOptions for BlockOptions {
    fn kind(&self) -> &'static str {
        "disk"
    }

    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(Self::open(self)?))
    }

    fn add_needs(&self, needs: &mut Needs) {
        needs.devices.insert(DeviceWork::Disk);
        if needs.rebuilds {
            let access = match self.image.read_only {
                true => Access::Read,
                false => Access::Write,
            };
            needs.path(&self.image.path, access);
        }
    }
}

fn format(value: Option<String>) -> Result<Format, String> {
    match value.as_deref() {
        None | Some("auto") => Ok(Format::Auto),
        Some("raw") => Ok(Format::Raw),
        Some("qcow2") => Ok(Format::Qcow2),
        Some(other) => Err(format!("format={other} is not one of raw, qcow2 and auto")),
    }
}

/// The serial number; where there is none, what of the name fits.
fn check_serial(serial: Option<String>, id: Option<&str>) -> Result<String, String> {
    let Some(serial) = serial else {
        let characters = id
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_graphic);
        return Ok(characters.take(SERIAL_SIZE).collect());
    };
    if serial.len() > SERIAL_SIZE || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "serial={serial} is not a serial number, which has at most {SERIAL_SIZE} letters, \
             digits and signs"
        ));
    }
    Ok(serial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn error(text: &str) -> String {
        BlockOptions::parse(text).expect_err("it is wrong")
    }

    #[test]
    fn a_path_is_enough() {
        for text in ["a.img", "path=a.img"] {
            let parsed = BlockOptions::parse(text).unwrap();
            assert_eq!(parsed.image.path, PathBuf::from("a.img"));
            assert!(!parsed.image.read_only && !parsed.image.direct && parsed.discard);
            assert_eq!((parsed.image.format, parsed.queues), (Format::Auto, 1));
            assert_eq!(parsed.serial, "");
        }
    }

    #[test]
    fn everything_can_be_said() {
        let parsed = BlockOptions::parse(
            "a.img,ro,id=root,serial=S-1,direct,rate=10M/s,iops=500,queues=4,format=raw,discard=off",
        )
        .unwrap();
        assert!(parsed.image.read_only && parsed.image.direct && !parsed.discard);
        assert_eq!(
            (parsed.id.as_deref(), parsed.serial.as_str()),
            (Some("root"), "S-1")
        );
        assert_eq!(parsed.bytes_per_second, Some(10 << 20));
        assert_eq!(parsed.operations_per_second, Some(500));
        assert_eq!((parsed.image.format, parsed.queues), (Format::Raw, 4));
        let named = BlockOptions::parse("a.img,id=a-name-of-more-than-20").unwrap();
        assert_eq!(named.serial, "a-name-of-more-than-");
    }

    #[test]
    fn what_is_wrong_is_told() {
        assert_eq!(error("ro"), "a disk needs an image: path=FILE");
        assert_eq!(error("path=,ro"), "a disk needs an image: path=FILE");
        assert_eq!(error("a,path=b"), "a disk has one path");
        assert_eq!(
            error("a,format=vmdk"),
            "format=vmdk is not one of raw, qcow2 and auto"
        );
        assert_eq!(
            error("a,queues=17"),
            "queues=17 is not a number from 1 to 16"
        );
        assert_eq!(
            error("a,iops=0"),
            "iops=0 is not a number from 1 to 1000000000"
        );
        assert!(error("a,rate=fast").starts_with("rate=fast is not a rate"));
        assert!(error("a,discard=no").starts_with("discard=no is neither"));
        assert!(error("a,serial=a b").starts_with("serial=a b is not a serial number"));
        assert!(error("a,serial=123456789012345678901").contains("at most 20"));
        assert!(
            error("a,size=1G").starts_with("\"size=1G\" is no setting here; there are path=FILE")
        );
    }
}
