//! All definitions of the ABI in one place, with their layouts and values.
//!
//! Names, types and documentation come from the source; values and sizes come from the
//! compiled definitions. What can be known both ways is compared.

use super::source::{self, Constant, Field, Module, Struct};
use std::string::String;
use std::vec::Vec;

/// The value of a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    Text(&'static str),
}

macro_rules! numbers {
    ($($type:ty),*) => { $(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Value::Number(value as u64)
            }
        }
    )* };
}
numbers!(u8, u16, u32, u64, usize);

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Value::Text(value)
    }
}

/// Lists what each source file defines, so that its compiled value can be had. A
/// definition that is missing here, or here but not in the source, is a panic.
macro_rules! sources {
    ($($file:ident as $module:path {
        constants: $($constant:ident)*;
        structs: $($struct:ident)*;
    })*) => {
        fn parse_sources() -> Vec<Module> {
            Vec::from([$(source::parse(
                stringify!($file),
                include_str!(concat!("../", stringify!($file), ".rs")),
            )),*])
        }

        fn compiled_values() -> Vec<(&'static str, Value)> {
            Vec::from([$($({
                use $module as module;
                (stringify!($constant), Value::from(module::$constant))
            },)*)*])
        }

        fn compiled_sizes() -> Vec<(&'static str, u64)> {
            Vec::from([$($({
                use $module as module;
                (stringify!($struct), size_of::<module::$struct>() as u64)
            },)*)*])
        }
    };
}

sources! {
    lib as crate {
        constants: ABI_MAJOR ABI_MINOR;
        structs: ;
    }
    calls as crate::calls {
        constants: CALL_NUMBERS;
        structs: ;
    }
    atomicity as crate::atomicity {
        constants: ;
        structs: ;
    }
    convention as crate::convention {
        constants: CALL_ENTRY_OFFSET TRAP_RETURN_OFFSET TASK_ENTRY_OFFSET MAX_RESULT ARGUMENTS;
        structs: ;
    }
    address_space as crate::address_space {
        constants: PAGE_SIZE IMAGE_LOWEST LINEAR_MAP_BASE STACKS_BASE STACKS_STRIDE
            SHARED_PAGES_BASE MONITOR_BASE LOWER_HALF_END;
        structs: ;
    }
    image_note as crate::image_note {
        constants: NOTE_OWNER NOTE_TYPE STACK_SIZE_MIN STACK_SIZE_MAX;
        structs: ImageNote;
    }
    start_info as crate::start_info {
        constants: START_INFO_MAGIC MEMORY_MAP_REGIONS COMMAND_LINE_MAX REGION_FREE
            REGION_IMAGE REGION_STACK REGION_INITRD RIGHT_READ RIGHT_WRITE RIGHT_EXECUTE;
        structs: MemoryRegion StartInfo;
    }
    trap as crate::trap {
        constants: TRAP_VECTORS SYSCALL_VECTOR UPCALL_VECTOR VECTOR_DE VECTOR_DB VECTOR_BP VECTOR_OF
            VECTOR_BR VECTOR_UD VECTOR_NM VECTOR_DF VECTOR_TS VECTOR_NP VECTOR_SS VECTOR_GP
            VECTOR_PF VECTOR_MF VECTOR_AC VECTOR_XM;
        structs: TrapState TrapHandler DebugRegisters TrapFrame;
    }
    stats as crate::stats {
        constants: BATCH_MAX BATCH_STOP_ON_ERROR;
        structs: Stats BatchEntry;
    }
    vcpu_page as crate::vcpu_page {
        constants: VCPU_PAGE_SIZE DEFERRED_CALLS RUN_STATE_STOPPED RUN_STATE_RUNNING
            RUN_STATE_RUNNABLE RUN_STATE_BLOCKED;
        structs: TaskState Clock VcpuPage;
    }
    mapping as crate::mapping {
        constants: TASK_AREA_START TASK_AREA_END LARGE_PAGE_SIZE ADDRESS_SPACES
            TRANSLATION_SEALED TRANSLATION_TASK;
        structs: Mapping Range Translation;
    }
    event as crate::event {
        constants: EVENT_PORTS EVENT_WORDS EVENT_PRIORITIES EVENT_PORTS_PER_PRIORITY
            TIMERS_MAX TIMER_PERIOD_MIN EVENT_SOURCE_CONSOLE EVENT_SOURCE_SHUTDOWN
            EVENT_SOURCE_GRANT EVENT_SOURCE_RESTORED EVENT_SOURCE_DEVICE EVENT_SOURCE_QUEUE;
        structs: EventPage;
    }
    time as crate::time {
        constants: CLOCK_TSC_STABLE NANOSECONDS;
        structs: Wallclock;
    }
    grant as crate::grant {
        constants: GRANTS;
        structs: Attachment Offer;
    }
    device as crate::device {
        constants: DEVICES DOORBELLS DEVICE_ID_MAX DEVICE_ACKNOWLEDGE DEVICE_DRIVER
            DEVICE_DRIVER_OK DEVICE_FEATURES_OK DEVICE_NEEDS_RESET DEVICE_FAILED;
        structs: DeviceInfo QueueSetup;
    }
    set as crate::set {
        constants: SET_ALL SET_SPARSE;
        structs: Set;
    }
    crash as crate::crash {
        constants: CRASH_PANIC CRASH_TRAP CRASH_MESSAGE_MAX;
        structs: CrashReport;
    }
}

