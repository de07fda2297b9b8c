//! The system calls that each kind of thread needs: those of this program, and of Rust's standard
//! library, tokio and glibc below it. Found by strace, and where a path is seldom taken by reading.

use super::filter::{Allowed, Check, any, is, lacks, when};
use crate::sandbox::needs::DeviceWork;
use libc::*;

/// Calls that answer ENOSYS. clone3 has its flags in memory, where no filter can see them; who gets
/// this answer uses clone, which is checked.
pub const REFUSED: &[c_long] = &[SYS_clone3];

const PROT: u32 = PROT_EXEC as u32;

/// A thread of this process, and no process and no namespace: clone's first argument.
const NEW_THREAD: Check = Check::Masked(
    0,
    (CLONE_THREAD
        | CLONE_NEWNS
        | CLONE_NEWCGROUP
        | CLONE_NEWUTS
        | CLONE_NEWIPC
        | CLONE_NEWUSER
        | CLONE_NEWPID
        | CLONE_NEWNET) as u32,
    CLONE_THREAD as u32,
);

/// PR_SET_VMA, by which glibc names its memory.
const PR_SET_VMA: u32 = 0x5356_4d41;

/// PR_GET_AUXV, by which rustix finds the vDSO the first time that it reads a clock.
const PR_GET_AUXV: u32 = 0x4155_5856;

/// ioctl(2)'s second argument is a request of this type (Linux,
/// Documentation/userspace-api/ioctl/ioctl-number.rst).
const fn request_of_type(kind: u8) -> Check {
    Check::Masked(1, 0xff00, (kind as u32) << 8)
}

const KVM: u8 = 0xae;
const USERFAULTFD: u8 = 0xaa;
const BLOCK_DEVICE: u8 = 0x12;
/// KVM_GET_STATS_FD.
const KVM_GET_STATS_FD: u32 = 0xaece;
/// TCGETS2, TCSETS2, TCSETSW2 and TCSETSF2 (asm-generic/ioctls.h), which rustix uses.
const TERMINAL: [u32; 4] = [0x802c_542a, 0x402c_542b, 0x402c_542c, 0x402c_542d];

/// What every thread does.
pub const ALWAYS: &[Allowed] = &[
    // Descriptors that it has.
    any(SYS_read),
    any(SYS_write),
    any(SYS_readv),
    any(SYS_writev),
    any(SYS_pread64),
    any(SYS_pwrite64),
    any(SYS_lseek),
    any(SYS_close),
    any(SYS_fstat),
    any(SYS_poll),
    any(SYS_ppoll),
    // tokio's handler of signals writes to a socket, in whatever thread a signal comes, and each
    // runtime may read it. Nothing is sent to an address.
    when(SYS_sendto, &[is(5, 0)]),
    any(SYS_recvfrom),
    when(SYS_fcntl, &[is(1, F_GETFD as u32)]),
    when(SYS_fcntl, &[is(1, F_SETFD as u32)]),
    when(SYS_fcntl, &[is(1, F_GETFL as u32)]),
    when(SYS_fcntl, &[is(1, F_SETFL as u32)]),
    when(SYS_fcntl, &[is(1, F_DUPFD_CLOEXEC as u32)]),
    // Which of them is open to it says Landlock. A panic looks for its own program.
    any(SYS_open),
    any(SYS_openat),
    any(SYS_statx),
    any(SYS_newfstatat),
    any(SYS_readlink),
    any(SYS_getcwd),
    // Memory, and none that is code.
    when(SYS_mmap, &[lacks(2, PROT)]),
    when(SYS_mprotect, &[lacks(2, PROT)]),
    any(SYS_munmap),
    any(SYS_mremap),
    any(SYS_madvise),
    any(SYS_brk),
    any(SYS_membarrier),
    // Waiting, and time where the vDSO does not know it.
    any(SYS_futex),
    any(SYS_sched_yield),
    any(SYS_nanosleep),
    any(SYS_clock_nanosleep),
    any(SYS_clock_gettime),
    any(SYS_restart_syscall),
    // Signals, to threads of this process.
    any(SYS_rt_sigaction),
    any(SYS_rt_sigprocmask),
    any(SYS_rt_sigreturn),
    any(SYS_sigaltstack),
    when(SYS_tgkill, &[Check::OwnProcess(0)]),
    // Itself.
    any(SYS_gettid),
    any(SYS_getpid),
    any(SYS_getrandom),
    any(SYS_sched_getaffinity),
    any(SYS_sysinfo),
    any(SYS_set_robust_list),
    any(SYS_rseq),
    any(SYS_exit),
    any(SYS_exit_group),
    when(SYS_prctl, &[is(0, PR_SET_NAME as u32)]),
    when(SYS_prctl, &[is(0, PR_SET_TIMERSLACK as u32)]),
    when(SYS_prctl, &[is(0, PR_SET_VMA)]),
    when(SYS_prctl, &[is(0, PR_GET_AUXV)]),
    when(SYS_prlimit64, &[is(0, 0)]),
];

