//! Traps: the guest's handlers of exceptions.
//!
//! A handler runs on the trap stack, with all registers of the interrupted code saved, and may
//! do what other code may: call, print, trap. What it may not do is wait for the code that it
//! interrupted, such as for a lock that that code holds.

#![allow(unsafe_code)]

mod entry;
mod frame;
pub(crate) mod saved;

pub use frame::{PageFault, TrapFrame};
pub use saved::VectorState;

use crate::thread::{self, Thread};
use crate::vcpu::words;
use crate::{access, address, crash, event, hypercall::raw, upcall, vcpu};
use core::fmt;
use core::sync::atomic::{AtomicPtr, Ordering};
use pv_abi::Errno;
use pv_abi::address_space::{IMAGE_LOWEST, PAGE_SIZE};
use pv_abi::crash::CRASH_TRAP;
use pv_abi::trap::{
    self as abi, SYSCALL_VECTOR, TRAP_VECTORS, TrapHandler as TableEntry, UPCALL_VECTOR,
    vector_name,
};

/// The vector of a trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector(pub u32);

impl Vector {
    /// #DE, divide error.
    pub const DE: Self = Self(abi::VECTOR_DE);
    /// #DB, debug exception.
    pub const DB: Self = Self(abi::VECTOR_DB);
    /// #BP, breakpoint.
    pub const BP: Self = Self(abi::VECTOR_BP);
    /// #UD, invalid opcode.
    pub const UD: Self = Self(abi::VECTOR_UD);
    /// #NM, device not available.
    pub const NM: Self = Self(abi::VECTOR_NM);
    /// #NP, segment not present.
    pub const NP: Self = Self(abi::VECTOR_NP);
    /// #SS, stack-segment fault.
    pub const SS: Self = Self(abi::VECTOR_SS);
    /// #GP, general protection.
    pub const GP: Self = Self(abi::VECTOR_GP);
    /// #PF, page fault.
    pub const PF: Self = Self(abi::VECTOR_PF);
    /// #MF, x87 floating-point error.
    pub const MF: Self = Self(abi::VECTOR_MF);
    /// #AC, alignment check.
    pub const AC: Self = Self(abi::VECTOR_AC);
    /// #XM, SIMD floating-point exception.
    pub const XM: Self = Self(abi::VECTOR_XM);
    /// The SYSCALL instruction; it arrives once [`enable_syscall`] was called.
    pub const SYSCALL: Self = Self(SYSCALL_VECTOR);

    /// An upcall: an event waits. It arrives once [`enable_upcalls`] was called, at the function
    /// of [`set_upcall_handler`].
    pub const UPCALL: Self = Self(UPCALL_VECTOR);

    /// The place of its handler.
    fn slot(self) -> Option<&'static AtomicPtr<()>> {
        match self.0 {
            SYSCALL_VECTOR => HANDLERS.get(TRAP_VECTORS),
            vector => HANDLERS[..TRAP_VECTORS].get(vector as usize),
        }
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match vector_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "vector {}", self.0),
        }
    }
}

/// What becomes of the interrupted code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Resume {
    /// It goes on with the registers of the frame.
    Resume,
    /// The handler has no answer to this trap: it ends the guest as a crash.
    Unhandled,
}

/// A handler of a trap.
pub type Handler = fn(&mut TrapFrame) -> Resume;

/// The handlers: one for each vector and, last, that of SYSCALL. Null where there is none.
static HANDLERS: [AtomicPtr<()>; TRAP_VECTORS + 1] =
    [const { AtomicPtr::new(core::ptr::null_mut()) }; TRAP_VECTORS + 1];

/// Where the traps of tasks go: they do not return to what they interrupted.
pub type TaskTrap = fn(&mut TrapFrame, &mut VectorState) -> !;

static TASK_TRAP: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets where traps, system calls and upcalls go that interrupt a task. Upcalls are masked there.
pub fn set_task_trap(handler: TaskTrap) {
    TASK_TRAP.store(handler as *mut (), Ordering::Release);
}

/// Sets the handler of a vector, on every vCPU, and returns the one before it.
///
/// # Panics
///
/// For a vector that there is not: above 31, and not [`Vector::SYSCALL`].
pub fn set_handler(vector: Vector, handler: Handler) -> Option<Handler> {
    replace(vector, handler as *mut ())
}

