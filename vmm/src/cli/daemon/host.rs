//! What the daemon asks of this host.

use paravane::image::Image;
use paravane::snapshot::SnapshotFiles;
use paravane::vm::VmError;
use paravane::vm::host;
use paravane::vm::machine::{self, Machine};
use paravane::vm::probe::HostModes;
use paravane::vm::restore::{check_snapshot, read_sizes};
use paravane_api::image::ImageKind;
use paravane_api::info::HostInfo;
use paravane_daemon::{Host, SnapshotFacts};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;
use std::thread;

/// The RAM of the VM in which modes are tried, in bytes.
const PROBE_MEMORY: u64 = 1 << 20;

/// What an ELF file begins with.
const ELF: [u8; 4] = *b"\x7fELF";

/// This host. Its modes are found out once.
#[derive(Debug, Default)]
pub struct ThisHost {
    modes: OnceLock<Result<Vec<String>, String>>,
}

impl Host for ThisHost {
    fn image_kind(&self, path: &Path) -> ImageKind {
        // A disk need not be read as a whole to know that it is no image.
        let mut begin = [0; ELF.len()];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut begin));
        if read.is_ok() && begin == ELF && Image::read(path).is_ok() {
            ImageKind::Guest
        } else {
            ImageKind::File
        }
    }

    fn snapshot_facts(&self, state: &Path) -> Result<SnapshotFacts, String> {
        let opened = File::open(state).map_err(|error| error.to_string())?;
        let sizes = read_sizes(&opened).map_err(|error| error.to_string())?;
        Ok(SnapshotFacts {
            vcpus: sizes.vcpus,
            ram: sizes.ram,
            memory: sizes.memory,
        })
    }

    fn check_snapshot(&self, folder: &Path) -> Result<(), String> {
        let checked = SnapshotFiles::open(folder).and_then(|files| check_snapshot(&files));
        checked.map_err(|error| error.to_string())
    }

    fn info(&self, kvm: &Path) -> HostInfo {
        let modes = self.modes.get_or_init(|| probe(kvm));
        let (modes, problem) = match modes {
            Ok(modes) => (modes.clone(), None),
            Err(problem) => (Vec::new(), Some(problem.clone())),
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        HostInfo {
            kvm: kvm.display().to_string(),
            modes,
            problem,
            processors: u32::try_from(processors).unwrap_or(u32::MAX),
            memory: machine::most_memory(),
        }
    }
}

fn probe(kvm: &Path) -> Result<Vec<String>, String> {
    let try_out = || -> Result<HostModes, VmError> {
        let kvm = host::open(kvm)?;
        let mut machine = Machine::new(&kvm, PROBE_MEMORY, 1)?;
        Ok(HostModes::probe(&mut machine)?)
    };
    let modes = try_out().map_err(|error| error.to_string())?;
    let name = |mode: &paravane::carrier::Mode| format!("{}/{}", mode.privilege, mode.carrier);
    Ok(modes.all().iter().map(name).collect())
}