/// Where the fields of a struct lie, by the rules of C.
#[derive(Debug)]
pub(super) struct Layout {
    pub size: u64,
    /// The offset and size of each field, in order.
    pub fields: Vec<(u64, u64)>,
    alignment: u64,
}

/// The definitions of the whole ABI.
pub(super) struct Definitions {
    pub modules: Vec<Module>,
    values: Vec<(&'static str, Value)>,
    layouts: Vec<Layout>,
}

impl Definitions {
    /// Reads and checks every definition.
    ///
    /// # Panics
    ///
    /// When the source has a form that the parser does not know, or does not agree with
    /// what was compiled from it.
    pub fn load() -> Self {
        let mut definitions = Self {
            modules: parse_sources(),
            values: compiled_values(),
            layouts: Vec::new(),
        };
        definitions.check_constants();
        let layouts = definitions.compute_layouts();
        definitions.layouts = layouts;
        definitions.check_layouts();
        definitions
    }

    /// The definitions of one source file.
    pub fn module(&self, name: &str) -> &Module {
        let found = self.modules.iter().find(|module| module.name == name);
        found.unwrap_or_else(|| panic!("there is no pv-abi/src/{name}.rs in sources!"))
    }

    /// Every struct, each behind those that it contains.
    pub fn structs(&self) -> impl Iterator<Item = &Struct> {
        self.modules.iter().flat_map(|module| &module.structs)
    }

    /// The struct of this (Rust) name.
    pub fn find_struct(&self, name: &str) -> Option<&Struct> {
        self.structs().find(|candidate| candidate.name == name)
    }

    /// The layout of a struct.
    pub fn layout(&self, name: &str) -> &Layout {
        let index = self.structs().position(|candidate| candidate.name == name);
        let layout = index.and_then(|index| self.layouts.get(index));
        layout.unwrap_or_else(|| {
            panic!("the layout of {name} is not known where it is used: list it first in sources!")
        })
    }

    /// The fields of a struct with their offsets and sizes.
    pub fn fields<'a>(&'a self, of: &'a Struct) -> impl Iterator<Item = (&'a Field, u64, u64)> {
        let placed = self.layout(&of.name).fields.iter();
        of.fields
            .iter()
            .zip(placed)
            .map(|(field, &(offset, size))| (field, offset, size))
    }