/// Takes the handler of a vector away, so that such a trap ends the guest as a crash.
///
/// # Panics
///
/// As [`set_handler`].
pub fn clear_handler(vector: Vector) -> Option<Handler> {
    replace(vector, core::ptr::null_mut())
}

fn replace(vector: Vector, handler: *mut ()) -> Option<Handler> {
    let Some(slot) = vector.slot() else {
        panic!("there is no {vector}: a handler's vector is 0 to 31, or SYSCALL");
    };
    // SAFETY: only `set_handler` puts pointers there.
    unsafe { as_handler(slot.swap(handler, Ordering::AcqRel)) }
}

/// The handler that a pointer of [`HANDLERS`] stands for.
///
/// # Safety
///
/// The pointer is null or was made of a [`Handler`].
unsafe fn as_handler(pointer: *mut ()) -> Option<Handler> {
    // SAFETY: an `Option` of a function pointer is that pointer, or null for `None`.
    unsafe { core::mem::transmute(pointer) }
}

/// Makes all traps of this vCPU arrive at the SDK.
pub(crate) fn init(hypercall_page: u64) {
    entry::init(hypercall_page);
    register();
}

/// Makes all traps of this vCPU arrive at the SDK, again, after another table was set by
/// [`trap_set_table`](raw::trap_set_table).
pub fn register() {
    let table = [TableEntry {
        handler: entry::address(),
        flags: 0,
    }; TRAP_VECTORS];
    // SAFETY: the code at that address takes traps as the ABI delivers them.
    let set = unsafe { raw::trap_set_table(address::of(&table), TRAP_VECTORS as u32) };
    if let Err(error) = set {
        panic!("trap_set_table failed: {error}");
    }
}

/// Makes the SYSCALL instruction arrive at the handler of [`Vector::SYSCALL`].
/// Needs [`Features::SYSCALL_ENTRY`](pv_abi::Features::SYSCALL_ENTRY).
///
/// # Errors
///
/// [`Errno::ENOSYS`] without the feature.
pub fn enable_syscall() -> Result<(), Errno> {
    // SAFETY: the code at that address takes traps as the ABI delivers them.
    unsafe { raw::trap_set_syscall(entry::address()) }.map(drop)
}

/// What handles upcalls: it takes the events that wait. It runs with upcalls masked, and may
/// replace registers and vector state, so that something else goes on than what was interrupted,
/// unless that is the SDK's trap code ([`TrapFrame::is_trap_code`]).
pub type UpcallHandler = fn(&mut TrapFrame, &mut VectorState);

static UPCALL: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Sets the handler of upcalls, on every vCPU.
pub fn set_upcall_handler(handler: UpcallHandler) {
    UPCALL.store(handler as *mut (), Ordering::Release);
}

/// Whether this is the handler of upcalls.
pub(crate) fn is_upcall_handler(handler: UpcallHandler) -> bool {
    UPCALL.load(Ordering::Acquire) == handler as *mut ()
}

/// Makes upcalls arrive at the function of [`set_upcall_handler`], on this vCPU; they are masked
/// until somebody unmasks them. Needs [`Features::EVENTS`](pv_abi::Features::EVENTS).
///
/// # Errors
///
/// [`Errno::ENOSYS`] without the feature.
pub fn enable_upcalls() -> Result<(), Errno> {
    // SAFETY: the code at that address takes traps as the ABI delivers them.
    unsafe { raw::trap_set_upcall(entry::address()) }.map(drop)
}

/// A trap has arrived, and upcalls are masked; `masked` says whether they were before. When this
/// returns the interrupted code goes on.
fn arrived(frame: &mut TrapFrame, vector_state: &mut VectorState, masked: bool, from_task: bool) {
    if from_task {
        // SAFETY: only `set_task_trap` puts pointers there, and an `Option` of a function pointer
        // is that pointer, or null for `None`.
        let handler: Option<TaskTrap> =
            unsafe { core::mem::transmute(TASK_TRAP.load(Ordering::Acquire)) };
        match handler {
            Some(handler) => handler(frame, vector_state),
            None => crash::crash(
                CRASH_TRAP,
                Some(frame),
                format_args!("a task trapped, and nobody runs tasks"),
            ),
        }
    }
    // The VMM has masked upcalls to deliver one, and delivers none while they are masked.
    let masked = if frame.vector() == Vector::UPCALL {
        upcall::while_masked(|| upcall(frame, vector_state));
        false
    } else {
        upcall::while_masked(|| dispatch(frame));
        masked
    };
    if !masked {
        unmask_upcalls(frame, vector_state);
    }
}

