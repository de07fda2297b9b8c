//! Walks the stack of a crashed guest.
//!
//! Three ways from a frame to its caller, the surest first: the call frame
//! information of the image (`.eh_frame`, `.debug_frame`), the frame pointer chain,
//! and a look at the stack for words that point just behind a call instruction.
//! Image, registers and memory all belong to the guest, so every step is bounded and
//! anything that does not fit ends the walk: a short backtrace is better than a VMM
//! that hangs on a made-up one.

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, DebugFrame, EhFrame, Register, RegisterRule, UnwindContext,
    UnwindSection,
};
use serde::Serialize;

use super::debug_image::{Budget, Image, Reader};

/// Reads that one walk may make in the unwind sections. A guest kernel's `.eh_frame`
/// of 1 MiB is indexed with under two million.
const READS: u64 = 16 << 20;
/// The most frames of one walk: a trap frame can lead back to an earlier stack.
const MAX_FRAMES: usize = 1024;
/// Functions that are indexed by address (24 bytes each).
const MAX_FUNCTIONS: usize = 1 << 18;
/// Words of the stack that one step of the scan looks at: 4 KiB.
const SCANNED_WORDS: u64 = 512;
/// A call this close behind the entry point, from code without call frame
/// information, was made by the entry code: it has no caller.
const ENTRY_CODE_BYTES: u64 = 64;

/// How far into a function without call frame information the crash may be, so that
/// the word at the stack pointer still counts as its return address.
const ASSEMBLY_BYTES: u64 = 4096;

/// DWARF's numbers of the registers that the walk itself uses.
const RBX: usize = 3;
const RBP: usize = 6;
const RSP: usize = 7;
const RETURN_ADDRESS: usize = 16;
/// The sixteen general registers and the return address column.
const COLUMNS: usize = 17;

/// The registers of the vCPU at the moment of the crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The instruction pointer.
    pub rip: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The frame pointer, where code keeps one.
    pub rbp: u64,
    /// RAX.
    pub rax: u64,
    /// RBX.
    pub rbx: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// R8.
    pub r8: u64,
    /// R9.
    pub r9: u64,
    /// R10.
    pub r10: u64,
    /// R11.
    pub r11: u64,
    /// R12.
    pub r12: u64,
    /// R13.
    pub r13: u64,
    /// R14.
    pub r14: u64,
    /// R15.
    pub r15: u64,
}

/// How a frame was found, which says how far to believe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FoundBy {
    /// The instruction pointer itself.
    Registers,
    /// The image's call frame information: exact.
    CallFrameInfo,
    /// The chain of saved frame pointers: exact where all code keeps one.
    FramePointer,
    /// A word on the stack that points behind a call instruction: a guess, which may
    /// be left over from an earlier call.
    StackScan,
}

/// One active function call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where the function was executing.
    pub address: u64,
    /// Whether `address` is where a call returns to, so that the call itself, which
    /// may be of another line or even another function, ends at the byte before it.
    pub is_return_address: bool,
    /// How the frame was found.
    pub found_by: FoundBy,
}

impl Frame {
    /// An address inside the instruction that the frame was executing.
    fn executing(&self) -> u64 {
        self.address
            .saturating_sub(u64::from(self.is_return_address))
    }
}

/// The frames of a crashed guest, innermost first, at most `limit` of them and
/// never more than 1024.
///
/// `image` is the guest's static ELF file and `read_u64` reads eight bytes of guest
/// memory at a virtual address, or answers `None` where nothing is mapped. All three
/// may be hostile.
pub fn unwind(
    image: &[u8],
    registers: &Registers,
    read_u64: &dyn Fn(u64) -> Option<u64>,
    limit: usize,
) -> Vec<Frame> {
    let budget = Budget::new(READS);
    let image = Image::parse(image);
    let eh_section = image.section(".eh_frame");
    let mut eh_frame = EhFrame::from(Reader::new(eh_section.data, &budget));
    eh_frame.set_address_size(8);
    let bases = BaseAddresses::default().set_eh_frame(eh_section.address);
    let debug_section = image.section(".debug_frame");
    let mut debug_frame = DebugFrame::from(Reader::new(debug_section.data, &budget));
    debug_frame.set_address_size(8);
    let walker = Walker {
        image: &image,
        eh_frame: CallFrames::index(eh_frame, bases, &budget),
        debug_frame: CallFrames::index(debug_frame, BaseAddresses::default(), &budget),
        read_u64,
    };
    walker.walk(registers, limit)
}

/// What is known of the registers in one frame.
#[derive(Clone, Copy)]
struct State {
    frame: Frame,
    columns: [Option<u64>; COLUMNS],
}

impl State {
    fn at_crash(registers: &Registers) -> State {
        let r = registers;
        let general = [
            r.rax, r.rdx, r.rcx, r.rbx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
            r.r12, r.r13, r.r14, r.r15, r.rip,
        ];
        let frame = Frame {
            address: r.rip,
            is_return_address: false,
            found_by: FoundBy::Registers,
        };
        State {
            frame,
            columns: general.map(Some),
        }
    }