/// tokio's runtime, and starting threads.
pub const RUNTIME: &[Allowed] = &[
    any(SYS_epoll_create1),
    any(SYS_epoll_ctl),
    any(SYS_epoll_wait),
    any(SYS_epoll_pwait),
    any(SYS_eventfd2),
    any(SYS_clone3),
    when(SYS_clone, &[NEW_THREAD]),
];

/// Putting a thread under its own filter.
pub const NARROW: &[Allowed] = &[
    when(SYS_prctl, &[is(0, PR_SET_NO_NEW_PRIVS as u32)]),
    when(SYS_seccomp, &[is(0, SECCOMP_SET_MODE_FILTER), is(1, 0)]),
];

/// Clients, log, reports, and the terminal.
pub const CONTROL: &[Allowed] = &[
    when(SYS_socketpair, &[is(0, AF_UNIX as u32)]),
    any(SYS_accept4),
    any(SYS_sendmsg),
    any(SYS_recvmsg),
    any(SYS_shutdown),
    any(SYS_getsockopt),
    any(SYS_setsockopt),
    any(SYS_getsockname),
    any(SYS_getpeername),
    any(SYS_dup),
    any(SYS_rename),
    any(SYS_renameat),
    any(SYS_renameat2),
    any(SYS_unlink),
    any(SYS_unlinkat),
    // A snapshot's folder.
    any(SYS_mkdir),
    any(SYS_mkdirat),
    any(SYS_rmdir),
    any(SYS_ftruncate),
    any(SYS_fsync),
    any(SYS_fdatasync),
    any(SYS_getdents64),
    any(SYS_mincore),
    any(SYS_timer_delete),
    any(SYS_getuid),
    any(SYS_geteuid),
    any(SYS_getpgrp),
    any(SYS_uname),
    when(SYS_ioctl, &[is(1, TCGETS as u32)]),
    when(SYS_ioctl, &[is(1, TCSETS as u32)]),
    when(SYS_ioctl, &[is(1, TCSETSW as u32)]),
    when(SYS_ioctl, &[is(1, TCSETSF as u32)]),
    when(SYS_ioctl, &[is(1, TERMINAL[0])]),
    when(SYS_ioctl, &[is(1, TERMINAL[1])]),
    when(SYS_ioctl, &[is(1, TERMINAL[2])]),
    when(SYS_ioctl, &[is(1, TERMINAL[3])]),
    when(SYS_ioctl, &[is(1, TIOCGPGRP as u32)]),
    when(SYS_ioctl, &[is(1, TIOCGWINSZ as u32)]),
    when(SYS_ioctl, &[is(1, FIONBIO as u32)]),
    when(SYS_ioctl, &[is(1, KVM_GET_STATS_FD)]),
];

