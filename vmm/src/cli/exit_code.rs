//! What the program's exit code says. Each error gets its code here, and nowhere else.

use super::client::clean;
use paravane::image::ImageError;
use paravane::memory::MemoryError;
use paravane::vcpu::VcpuError;
use paravane::vm::VmError;
use paravane::vm::load::LoadError;
use paravane::vm::machine::MachineError;
use paravane_client::ClientError;
use std::io::Write;
use std::process::ExitCode;

macro_rules! statuses {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $meaning:literal;)*) => {
        /// An ending that is not a guest's own.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Status { $($(#[doc = $doc])+ $name = $code,)* }

        /// The exit codes, as `--help` shows them.
        pub const HELP: &str = concat!(
            "Exit codes:\n  0 to 119  the guest's own\n",
            $("       ", $code, "  ", $meaning, "\n",)*
            "\nPARAVANE_LOG sets what is logged to stderr: error, warn (the default), info, \
             debug, trace,\nor by module, as in warn,paravane::vm=debug."
        );

        #[cfg(test)]
        const ALL: &[Status] = &[$(Status::$name),*];
    };
}

statuses! {
    /// The image cannot be run.
    BadImage = 120, "the image cannot be read, or no VM could run it";
    /// KVM is missing or cannot be used.
    NoKvm = 121, "KVM is missing, forbidden or too old";
    /// The command line asks for what is not possible.
    BadConfiguration = 122, "the command line, or what it asks for, is not possible";
    /// The guest crashed.
    GuestCrash = 123, "the guest crashed";
    /// The guest ran longer than it may.
    TimedOut = 124, "the guest did not end before --timeout";
    /// Something went wrong that neither the user nor the guest caused.
    Internal = 125, "the VMM failed";
    /// SIGHUP.
    HungUp = 129, "ended by SIGHUP";
    /// SIGINT or the escape key.
    Interrupted = 130, "ended by SIGINT or by the escape key (Ctrl-A x)";
    /// SIGQUIT.
    Quit = 131, "ended by SIGQUIT";
    /// SIGTERM.
    Terminated = 143, "ended by SIGTERM";
    /// No daemon answers.
    NoDaemon = 200, "the daemon cannot be reached, or the connection to it was lost";
    /// What was named is not there.
    NotFound = 201, "the daemon has no such VM, snapshot or image";
    /// What was asked for does not fit.
    Conflict = 202, "it does not fit what the daemon has, such as the VM's state";
    /// The daemon wants a token.
    Refused = 203, "the daemon does not let this client in";
}

impl Status {
    /// The exit code.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status.code())
    }
}

/// Why the program ends without having done what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Gives the exit code.
    pub status: Status,
    /// One sentence: what is wrong, with which value, and what would be right.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }

    /// What was asked for is not possible.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Status::BadConfiguration, message)
    }

    /// The VMM or its host failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Status::Internal, message)
    }

    /// Prints the message to stderr.
    pub fn print(&self) {
        notice(&self.message);
    }
}

