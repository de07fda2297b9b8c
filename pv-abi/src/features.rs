//! Feature bits: what a VMM offers and what an image requires or wants.

/// Defines the bits of [`Features`] with their names and meanings in one place.
macro_rules! features {
    ($($(#[doc = $doc:literal])+ $name:ident = $bit:literal,)*) => {
        /// A set of feature bits.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Features(pub u64);

        impl Features {
            $($(#[doc = $doc])+ pub const $name: Features = Features(1 << $bit);)*

            /// Each defined bit: its number, name and meaning.
            pub const DEFINED: &'static [(u32, &'static str, &'static str)] = &[
                $(($bit, stringify!($name), concat!($($doc),+).trim_ascii())),*
            ];
        }
    };
}

features! {
    /// `core_batch`: many calls in one exit.
    BATCH = 0,
    /// `core_entropy`: random bytes from the host.
    ENTROPY = 1,
    /// `trap_set_table`: faults and exceptions enter the guest's own handlers without an exit.
    TRAP_TABLE = 2,
    /// `trap_set_syscall`: the SYSCALL instruction enters the guest's own handler without an exit.
    SYSCALL_ENTRY = 3,
    /// `trap_set_tls`: a thread pointer in the FS base.
    TLS = 4,
    /// The trap-return entry of the hypercall page: a return from a trap without an exit.
    DIRECT_RETURN = 5,
    /// `io_console_write` and `io_console_read`.
    CONSOLE = 6,
    /// `debug_crash_report`: a crash carries a message and registers.
    CRASH_REPORT = 7,
    /// The `as` group: address spaces.
    ADDRESS_SPACES = 8,
    /// The `event` group and `trap_set_upcall`.
    EVENTS = 9,
    /// The clock of the vCPU page, and `time_wallclock`.
    CLOCK = 10,
    /// `time_oneshot`, `time_periodic`, `time_cancel`.
    TIMERS = 11,
    /// `sched_block`, `sched_poll`, `sched_kick`, `sched_yield_to`, `sched_spin`.
    BLOCKING = 12,
    /// The `vcpu` group.
    VCPUS = 13,
    /// The task entry of the hypercall page.
    TASKS = 14,
    /// `mem_populate`, `mem_release`, `mem_hint`.
    BALLOON = 15,
    /// `mem_share` and the other calls of grants.
    GRANTS = 16,
    /// `trap_set_debug`.
    DEBUG_REGISTERS = 17,
    /// `deferred` of the vCPU page.
    DEFERRED = 18,
    /// The devices of the start-info page, and the calls for them.
    DEVICES = 19,
    /// `EVENT_SOURCE_RESTORED`, and `restored` of the vCPU page: a guest that goes on from a
    /// snapshot learns of it.
    RESTORED = 20,
}

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);

    /// The features in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The features of this set that `other` lacks.
    pub const fn missing_from(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every feature of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        other.missing_from(self).is_empty()
    }
}

/// The names of the set's bits, separated by commas; a bit without a name as `bit N`.
impl core::fmt::Display for Features {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let mut separator = "";
        for bit in (0..u64::BITS).filter(|bit| self.0 & 1 << bit != 0) {
            f.write_str(separator)?;
            separator = ", ";
            match Self::DEFINED.iter().find(|(number, ..)| *number == bit) {
                Some((_, name, _)) => f.write_str(name)?,
                None => write!(f, "bit {bit}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_set_is_printed_by_the_names_of_its_bits() {
        assert_eq!(Features::NONE.to_string(), "none");
        assert_eq!(
            Features::BATCH.union(Features::CONSOLE).to_string(),
            "BATCH, CONSOLE"
        );
        assert_eq!(Features(1 << 63).to_string(), "bit 63");
    }

    #[test]
    fn missing_features_are_those_the_other_set_lacks() {
        let wanted = Features::BATCH.union(Features::TLS);
        assert_eq!(wanted.missing_from(Features::BATCH), Features::TLS);
        assert!(wanted.contains(Features::TLS));
        assert!(!Features::TLS.contains(wanted));
    }
}
