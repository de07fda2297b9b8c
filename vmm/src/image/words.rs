//! Values of an image as words.

use std::fmt;

/// A number of bytes, in the largest unit that divides it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{} {unit}", self.0 >> shift);
            }
        }
        write!(f, "{} bytes", self.0)
    }
}

/// Bytes in hexadecimal, separated by spaces.
pub(super) struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let separator = if i == 0 { "" } else { " " };
            write!(f, "{separator}{byte:02x}")?;
        }
        Ok(())
    }
}

/// The name of a class of ELF files (EI_CLASS).
pub(super) fn class_name(class: u8) -> String {
    match class {
        1 => "a 32-bit ELF file".to_string(),
        _ => format!("of ELF class {class}"),
    }
}

/// The name of a byte order (EI_DATA).
pub(super) fn encoding_name(encoding: u8) -> String {
    match encoding {
        2 => "big-endian".to_string(),
        _ => format!("of ELF data encoding {encoding}"),
    }
}

/// The name of a processor for which programs are often built by mistake.
pub(super) fn machine_name(machine: u16) -> String {
    let name = match machine {
        3 => "32-bit x86",
        8 => "MIPS",
        20 => "32-bit PowerPC",
        21 => "64-bit PowerPC",
        22 => "s390",
        40 => "32-bit Arm",
        183 => "AArch64",
        243 => "RISC-V",
        258 => "LoongArch",
        _ => return format!("ELF machine {machine}"),
    };
    format!("{name} (ELF machine {machine})")
}

/// The name of a kind of ELF file that is no executable.
pub(super) fn file_type_name(file_type: u16) -> String {
    let name = match file_type {
        1 => "a relocatable object file",
        4 => "a core dump",
        _ => return format!("of ELF type {file_type}"),
    };
    format!("{name} (ELF type {file_type})")
}
