//! Intel's VMX, as Bochs emulates it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::commands;
use super::kernel;
use super::{Boot, Emulator};

/// Where Debian's package grub-pc-bin puts the parts of GRUB that boot from a BIOS.
const GRUB: &str = "/usr/lib/grub/i386-pc";

/// The disk that Bochs boots.
const DISK: &str = "lane.iso";

/// The file with the debugger's first and only command.
const DEBUGGER_COMMANDS: &str = "debugger-commands";

/// Bochs's run file.
const RUN_FILE: &str = "bochsrc";

/// What the kernel is told. Bochs executes some 70 million instructions a second, so most of it
/// saves instructions.
const KERNEL_PARAMETERS: &str = "console=ttyS0,115200 mitigations=off nokaslr nopti tsc=reliable \
    no_timer_check lpj=80000 random.trust_cpu=on quiet rdinit=/init panic=1";

/// Bochs, its firmware, and what makes a disk for it.
pub(super) struct Bochs {
    binary: PathBuf,
    grub_mkrescue: PathBuf,
    bios: PathBuf,
    vga_bios: PathBuf,
}

impl Bochs {
    /// Finds it all on this machine.
    pub(super) fn find() -> Result<Bochs, String> {
        // grub-mkrescue calls these two.
        commands::find("xorriso", "xorriso")?;
        commands::find("mformat", "mtools")?;
        commands::require(GRUB, "grub-pc-bin")?;
        Ok(Bochs {
            binary: commands::find("bochs-bin", "bochs")?,
            grub_mkrescue: commands::find("grub-mkrescue", "grub-common")?,
            bios: commands::require("/usr/share/bochs/BIOS-bochs-latest", "bochsbios")?,
            vga_bios: commands::require("/usr/share/bochs/VGABIOS-lgpl-latest", "bochs vgabios")?,
        })
    }

    /// Makes the disk: Bochs boots nothing else.
    fn make_disk(&self, boot: &Boot<'_>) -> Result<(), String> {
        let tree = boot.directory.join("disk");
        let grub = tree.join("boot/grub");
        let failed = |error| format!("cannot write {}: {error}", tree.display());
        fs::create_dir_all(&grub).map_err(failed)?;
        fs::write(grub.join("grub.cfg"), grub_configuration()).map_err(failed)?;
        fs::copy(boot.kernel, tree.join("boot/vmlinuz")).map_err(failed)?;
        fs::rename(
            boot.directory.join(Boot::INITRAMFS),
            tree.join("boot/initramfs"),
        )
        .map_err(failed)?;
        let disk = boot.directory.join(DISK);
        commands::output(
            Command::new(&self.grub_mkrescue)
                .arg(format!("--directory={GRUB}"))
                .arg("-o")
                .args([&disk, &tree]),
        )?;
        fs::remove_dir_all(&tree).map_err(failed)
    }

    fn run_file(&self) -> Result<String, String> {
        let (bios, vga_bios) = (plain(&self.bios)?, plain(&self.vga_bios)?);
        let serial = Boot::SERIAL;
        // No speaker: its thread overflows a buffer on a machine without a sound card.
        // Errors ignored: at each tick the kernel reads two registers that Bochs does not know.
        Ok(format!(
            r#"display_library: rfb, options="timeout=0"
plugin_ctrl: speaker=0
cpu: model=corei7_haswell_4770, count=1, ips=20000000, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=2048, host=2048
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
ata0-master: type=cdrom, path={DISK}, status=inserted
boot: cdrom
clock: sync=none, time0=utc
com1: enabled=1, mode=file, dev={serial}
panic: action=fatal
error: action=ignore
config_interface: textconfig
"#
        ))
    }
}

impl Emulator for Bochs {
    fn name(&self) -> &'static str {
        "Bochs"
    }

    fn command(&self, boot: &Boot<'_>) -> Result<Command, String> {
        self.make_disk(boot)?;
        for (name, contents) in [
            (RUN_FILE, self.run_file()?),
            (DEBUGGER_COMMANDS, "c\n".into()),
        ] {
            fs::write(boot.directory.join(name), contents)
                .map_err(|error| format!("cannot write {name}: {error}"))?;
        }
        let mut command = without_network(&self.binary);
        // -rc, because Debian's Bochs includes the debugger, which waits for a command.
        command.args(["-q", "-f", RUN_FILE, "-rc", DEBUGGER_COMMANDS]);
        command.current_dir(boot.directory);
        Ok(command)
    }
}

/// A command that runs `program` in a network namespace of its own, where this user may make
/// one.
///
/// Bochs's display listens on a TCP port, of which two that start at once can take the same: it
/// binds with SO_REUSEADDR, then one of them cannot listen, and its socket cannot be bound again.
/// In a namespace of its own there is no other, and nobody can connect to it either.
fn without_network(program: &Path) -> Command {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let works = |options: &&&[&str]| {
        let mut trial = Command::new("unshare");
        commands::output(trial.args(**options).arg("true")).is_ok()
    };
    match ways.iter().find(works) {
        Some(options) => {
            let mut command = Command::new("unshare");
            command.args(*options).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn grub_configuration() -> String {
    let skip = kernel::SKIP_SLOW_WORK;
    format!(
        "set timeout=0\n\
         linux /boot/vmlinuz {KERNEL_PARAMETERS} {skip}\n\
         initrd /boot/initramfs\n\
         boot\n"
    )
}

/// `path` as it is written in a run file, where there are no quotes to put it in.
fn plain(path: &Path) -> Result<&str, String> {
    path.to_str()
        .filter(|path| !path.contains([' ', ',', '"']))
        .ok_or_else(|| format!("Bochs cannot be given the path {}", path.display()))
}