    /// The state of a caller that was found without call frame information: the
    /// callee may have changed every other register.
    fn caller(address: u64, rsp: u64, rbp: Option<u64>, found_by: FoundBy) -> State {
        let mut columns = [None; COLUMNS];
        columns[RSP] = Some(rsp);
        columns[RBP] = rbp;
        State {
            frame: Frame {
                address,
                is_return_address: true,
                found_by,
            },
            columns,
        }
    }

    fn column(&self, register: Register) -> Option<u64> {
        self.columns.get(usize::from(register.0)).copied().flatten()
    }
}

/// What one way to the caller found out; where it found nothing, the next is tried.
#[expect(clippy::large_enum_variant, reason = "one at a time, never stored")]
enum Step {
    Caller(State),
    Outermost,
}

struct Walker<'a, 'm> {
    image: &'m Image<'a>,
    eh_frame: CallFrames<'m, EhFrame<Reader<'m>>>,
    debug_frame: CallFrames<'m, DebugFrame<Reader<'m>>>,
    read_u64: &'m dyn Fn(u64) -> Option<u64>,
}

impl Walker<'_, '_> {
    fn walk(&self, registers: &Registers, limit: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut next = Some(State::at_crash(registers));
        while let Some(state) = next
            && frames.len() < limit.min(MAX_FRAMES)
        {
            frames.push(state.frame);
            next = self.caller(&state);
        }
        frames
    }

    fn caller(&self, state: &State) -> Option<State> {
        let step = self
            .by_call_frame_info(state)
            .or_else(|| self.by_stack_top(state))
            .or_else(|| self.by_frame_pointer(state))
            .or_else(|| self.by_stack_scan(state).map(Step::Caller))?;
        match step {
            Step::Caller(caller) => Some(caller),
            Step::Outermost => None,
        }
    }

    fn by_call_frame_info(&self, state: &State) -> Option<Step> {
        let step = self
            .eh_frame
            .caller(state, self.read_u64)
            .or_else(|| self.debug_frame.caller(state, self.read_u64))?;
        match step {
            // Whoever called from outside the image's text is not ours to follow.
            Step::Caller(caller) if !self.image.is_text(caller.frame.executing()) => {
                Some(Step::Outermost)
            }
            step => Some(step),
        }
    }

    /// The caller of the assembly that the guest crashed in, such as the stub that
    /// reported the crash. It has no frame and no call frame information: the frame
    /// pointer is its caller's or some caller's of that, and would lose those between.
    fn by_stack_top(&self, state: &State) -> Option<Step> {
        if state.frame.found_by != FoundBy::Registers {
            return None;
        }
        let rsp = state.columns[RSP]?;
        let address = (self.read_u64)(rsp)?;
        let target = self.image.call_target(address, self.read_u64)?;
        if state.frame.address.checked_sub(target)? >= ASSEMBLY_BYTES {
            return None;
        }
        let rbp = state.columns[RBP];
        let caller = State::caller(address, rsp.checked_add(8)?, rbp, FoundBy::StackScan);
        Some(Step::Caller(caller))
    }

    fn by_frame_pointer(&self, state: &State) -> Option<Step> {
        let pc = state.frame.executing();
        if !self.image.is_text(pc) {
            return None;
        }
        let entered = state.frame.is_return_address
            && pc
                .checked_sub(self.image.entry)
                .is_some_and(|past| past < ENTRY_CODE_BYTES);
        // A frame pointer of 0, the psABI's mark of the outermost frame, says nothing:
        // where frame pointers are not kept, the register holds any value.
        if entered {
            return Some(Step::Outermost);
        }
        self.saved_frame(state).map(Step::Caller)
    }

    /// The caller by the frame pointer, if that points at what a frame looks like.
    fn saved_frame(&self, state: &State) -> Option<State> {
        let rbp = state.columns[RBP]?;
        if !rbp.is_multiple_of(8) || state.columns[RSP].is_some_and(|rsp| rbp < rsp) {
            return None;
        }
        let address = (self.read_u64)(rbp.checked_add(8)?)?;
        if !self.image.follows_call(address) {
            return None;
        }
        let saved = (self.read_u64)(rbp)?;
        Some(State::caller(
            address,
            rbp.checked_add(16)?,
            Some(saved),
            FoundBy::FramePointer,
        ))
    }

    /// The first word on the stack that can be a return address. After a jump to
    /// nowhere that is normally the word at the stack pointer: where the wild call
    /// was to return to.
    fn by_stack_scan(&self, state: &State) -> Option<State> {
        let bottom = state.columns[RSP]?.checked_next_multiple_of(8)?;
        for word in 0..SCANNED_WORDS {
            let slot = bottom.checked_add(word.checked_mul(8)?)?;
            let address = (self.read_u64)(slot)?;
            if self.image.follows_call(address) {
                // What lies below the slot is the callee's: a frame pointer into it
                // is not the caller's.
                let rbp = state.columns[RBP].filter(|&rbp| rbp > slot);
                let rsp = slot.checked_add(8)?;
                return Some(State::caller(address, rsp, rbp, FoundBy::StackScan));
            }
        }
        None
    }
}

