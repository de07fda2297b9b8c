//! Naming the system call that was not allowed, for tests.
#![allow(unsafe_code)]

use std::io::{Cursor, Write};
use std::mem::zeroed;
use std::ptr::null_mut;
use syscalls::Sysno;

/// What a shell says of a process that SIGSYS has ended.
const EXIT_CODE: i32 = 128 + libc::SIGSYS;

/// `siginfo_t` of SIGSYS, as far as it is used (sigaction(2)).
#[repr(C)]
struct SigsysInfo {
    number: libc::c_int,
    error: libc::c_int,
    code: libc::c_int,
    call_address: u64,
    call: libc::c_int,
    architecture: libc::c_uint,
}

extern "C" fn handle(_signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel gives both, valid for the time of the handler; `SigsysInfo` is what it has
    // filled in for this signal.
    let (call, registers) = unsafe {
        (
            (*info.cast::<SigsysInfo>()).call,
            (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs,
        )
    };
    let argument = |register: libc::c_int| registers[register as usize];
    let name = usize::try_from(call).ok().and_then(Sysno::new);
    // On the stack: a handler may not allocate.
    let mut text = Cursor::new([0; 240]);
    // What does not fit is cut off.
    let _ = writeln!(
        text,
        "paravane: the sandbox does not allow the system call {} ({call}) with {:#x}, {:#x}, {:#x}",
        name.map_or("unknown", |name| name.name()),
        argument(libc::REG_RDI),
        argument(libc::REG_RSI),
        argument(libc::REG_RDX),
    );
    let size = text.position() as usize;
    // SAFETY: the text is alive, and so long. Both calls are among those that a handler may make.
    unsafe {
        libc::write(libc::STDERR_FILENO, text.get_ref().as_ptr().cast(), size);
        libc::_exit(EXIT_CODE);
    }
}

/// Has SIGSYS say what its cause was and end the process.
pub fn install_handler() {
    // SAFETY: all zero is a valid sigaction; the handler does only what one may.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction =
            handle as extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGSYS, &action, null_mut());
    }
}