fn upcall(frame: &mut TrapFrame, vector_state: &mut VectorState) {
    // SAFETY: only `set_upcall_handler` puts pointers there; see `arrived`.
    let handler: Option<UpcallHandler> =
        unsafe { core::mem::transmute(UPCALL.load(Ordering::Acquire)) };
    if let Some(handler) = handler {
        handler(frame, vector_state);
    }
}

/// Unmasks upcalls, and handles those that came meanwhile: for them no upcall is delivered.
fn unmask_upcalls(frame: &mut TrapFrame, vector_state: &mut VectorState) {
    while event::unmask_upcalls() && !UPCALL.load(Ordering::Relaxed).is_null() {
        event::mask_upcalls();
        upcall::while_masked(|| upcall(frame, vector_state));
    }
}

/// Calls the handler of a trap. When it returns the interrupted code goes on.
fn dispatch(frame: &mut TrapFrame) {
    if access::recover(frame) {
        return;
    }
    if let Some(slot) = frame.vector().slot()
        // SAFETY: only `set_handler` puts pointers there.
        && let Some(handler) = unsafe { as_handler(slot.load(Ordering::Acquire)) }
        && handler(frame) == Resume::Resume
    {
        return;
    }
    crash::crash(
        CRASH_TRAP,
        Some(frame),
        format_args!("{}", Unhandled(frame)),
    );
}

/// Says what an unhandled trap was, and what it may have come from.
struct Unhandled<'a>(&'a TrapFrame);

impl fmt::Display for Unhandled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vector = self.0.vector();
        let rip = self.0.rip;
        write!(f, "unhandled {vector}")?;
        match self.0.page_fault() {
            Some(fault) => {
                let access = match fault {
                    PageFault { fetch: true, .. } => "executing",
                    PageFault { write: true, .. } => "writing",
                    _ => "reading",
                };
                write!(f, " {access} {:#x} at rip {rip:#x}: ", fault.address)?;
                explain(fault, f)
            }
            None if vector == Vector::GP => write!(
                f,
                " at rip {rip:#x}, error code {:#x}: a privileged instruction, or an address \
                 that is not canonical",
                self.0.error
            ),
            None => write!(f, " at rip {rip:#x}"),
        }
    }
}

fn explain(fault: PageFault, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(stack) = FullStack::at(fault.address) {
        return write!(f, "{stack}");
    }
    match fault {
        PageFault { present: true, .. } => f.write_str("the guest has no such right to that page"),
        _ if fault.address < IMAGE_LOWEST => f.write_str("a null pointer"),
        _ => f.write_str("nothing is mapped there"),
    }
}

/// A stack of the running vCPU or thread that is full.
enum FullStack {
    /// The one that the guest began on, of so many bytes.
    Boot(u64),
    /// The one that traps are handled on.
    Trap(u64),
    /// The one that a vCPU was started on.
    Vcpu,
    /// A thread's.
    Thread(Thread),
}

impl FullStack {
    /// The stack below which the guard page with an address lies.
    fn at(address: u64) -> Option<Self> {
        let guards = |lowest: u64| (lowest.saturating_sub(PAGE_SIZE)..lowest).contains(&address);
        let (boot, trap) = (vcpu::boot_stack(), vcpu::trap_stack());
        if guards(boot.start) {
            return Some(Self::Boot(boot.end - boot.start));
        }
        if guards(trap.start) {
            return Some(Self::Trap(trap.end - trap.start));
        }
        if guards(words::load::<{ words::STACK }>()) {
            return Some(Self::Vcpu);
        }
        thread::try_current()
            .filter(|thread| guards(thread.stack().start))
            .map(Self::Thread)
    }
}

impl fmt::Display for FullStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot(size) => write!(
                f,
                "the boot stack of {} KiB is full (stack_size(...) in entry! makes it larger)",
                size >> 10
            ),
            Self::Trap(size) => write!(f, "the trap stack of {} KiB is full", size >> 10),
            Self::Vcpu => write!(f, "the stack of vCPU {} is full", vcpu::id()),
            Self::Thread(thread) => {
                let stack = thread.stack();
                write!(
                    f,
                    "the stack of {thread}, of {} KiB, is full (thread::Builder::stack_size \
                     makes it larger)",
                    (stack.end - stack.start) >> 10
                )
            }
        }
    }
}
