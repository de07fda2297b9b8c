//! Having every thread of the process do something to itself.
//!
//! Capabilities and, before ABI 8, Landlock's domain belong to a thread, and one that runs already
//! gets neither from the thread that calls. So each is interrupted by a signal whose handler does it,
//! as the C library does it for setresuid(2). A thread that is started meanwhile has the properties
//! of the one that starts it.
#![allow(unsafe_code)]

use super::error::SandboxError;
use super::identity::errno;
use std::cell::UnsafeCell;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::{MaybeUninit, zeroed};
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::time::{Duration, Instant};

/// How long a thread may take. It is at most on its way through a system call.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often is looked whether a thread has ended instead.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// What is done, and who waits for it.
struct Job {
    /// Async-signal-safe: 0, or an errno.
    step: Box<Step>,
    failure: AtomicI32,
    done: UnsafeCell<MaybeUninit<libc::sem_t>>,
}

type Step = dyn Fn() -> i32 + Send + Sync;

impl Job {
    fn semaphore(&self) -> *mut libc::sem_t {
        self.done.get().cast()
    }
}

/// The job of the handler; null while there is none.
static JOB: AtomicPtr<Job> = AtomicPtr::new(null_mut());

/// The next one after the signal that kicks vCPUs (vcpu/kick.rs).
fn signal() -> libc::c_int {
    libc::SIGRTMIN() + 1
}

extern "C" fn handle(_signal: libc::c_int) {
    // SAFETY: `run` keeps the job until each thread that it has signalled has posted or ended.
    let Some(job) = (unsafe { JOB.load(Ordering::SeqCst).as_ref() }) else {
        return;
    };
    let before = errno();
    let result = (job.step)();
    if result != 0 {
        job.failure.store(result, Ordering::SeqCst);
    }
    // SAFETY: the pointer is to this thread's own errno. The semaphore has been initialized, and
    // sem_post is the one of its functions that a handler may call.
    unsafe {
        *libc::__errno_location() = before;
        libc::sem_post(job.semaphore());
    }
}

/// Does `step` in the current thread and then in each other. It may do only what a signal handler
/// may, and returns 0 or an errno.
///
/// # Errors
///
/// `what` and an errno, or a thread that does not answer. The step is done in some threads then.
pub fn run(
    what: &'static str,
    step: impl Fn() -> i32 + Send + Sync + 'static,
) -> Result<(), SandboxError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = crate::sync::lock(&ONE_AT_A_TIME);
    let failed = |errno| match errno {
        0 => Ok(()),
        errno => Err(SandboxError::Step {
            step: what,
            source: io::Error::from_raw_os_error(errno),
        }),
    };
    failed(step())?;
    let job = Box::new(Job {
        step: Box::new(step),
        failure: AtomicI32::new(0),
        done: UnsafeCell::new(MaybeUninit::uninit()),
    });
    // SAFETY: the semaphore stays where it is, in its box.
    unsafe { libc::sem_init(job.semaphore(), 0, 0) };
    // It is leaked where a thread does not answer, which may do so later.
    let job = Box::into_raw(job);
    JOB.store(job, Ordering::SeqCst);
    let old = set_handler(&handler());
    // SAFETY: the pointer is from a box that nobody else frees.
    signal_all(unsafe { &*job })?;
    set_handler(&old);
    JOB.store(null_mut(), Ordering::SeqCst);
    // SAFETY: each thread that was signalled has posted, so no handler uses it any more, and the
    // pointer is from `Box::into_raw`.
    failed(unsafe { Box::from_raw(job) }.failure.into_inner())
}

fn handler() -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { zeroed() };
    action.sa_sigaction = handle as extern "C" fn(libc::c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    action
}

/// What was before.
fn set_handler(action: &libc::sigaction) -> libc::sigaction {
    // SAFETY: all zero is a valid sigaction, and both pointers are to live values. The handler does
    // only what it may.
    unsafe {
        let mut old = zeroed();
        libc::sigaction(signal(), action, &mut old);
        old
    }
}