impl From<VmError> for Failure {
    fn from(error: VmError) -> Self {
        Self::new(of_vm(&error), error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        // A detail may say what a guest or another client has chosen.
        Self::new(of_client(&error), clean(&error.to_string()))
    }
}

/// Prints a sentence to stderr, as one of this program's.
pub fn notice(sentence: &str) {
    // In one piece, as the guest's output may come in between. A stderr that is gone is no
    // reason to fail.
    let _ = std::io::stderr().write_all(format!("paravane: {sentence}\n").as_bytes());
}

fn of_vm(error: &VmError) -> Status {
    match error {
        VmError::Host(_) => Status::NoKvm,
        VmError::Image(error) => of_image(error),
        VmError::Machine(error) => of_machine(error),
        VmError::Mode(_) => Status::BadConfiguration,
        VmError::Load(error) => of_load(error),
        VmError::Device(_) | VmError::Devices(_) | VmError::Restore(_) => Status::BadConfiguration,
        VmError::Vcpu(error) => of_vcpu(error),
        VmError::Memory(error) => of_memory(error),
        VmError::Thread { .. } | VmError::Sandbox(_) => Status::Internal,
    }
}

fn of_client(error: &ClientError) -> Status {
    match error {
        ClientError::NoDaemon { .. } | ClientError::Connect { .. } | ClientError::Lost { .. } => {
            Status::NoDaemon
        }
        ClientError::Answer { .. } => Status::Internal,
        ClientError::Request(_)
        | ClientError::Url { .. }
        | ClientError::Token
        | ClientError::Certificate(_) => Status::BadConfiguration,
        ClientError::Problem(problem) => match problem.status {
            401 | 403 => Status::Refused,
            404 => Status::NotFound,
            408 => Status::TimedOut,
            409 => Status::Conflict,
            500.. => Status::Internal,
            _ => Status::BadConfiguration,
        },
    }
}

/// The status of an image's error.
pub fn of_image(error: &ImageError) -> Status {
    match error {
        // The image is good, the VM that it was to run in is not what it needs.
        ImageError::TooLittleMemory { .. }
        | ImageError::TooFewVcpus { .. }
        | ImageError::TooManyVcpus { .. } => Status::BadConfiguration,
        ImageError::NotFound { .. }
        | ImageError::PermissionDenied { .. }
        | ImageError::NotRegular { .. }
        | ImageError::TooLarge { .. }
        | ImageError::Unreadable { .. }
        | ImageError::Empty
        | ImageError::NotElf { .. }
        | ImageError::TruncatedHeader { .. }
        | ImageError::NotElf64 { .. }
        | ImageError::NotLittleEndian { .. }
        | ImageError::ElfVersion { .. }
        | ImageError::Machine { .. }
        | ImageError::NotExecutable { .. }
        | ImageError::PositionIndependent
        | ImageError::Dynamic { .. }
        | ImageError::ProgramHeaderSize { .. }
        | ImageError::TooManyProgramHeaders { .. }
        | ImageError::TruncatedProgramHeaders { .. }
        | ImageError::NoNote
        | ImageError::SeveralNotes { .. }
        | ImageError::TruncatedNote { .. }
        | ImageError::MalformedNote { .. }
        | ImageError::NoteTooShort { .. }
        | ImageError::AbiNewer { .. }
        | ImageError::AbiOlder { .. }
        | ImageError::NoteReserved { .. }
        | ImageError::StackSize { .. }
        | ImageError::VcpuRange { .. }
        | ImageError::NameNotUtf8 { .. }
        | ImageError::NameControl { .. }
        | ImageError::NoSegments
        | ImageError::TooManySegments { .. }
        | ImageError::TruncatedSegment { .. }
        | ImageError::LargerInFile { .. }
        | ImageError::Wraps { .. }
        | ImageError::TooLow { .. }
        | ImageError::TooHigh { .. }
        | ImageError::Alignment { .. }
        | ImageError::Unaligned { .. }
        | ImageError::PageOffset { .. }
        | ImageError::WritableAndExecutable { .. }
        | ImageError::NotReadable { .. }
        | ImageError::Overlap { .. }
        | ImageError::SharedPage { .. }
        | ImageError::Entry { .. }
        | ImageError::OutsideRam { .. }
        | ImageError::MissingFeatures { .. } => Status::BadImage,
    }
}

fn of_machine(error: &MachineError) -> Status {
    match error {
        // For example when another hypervisor has the virtualization hardware.
        MachineError::Vcpu(VcpuError::Kvm {
            ioctl: "KVM_CREATE_VM",
            ..
        }) => Status::NoKvm,
        MachineError::Vcpu(error) => of_vcpu(error),
        MachineError::Memory(error) => of_memory(error),
        MachineError::TooManyVcpus { .. }
        | MachineError::NoVcpu
        | MachineError::TooMuchMemory { .. } => Status::BadConfiguration,
    }
}

fn of_load(error: &LoadError) -> Status {
    match error {
        LoadError::CommandLineTooLong { .. }
        | LoadError::CommandLineNul { .. }
        | LoadError::DoesNotFit { .. } => Status::BadConfiguration,
        LoadError::Ram { .. } => Status::Internal,
        LoadError::Memory(error) => of_memory(error),
    }
}

fn of_vcpu(error: &VcpuError) -> Status {
    match error {
        VcpuError::Kvm { .. } | VcpuError::Timer { .. } => Status::Internal,
        VcpuError::Memory(error) => of_memory(error),
    }
}

fn of_memory(error: &MemoryError) -> Status {
    match error {
        MemoryError::Reserve { .. } => Status::BadConfiguration,
        MemoryError::PrivateExhausted { .. } | MemoryError::PrivateAccess { .. } => {
            Status::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paravane::vm::host::HostError;
    use paravane::vm::probe::ModeError;

    #[test]
    fn no_status_can_be_mistaken_for_a_guests_exit_code() {
        // Those of the ABI, sched_shutdown.
        const GUEST_MOST: u8 = 119;
        let mut codes: Vec<u8> = ALL.iter().map(|status| status.code()).collect();
        assert!(codes.iter().all(|&code| code > GUEST_MOST));
        codes.dedup();
        assert_eq!(codes.len(), ALL.len());
    }

    #[test]
    fn the_help_lists_every_status() {
        for status in ALL {
            assert!(HELP.contains(&format!("  {}  ", status.code())), "{HELP}");
        }
    }

    #[track_caller]
    fn check(error: impl Into<VmError>, expected: Status) {
        assert_eq!(Failure::from(error.into()).status, expected);
    }

    fn kvm(ioctl: &'static str) -> VcpuError {
        VcpuError::Kvm {
            ioctl,
            source: kvm_ioctls::Error::new(libc::EBUSY),
        }
    }

    #[test]
    fn each_problem_of_the_daemon_has_its_status() {
        let status = |status| {
            let problem = paravane_client::api::Problem {
                kind: String::new(),
                title: String::new(),
                status,
                detail: "\u{1b}[2J".to_string(),
                errors: Vec::new(),
            };
            let failure = Failure::from(ClientError::Problem(Box::new(problem)));
            assert_eq!(failure.message, "\\u{1b}[2J");
            failure.status
        };
        assert_eq!(status(404), Status::NotFound);
        assert_eq!(status(409), Status::Conflict);
        assert_eq!(status(401), Status::Refused);
        assert_eq!(status(422), Status::BadConfiguration);
        assert_eq!(status(507), Status::Internal);
    }

    #[test]
    fn each_kind_of_error_has_its_status() {
        let path = std::path::PathBuf::from("/dev/kvm");
        check(HostError::Missing { path: path.clone() }, Status::NoKvm);
        check(HostError::Permission { path }, Status::NoKvm);
        check(MachineError::from(kvm("KVM_CREATE_VM")), Status::NoKvm);
        check(MachineError::from(kvm("KVM_RUN")), Status::Internal);
        check(kvm("KVM_RUN"), Status::Internal);
        check(ModeError::NoRing0, Status::BadConfiguration);
        check(ImageError::Empty, Status::BadImage);
        let (minimum, ram_size) = (2, 1);
        check(
            ImageError::TooLittleMemory { minimum, ram_size },
            Status::BadConfiguration,
        );
        check(MachineError::NoVcpu, Status::BadConfiguration);
        check(
            LoadError::CommandLineTooLong { size: 9 },
            Status::BadConfiguration,
        );
        check(
            LoadError::Ram {
                gpa: pv_abi::Gpa(0),
            },
            Status::Internal,
        );
        check(MemoryError::PrivateExhausted { size: 0 }, Status::Internal);
        let reserve = MemoryError::Reserve {
            size: 1,
            reason: String::new(),
        };
        check(MachineError::from(reserve), Status::BadConfiguration);
    }
}