    /// The constants of a module with their values.
    pub fn constants<'a>(
        &'a self,
        module: &'a Module,
    ) -> impl Iterator<Item = (&'a Constant, Value)> {
        module.constants.iter().filter_map(|constant| {
            let value = self.value(&constant.name)?;
            Some((constant, value))
        })
    }

    /// The value of the constant of this name.
    pub fn value(&self, name: &str) -> Option<Value> {
        let found = self.values.iter().find(|(candidate, _)| *candidate == name);
        found.map(|(_, value)| *value)
    }

    /// The variants of an enum in a source file: name and documentation.
    pub fn variants<'a>(
        &'a self,
        module: &str,
        enumeration: &str,
    ) -> impl Iterator<Item = (&'a str, &'a [String])> + use<'a> {
        let mut enums = self.module(module).enums.iter();
        let found = enums.find(|candidate| candidate.name == enumeration);
        let variants = found.map_or(&[][..], |found| &found.variants);
        variants
            .iter()
            .map(|(name, docs)| (name.as_str(), docs.as_slice()))
    }

    /// The documentation of a variant of an enum in a source file.
    pub fn variant_docs(&self, module: &str, enumeration: &str, variant: &str) -> &[String] {
        let mut variants = self.variants(module, enumeration);
        match variants.find(|(name, _)| *name == variant) {
            Some((_, docs)) => docs,
            None => panic!("pv-abi/src/{module}.rs documents no {enumeration}::{variant}"),
        }
    }

    /// Size and alignment of a type, by the rules of C.
    fn size_and_alignment(&self, rust_type: &str, known: &[Layout]) -> (u64, u64) {
        if let Some((element, count)) = array_type(rust_type) {
            let (size, alignment) = self.size_and_alignment(element, known);
            return (size * self.array_length(count), alignment);
        }
        let size = match rust_type {
            "u8" | "i8" => 1,
            "u16" | "i16" => 2,
            "u32" | "i32" => 4,
            "u64" | "i64" => 8,
            name => {
                let index = self.structs().position(|candidate| candidate.name == name);
                return match index.and_then(|index| known.get(index)) {
                    Some(layout) => (layout.size, layout.alignment),
                    None => panic!("the type {name} is neither a scalar nor a struct before it"),
                };
            }
        };
        (size, size)
    }

    /// The length of an array: a number or the name of a constant.
    pub fn array_length(&self, length: &str) -> u64 {
        match (length.parse(), self.value(length)) {
            (Ok(number), _) | (_, Some(Value::Number(number))) => number,
            _ => panic!("the array length {length} is neither a number nor a constant"),
        }
    }

    fn compute_layouts(&self) -> Vec<Layout> {
        let mut layouts = Vec::new();
        for definition in self.structs() {
            let mut layout = Layout {
                size: 0,
                fields: Vec::new(),
                alignment: 1,
            };
            for field in &definition.fields {
                let (size, alignment) = self.size_and_alignment(&field.rust_type, &layouts);
                let offset = layout.size.next_multiple_of(alignment);
                layout.fields.push((offset, size));
                layout.size = offset + size;
                layout.alignment = layout.alignment.max(alignment);
            }
            layout.size = layout.size.next_multiple_of(layout.alignment);
            layouts.push(layout);
        }
        layouts
    }

    /// Compares the constants of the source with the list of compiled ones.
    fn check_constants(&self) {
        let mut parsed: Vec<&str> = Vec::new();
        for module in &self.modules {
            parsed.extend(
                module
                    .constants
                    .iter()
                    .map(|constant| constant.name.as_str()),
            );
        }
        let compiled: Vec<&str> = self.values.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            parsed, compiled,
            "the constants in pv-abi/src are not those that sources! in \
             pv-abi/src/render/definitions.rs lists; add the new one there"
        );
    }

    /// Compares the computed layouts with the compiled sizes and with the offsets that
    /// `pin_layout!` has had the compiler check.
    fn check_layouts(&self) {
        let computed: Vec<(&str, u64)> = self
            .structs()
            .map(|definition| (definition.name.as_str(), self.layout(&definition.name).size))
            .collect();
        assert_eq!(
            computed,
            compiled_sizes(),
            "the structs in pv-abi/src, or their sizes, are not those that sources! in \
             pv-abi/src/render/definitions.rs lists; add the new one there"
        );
        for definition in self.structs() {
            let name = &definition.name;
            let mut pins = self.modules.iter().flat_map(|module| &module.pins);
            let Some(pin) = pins.find(|pin| pin.struct_name == *name) else {
                panic!("no pin_layout! pins the published layout of {name}; add one");
            };
            assert_eq!(
                pin.size,
                self.layout(name).size,
                "the pinned size of {name}"
            );
            for (pinned, pinned_offset) in &pin.offsets {
                let mut fields = self.fields(definition);
                let found = fields.find(|(field, ..)| field.name == *pinned);
                let offset = found.map(|(_, offset, _)| offset);
                assert_eq!(
                    offset,
                    Some(*pinned_offset),
                    "the pinned offset of {name}::{pinned}"
                );
            }
        }
    }
}

/// Takes `[element; length]` apart.
pub(super) fn array_type(rust_type: &str) -> Option<(&str, &str)> {
    rust_type
        .strip_prefix('[')?
        .strip_suffix(']')?
        .split_once("; ")
}