/// Signals threads until there is none that was not.
fn signal_all(job: &Job) -> Result<(), SandboxError> {
    // SAFETY: neither has a precondition.
    let (process, this) = unsafe { (libc::getpid(), libc::gettid()) };
    let mut done = BTreeSet::from([this]);
    loop {
        let open: Vec<_> = threads()?.difference(&done).copied().collect();
        if open.is_empty() {
            return Ok(());
        }
        for thread in open {
            // SAFETY: the call takes numbers. Who has ended gets nothing: ESRCH.
            let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal()) };
            if sent == 0 {
                wait(job, process, thread)?;
            }
            done.insert(thread);
        }
    }
}

fn threads() -> Result<BTreeSet<libc::pid_t>, SandboxError> {
    let listing = SandboxError::step("listing the threads in /proc/self/task");
    let entries = fs::read_dir("/proc/self/task").map_err(&listing)?;
    let mut threads = BTreeSet::new();
    for entry in entries {
        let name = entry.map_err(&listing)?.file_name();
        let thread = name.to_str().and_then(|name| name.parse::<i32>().ok());
        threads.extend(thread.filter(|&thread| !is_kernels(thread)));
    }
    Ok(threads)
}

/// Whether a thread of this process is the kernel's own: it never runs code of the process, and takes
/// no signal. KVM has one for each VM, and io_uring some.
fn is_kernels(thread: libc::pid_t) -> bool {
    /// PF_IO_WORKER and PF_USER_WORKER (Linux, include/linux/sched.h).
    const WORKER: u64 = 0x10 | 0x4000;
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    // The name comes before, and may contain anything; the flags are the seventh word after it
    // (proc(5)). One that has ended meanwhile is found out by whoever signals it.
    let words = stat.rsplit_once(") ").map(|(_, rest)| rest);
    let flags = words.and_then(|words| words.split(' ').nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & WORKER != 0)
}

/// Waits until the thread that was signalled has done the step, or has ended without it.
fn wait(job: &Job, process: libc::pid_t, thread: libc::pid_t) -> Result<(), SandboxError> {
    let start = Instant::now();
    loop {
        // SAFETY: the job is alive, and the time is a live value; tgkill takes numbers.
        unsafe {
            let mut until: libc::timespec = zeroed();
            libc::clock_gettime(libc::CLOCK_REALTIME, &mut until);
            until.tv_nsec += LOOK_INTERVAL.as_nanos() as libc::c_long;
            if until.tv_nsec >= 1_000_000_000 {
                until.tv_sec += 1;
                until.tv_nsec -= 1_000_000_000;
            }
            if libc::sem_timedwait(job.semaphore(), &until) == 0 {
                return Ok(());
            }
            if libc::syscall(libc::SYS_tgkill, process, thread, 0) != 0 {
                return Ok(());
            }
        }
        if start.elapsed() >= PATIENCE {
            return Err(SandboxError::Thread {
                thread,
                seconds: PATIENCE.as_secs(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    #[test]
    fn every_thread_does_it_once() {
        // Other tests' threads do it too: only these are counted.
        thread_local! {
            static MINE: std::cell::Cell<*const AtomicUsize> = const { std::cell::Cell::new(std::ptr::null()) };
        }
        let counts: Vec<_> = (0..4).map(|_| AtomicUsize::new(0)).collect();
        let (ready, end) = (Barrier::new(5), Barrier::new(5));
        thread::scope(|scope| {
            for count in &counts {
                let (ready, end) = (&ready, &end);
                scope.spawn(move || {
                    MINE.set(count);
                    ready.wait();
                    end.wait();
                });
            }
            ready.wait();
            let result = run("counting", || {
                let mine = MINE.get();
                if !mine.is_null() {
                    // SAFETY: the counters outlive the threads.
                    unsafe { (*mine).fetch_add(1, Ordering::SeqCst) };
                }
                0
            });
            end.wait();
            result.unwrap();
        });
        for count in counts {
            assert_eq!(count.into_inner(), 1);
        }
    }

    #[test]
    fn a_failure_is_told() {
        let error = run("failing", || libc::EPERM).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("failing: Operation not permitted")
        );
    }
}