/// Running a guest, its memory and its timers.
pub const VCPU: &[Allowed] = &[
    // First, so that KVM_RUN meets it first.
    when(SYS_ioctl, &[request_of_type(KVM)]),
    when(SYS_ioctl, &[request_of_type(USERFAULTFD)]),
    // The first time that translations are made forgotten (space/shootdown).
    any(SYS_userfaultfd),
    // A guest's hint, also for another vCPU's thread.
    any(SYS_sched_setaffinity),
    any(SYS_timer_create),
    any(SYS_timer_settime),
    any(SYS_timer_delete),
    any(SYS_eventfd2),
];

/// What building a VM takes beyond running one: what a reboot does in `paravane run`.
pub const BUILD: &[Allowed] = &[
    any(SYS_memfd_create),
    any(SYS_ftruncate),
    any(SYS_flock),
    any(SYS_openat2),
    any(SYS_access),
    any(SYS_faccessat),
    any(SYS_faccessat2),
    any(SYS_statfs),
    any(SYS_fstatfs),
    any(SYS_bind),
    any(SYS_listen),
    any(SYS_fcntl),
    when(SYS_socket, &[is(0, AF_UNIX as u32)]),
    any(SYS_connect),
    any(SYS_getsockname),
    any(SYS_setsockopt),
    any(SYS_getsockopt),
    when(SYS_ioctl, &[is(1, FIONBIO as u32)]),
    when(SYS_ioctl, &[request_of_type(BLOCK_DEVICE)]),
];

/// What a device's thread does whatever its device is.
pub const DEVICE: &[Allowed] = &[when(SYS_ioctl, &[is(1, FIONBIO as u32)])];

const DISK: &[Allowed] = &[
    any(SYS_io_uring_setup),
    any(SYS_io_uring_enter),
    any(SYS_io_uring_register),
    any(SYS_preadv),
    any(SYS_pwritev),
    any(SYS_preadv2),
    any(SYS_pwritev2),
    any(SYS_fallocate),
    any(SYS_fsync),
    any(SYS_fdatasync),
    any(SYS_fstatfs),
    when(SYS_ioctl, &[request_of_type(BLOCK_DEVICE)]),
];

/// What sockets of any family take once they are there.
macro_rules! sockets {
    ($($more:expr),* $(,)?) => {
        &[
            any(SYS_connect),
            any(SYS_accept4),
            any(SYS_bind),
            any(SYS_sendto),
            any(SYS_sendmsg),
            any(SYS_recvmsg),
            any(SYS_shutdown),
            any(SYS_getsockopt),
            any(SYS_setsockopt),
            any(SYS_getsockname),
            any(SYS_getpeername),
            $($more),*
        ]
    };
}

const UNIX_SOCKETS: &[Allowed] = sockets![
    when(SYS_socket, &[is(0, AF_UNIX as u32)]),
    any(SYS_unlink),
    any(SYS_unlinkat),
];

const USER_NETWORK: &[Allowed] = sockets![
    when(SYS_socket, &[is(0, AF_INET as u32)]),
    when(SYS_socket, &[is(0, AF_INET6 as u32)]),
];

/// Requests of linux/if_tun.h, which read or write an int. The type that they share with those of
/// terminals is not enough.
const TAP: &[Allowed] = &[
    when(SYS_ioctl, &[Check::Masked(1, 0xffff_ff00, 0x4004_5400)]),
    when(SYS_ioctl, &[Check::Masked(1, 0xffff_ff00, 0x8004_5400)]),
];

const SHARE: &[Allowed] = &[
    any(SYS_openat2),
    any(SYS_getdents64),
    any(SYS_readlinkat),
    any(SYS_faccessat),
    any(SYS_faccessat2),
    any(SYS_fstatfs),
];

const FILES: &[Allowed] = &[any(SYS_fsync), any(SYS_fdatasync)];

/// What a device of this kind does.
pub fn of(work: DeviceWork) -> &'static [Allowed] {
    match work {
        DeviceWork::Disk => DISK,
        DeviceWork::UserNetwork => USER_NETWORK,
        DeviceWork::Tap => TAP,
        DeviceWork::Switch | DeviceWork::UnixSockets => UNIX_SOCKETS,
        DeviceWork::Share => SHARE,
        DeviceWork::Files => FILES,
    }
}