/// One section of call frame information with an index of its functions.
struct CallFrames<'a, S: UnwindSection<Reader<'a>>> {
    section: S,
    bases: BaseAddresses,
    /// First address, end and entry of each function, by address.
    functions: Vec<(u64, u64, S::Offset)>,
    budget: &'a Budget,
}

impl<'a, S: UnwindSection<Reader<'a>>> CallFrames<'a, S> {
    /// Indexes `section` up to its end, its first error or what the budget allows.
    fn index(section: S, bases: BaseAddresses, budget: &'a Budget) -> Self {
        // A hostile index must leave reads for the steps.
        let functions = budget.at_most(READS / 4, || Self::functions(&section, &bases));
        CallFrames {
            section,
            bases,
            functions,
            budget,
        }
    }

    fn functions(section: &S, bases: &BaseAddresses) -> Vec<(u64, u64, S::Offset)> {
        let mut functions = Vec::new();
        let mut last_cie = None;
        let mut entries = section.entries(bases);
        while functions.len() < MAX_FUNCTIONS
            && let Ok(Some(entry)) = entries.next()
        {
            let CieOrFde::Fde(partial) = entry else {
                continue;
            };
            // Neighbours mostly share one CIE; it need not be parsed for each.
            let fde = partial.parse(|section, bases, offset| match &last_cie {
                Some((at, cie)) if *at == offset => Ok(Clone::clone(cie)),
                _ => {
                    let cie = section.cie_from_offset(bases, offset)?;
                    last_cie = Some((offset, cie.clone()));
                    Ok(cie)
                }
            });
            let Ok(fde) = fde else {
                continue;
            };
            let (start, end) = (fde.initial_address(), fde.end_address());
            if start < end {
                functions.push((start, end, S::Offset::from(fde.offset())));
            }
        }
        functions.sort_unstable_by_key(|function| function.0);
        functions
    }

    /// The caller of `state`, if its function has usable information here.
    fn caller(&self, state: &State, read_u64: &dyn Fn(u64) -> Option<u64>) -> Option<Step> {
        let pc = state.frame.executing();
        let after = self.functions.partition_point(|function| function.0 <= pc);
        let &(_, end, offset) = self.functions.get(after.checked_sub(1)?)?;
        if pc >= end {
            return None;
        }
        // A share of the budget for each step, or the first hostile function would
        // leave nothing for the frames behind it.
        self.budget.at_most(READS / 64, || {
            self.caller_by_entry(offset, pc, state, read_u64)
        })
    }

    fn caller_by_entry(
        &self,
        offset: S::Offset,
        pc: u64,
        state: &State,
        read_u64: &dyn Fn(u64) -> Option<u64>,
    ) -> Option<Step> {
        let fde = self
            .section
            .fde_from_offset(&self.bases, offset, S::cie_from_offset)
            .ok()?;
        let mut context = UnwindContext::new();
        let row = fde
            .unwind_info_for_address(&self.section, &self.bases, &mut context, pc)
            .ok()?;
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                state.column(*register)?.checked_add_signed(*offset)?
            }
            // Compilers emit expressions only for the PLT and for signal frames of
            // an operating system; a static guest has neither.
            CfaRule::Expression(_) => return None,
        };
        let is_trap = fde.is_signal_trampoline();
        // Only a trap handler may run on a lower stack than what it interrupted.
        if !is_trap && state.columns[RSP].is_none_or(|rsp| cfa <= rsp) {
            return Some(Step::Outermost);
        }
        let mut columns = [None; COLUMNS];
        for (number, value) in columns.iter_mut().enumerate() {
            let register = Register(number as u16);
            let current = state.column(register);
            *value = match row.register(register) {
                Some(RegisterRule::SameValue) => current,
                Some(RegisterRule::Offset(offset)) => {
                    cfa.checked_add_signed(offset).and_then(read_u64)
                }
                Some(RegisterRule::ValOffset(offset)) => cfa.checked_add_signed(offset),
                Some(RegisterRule::Register(other)) => state.column(other),
                Some(_) => None,
                // No rule: what the psABI has a callee preserve is as it was.
                None => match number {
                    RSP => Some(cfa),
                    RBX | RBP | 12..=15 => current,
                    _ => None,
                },
            };
        }
        let return_column = fde.cie().return_address_register();
        if matches!(row.register(return_column), Some(RegisterRule::Undefined)) {
            return Some(Step::Outermost);
        }
        let address = columns
            .get(usize::from(return_column.0))
            .copied()
            .flatten()?;
        // An entry point is given 0 to return to.
        if address == 0 {
            return Some(Step::Outermost);
        }
        columns[RETURN_ADDRESS] = Some(address);
        let frame = Frame {
            address,
            is_return_address: !is_trap,
            found_by: FoundBy::CallFrameInfo,
        };
        Some(Step::Caller(State { frame, columns }))
    }
}
