//! `--guest`: a further guest in the same process.

use crate::cli::guest_args::parse_vcpus;
use crate::cli::image_source::ImageSource;
use crate::cli::size;
use std::path::PathBuf;

/// The name of the guest kernel that is built into this program.
const BUILT_IN: &str = "builtin";

/// What a `--guest` says: an image, and how its VM differs from that of the first guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// Where its image comes from.
    pub source: ImageSource,
    /// Its memory; that of the first guest if it says nothing.
    pub memory: Option<u64>,
    /// Its number of vCPUs; likewise.
    pub vcpus: Option<u32>,
    /// A file for it to find in its memory.
    pub initrd: Option<PathBuf>,
    /// Its command line.
    pub command_line: String,
}

/// Parses `IMAGE[,mem=SIZE][,vcpus=N][,initrd=FILE][,cmdline=TEXT]`. The text goes on to the end,
/// commas included.
pub fn parse(text: &str) -> Result<GuestSpec, String> {
    let (image, mut rest) = split(text);
    let mut spec = GuestSpec {
        source: match image {
            "" => return Err(format!("it begins with an image, or with {BUILT_IN}")),
            BUILT_IN => ImageSource::BuiltIn,
            path => ImageSource::File(path.into()),
        },
        memory: None,
        vcpus: None,
        initrd: None,
        command_line: String::new(),
    };
    let mut seen = Vec::new();
    while let Some(settings) = rest {
        if let Some(command_line) = settings.strip_prefix("cmdline=") {
            spec.command_line = command_line.to_string();
            break;
        }
        let (setting, next) = split(settings);
        rest = next;
        let Some((name, value)) = setting.split_once('=') else {
            return Err(unknown(setting));
        };
        match name {
            "mem" => spec.memory = Some(size::parse(value)?),
            "vcpus" => spec.vcpus = Some(parse_vcpus(value)?),
            "initrd" => spec.initrd = Some(value.into()),
            _ => return Err(unknown(setting)),
        }
        if seen.contains(&name) {
            return Err(format!("{name} can be given only once"));
        }
        seen.push(name);
    }
    Ok(spec)
}

fn split(text: &str) -> (&str, Option<&str>) {
    match text.split_once(',') {
        Some((first, rest)) => (first, Some(rest)),
        None => (text, None),
    }
}

fn unknown(setting: &str) -> String {
    format!(
        "\"{setting}\" is no setting of a guest; there are mem=SIZE, vcpus=N, initrd=FILE and, \
         as the last one, cmdline=TEXT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_alone_is_a_guest() {
        let expected = GuestSpec {
            source: ImageSource::File("dir/guest.elf".into()),
            memory: None,
            vcpus: None,
            initrd: None,
            command_line: String::new(),
        };
        assert_eq!(parse("dir/guest.elf"), Ok(expected.clone()));
        let built_in = GuestSpec {
            source: ImageSource::BuiltIn,
            ..expected
        };
        assert_eq!(parse("builtin"), Ok(built_in));
    }

    #[test]
    fn settings_follow_and_the_command_line_is_the_rest() {
        let expected = GuestSpec {
            source: ImageSource::BuiltIn,
            memory: Some(64 << 20),
            vcpus: Some(2),
            initrd: Some("file".into()),
            command_line: "a=b,c mem=1,vcpus=9".to_string(),
        };
        let text = "builtin,vcpus=2,initrd=file,mem=64M,cmdline=a=b,c mem=1,vcpus=9";
        assert_eq!(parse(text), Ok(expected));
        assert_eq!(parse("builtin,cmdline=").unwrap().command_line, "");
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(parse(text), Err(expected.to_string()), "{text}");
    }

    #[test]
    fn what_is_no_guest_is_told_why() {
        check("", "it begins with an image, or with builtin");
        check(",mem=1M", "it begins with an image, or with builtin");
        check("a,mem=1M,mem=2M", "mem can be given only once");
        check("a,vcpus=0", "a VM has 1 to 64 vCPUs");
        check("a,mem=1", "a VM's memory is a multiple of 4096 bytes");
        let settings = "is no setting of a guest; there are mem=SIZE, vcpus=N, initrd=FILE and, \
                        as the last one, cmdline=TEXT";
        check("a,memory=1M", &format!("\"memory=1M\" {settings}"));
        check("a,b", &format!("\"b\" {settings}"));
        check("a,", &format!("\"\" {settings}"));
    }
}
