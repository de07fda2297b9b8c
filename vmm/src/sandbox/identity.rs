//! Who a process is, and what it may do beyond that.
#![allow(unsafe_code)]

use super::error::SandboxError;

/// A user and a group to become. Both are numbers that nobody else has, one pair for each VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group; the process is in no other.
    pub gid: u32,
}

/// CAP_NET_ADMIN (Linux, include/uapi/linux/capability.h).
pub const CAP_NET_ADMIN: u32 = 12;

/// The highest number that a capability can have in this version of capset(2).
const CAPABILITIES: u32 = 64;

/// _LINUX_CAPABILITY_VERSION_3.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// `__user_cap_header_struct`.
#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `__user_cap_data_struct`, of 32 capabilities.
#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// What concerns the whole process: nobody else may read what it makes, it leaves no core with a
/// guest's memory, and no other process of its user may trace it.
pub fn close_up() -> Result<(), SandboxError> {
    let none = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the calls take numbers, and a pointer to a live value.
    unsafe {
        libc::umask(0o077);
        if libc::setrlimit(libc::RLIMIT_CORE, &none) != 0 {
            return Err(SandboxError::last("setting the limit of core files to 0"));
        }
        set_undumpable()
    }
}

fn set_undumpable() -> Result<(), SandboxError> {
    // SAFETY: the call takes numbers.
    match unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(SandboxError::last("making the process not dumpable")),
    }
}

/// Becomes somebody else, for good, in all threads.
pub fn change(identity: Identity) -> Result<(), SandboxError> {
    let Identity { uid, gid } = identity;
    // The C library's functions, and not the system calls, which would change this thread only.
    // SAFETY: the calls take numbers; setgroups reads no list of length 0.
    unsafe {
        if libc::setgroups(0, std::ptr::null()) != 0 {
            return Err(SandboxError::last("leaving all groups"));
        }
        if libc::setresgid(gid, gid, gid) != 0 {
            return Err(SandboxError::last("changing the group"));
        }
        if libc::setresuid(uid, uid, uid) != 0 {
            return Err(SandboxError::last("changing the user"));
        }
    }
    // Another user's process becomes dumpable by a rule of fs.suid_dumpable.
    set_undumpable()
}

/// The user that the process runs as.
pub fn uid() -> u32 {
    // SAFETY: it has no precondition.
    unsafe { libc::geteuid() }
}

/// Takes all capabilities from what the current thread could gain. It is called in signal handlers.
///
/// That takes CAP_SETPCAP, which root has and loses with its identity. Who has it not gains nothing by
/// the set either, because execve(2) is denied: so nothing is said of a failure.
pub fn drop_bounding_set() {
    for capability in 0..CAPABILITIES {
        let capability = libc::c_ulong::from(capability);
        // SAFETY: the call takes numbers.
        let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
        // EINVAL is the end of the list of what this kernel knows, EPERM that nothing may be done.
        if result != 0 {
            return;
        }
    }
}

/// Takes all capabilities from the current thread, but those whose bits are in `kept`: 0, or the
/// errno. It is called in signal handlers.
pub fn drop_capabilities(kept: u64) -> i32 {
    // SAFETY: the calls take numbers and pointers to live values of the layouts that they expect.
    unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong,
            0,
            0,
            0,
        );
        let mut header = Header {
            version: CAPABILITY_VERSION,
            pid: 0,
        };
        let mut data = [Data {
            effective: 0,
            permitted: 0,
            inheritable: 0,
        }; 2];
        if libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) != 0 {
            return errno();
        }
        // None can be had that is not there.
        for (half, data) in data.iter_mut().enumerate() {
            let kept = (kept >> (32 * half)) as u32;
            data.effective &= kept;
            data.permitted &= kept;
            data.inheritable = 0;
        }
        match libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) {
            0 => 0,
            _ => errno(),
        }
    }
}

/// No execve(2) gives this thread, or one that it starts, what it has not: 0, or the errno.
pub fn set_no_new_privileges() -> i32 {
    // SAFETY: the call takes numbers.
    match unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } {
        0 => 0,
        _ => errno(),
    }
}

/// The errno of the current thread.
pub fn errno() -> i32 {
    // SAFETY: the pointer is to this thread's own.
    unsafe { *libc::__errno_location() }
}
