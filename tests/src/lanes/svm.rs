//! AMD's SVM, as QEMU's TCG emulates it.

use std::path::PathBuf;
use std::process::Command;

use super::commands;
use super::kernel;
use super::{Boot, Emulator};

/// What the emulated clock follows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    /// This machine's time.
    Real,
    /// The number of instructions executed, one nanosecond each.
    Instructions,
}

/// QEMU.
pub(super) struct Qemu {
    binary: PathBuf,
    time: Time,
}

impl Qemu {
    /// Finds it on this machine.
    pub(super) fn find(time: Time) -> Result<Qemu, String> {
        let binary = commands::find("qemu-system-x86_64", "qemu-system-x86")?;
        Ok(Qemu { binary, time })
    }
}

impl Emulator for Qemu {
    fn name(&self) -> &'static str {
        "QEMU"
    }

    fn command(&self, boot: &Boot<'_>) -> Result<Command, String> {
        let mut command = Command::new(&self.binary);
        command.current_dir(boot.directory);
        command.args(words(match self.time {
            // Two processors, but emulated in turn by one thread: with thread=multi, two vCPUs
            // that spin on each other hang within seconds in one run of three (QEMU 7.2).
            Time::Real => "-accel tcg,thread=single -smp 2",
            // A seed, because the kernel's random choices cost instructions too.
            Time::Instructions => {
                "-accel tcg -icount shift=0,sleep=off -seed 1 -rtc base=2026-01-01,clock=vm"
            }
        }));
        let (serial, skip) = (Boot::SERIAL, kernel::SKIP_SLOW_WORK);
        command
            .args(words(
                "-cpu max -m 3072 -nographic -no-reboot -nic none -monitor none",
            ))
            .args([
                "-serial",
                &format!("file:{serial}"),
                "-initrd",
                Boot::INITRAMFS,
            ])
            // Without tsc=reliable, two processors make the kernel, and KVM, distrust the TSC.
            .args([
                "-append",
                &format!("console=ttyS0 panic=-1 quiet tsc=reliable {skip}"),
            ])
            .arg("-kernel")
            .arg(boot.kernel);
        Ok(command)
    }
}

/// The words of a command line in which nothing is quoted.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(' ')
}
