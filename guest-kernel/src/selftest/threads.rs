//! Threads.

#![allow(unsafe_code)]

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::arch::asm;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use paravane_sdk::sync::SpinLock;
use paravane_sdk::thread::{self, Config};
use paravane_sdk::time::Instant;
use paravane_sdk::{heap, start_info, vcpu};

pub const GROUP: Group = Group {
    name: "threads",
    tests: tests![
        a_thread_returns_its_value,
        they_run_again_and_again,
        run_waits_for_all,
        who_runs,
        yielding_takes_turns,
        a_thread_that_never_yields_is_preempted,
        preemption_keeps_all_registers,
        sleepers_wake_in_order,
        sleeping_takes_its_time,
        unpark_before_park,
        park_and_unpark,
        park_times_out,
        many_threads_leave_nothing,
        several_vcpus_run_threads,
        threads_move_between_vcpus,
        idle_vcpus_block,
    ],
};

/// Whether this VMM has what threads need.
pub fn available() -> bool {
    start_info::get().features().contains(thread::REQUIRED)
}

/// One vCPU, so that what runs when is known, and slices so short that a test is not.
const ONE: Config = Config::new().vcpus(1).slice(Duration::from_millis(2));

fn a_thread_returns_its_value() -> Outcome {
    if !available() {
        return Ok(());
    }
    let words = ["alpha", "beta", "gamma"];
    let joined = thread::run(|| {
        let threads = words.map(|word| thread::spawn(move || String::from(word)));
        threads.map(|thread| thread.join()).join(" ")
    });
    ensure_eq!(joined, "alpha beta gamma", "what the threads returned");
    Ok(())
}

fn they_run_again_and_again() -> Outcome {
    if !available() {
        return Ok(());
    }
    for round in 0..10 {
        let result = thread::run(|| thread::spawn(move || round).join());
        ensure_eq!(result, round, "the result of a round");
    }
    Ok(())
}

fn run_waits_for_all() -> Outcome {
    if !available() {
        return Ok(());
    }
    static ENDED: AtomicU32 = AtomicU32::new(0);
    ENDED.store(0, Ordering::SeqCst);
    thread::run(|| {
        for _ in 0..5 {
            thread::spawn(|| {
                for _ in 0..10 {
                    thread::yield_now();
                }
                ENDED.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    ensure_eq!(ENDED.load(Ordering::SeqCst), 5, "the threads that ended");
    Ok(())
}

fn who_runs() -> Outcome {
    if !available() {
        return Ok(());
    }
    ensure!(thread::try_current().is_none(), "a thread runs already");
    thread::run(|| {
        let first = thread::current();
        ensure_eq!(first.name(), None, "the first thread's name");
        let named = thread::Builder::new().name("fred").spawn(thread::current);
        let handle = named.thread().clone();
        let inside = named.join();
        ensure_eq!(inside.name(), Some("fred"), "a thread's name");
        ensure_eq!(inside.id(), handle.id(), "its number");
        ensure!(inside.id() != first.id(), "two threads with one number");
        let local = 0_u8;
        let address = &raw const local as u64;
        ensure!(
            first.stack().contains(&address),
            "a local variable at {address:#x} is not on the stack"
        );
        Ok(())
    })?;
    ensure!(thread::try_current().is_none(), "a thread runs still");
    Ok(())
}

fn yielding_takes_turns() -> Outcome {
    if !available() {
        return Ok(());
    }
    const TURNS: usize = 50;
    // Without a tick in all that time.
    let config = Config::new().vcpus(1).slice(Duration::from_secs(1000));
    let turns = config.run(|| {
        let turns = Arc::new(SpinLock::new(Vec::new()));
        let threads = [0, 1, 2].map(|number| {
            let turns = Arc::clone(&turns);
            thread::spawn(move || {
                for _ in 0..TURNS {
                    turns.lock().push(number);
                    thread::yield_now();
                }
            })
        });
        threads.into_iter().for_each(|thread| thread.join());
        core::mem::take(&mut *turns.lock())
    });
    let expected: Vec<_> = (0..3 * TURNS).map(|turn| turn % 3).collect();
    ensure_eq!(turns, expected, "the order of turns");
    Ok(())
}

fn a_thread_that_never_yields_is_preempted() -> Outcome {
    if !available() {
        return Ok(());
    }
    static TURN: AtomicU32 = AtomicU32::new(0);
    TURN.store(0, Ordering::SeqCst);
    ONE.run(|| {
        let spinners = [0, 1].map(|parity| {
            thread::spawn(move || {
                // Each waits for the other without giving way.
                for turn in 0..4 {
                    if turn % 2 == parity {
                        while TURN.load(Ordering::SeqCst) != turn {
                            spin_loop();
                        }
                        TURN.store(turn + 1, Ordering::SeqCst);
                    }
                }
            })
        });
        spinners.into_iter().for_each(|thread| thread.join());
    });
    ensure_eq!(TURN.load(Ordering::SeqCst), 4, "the turns taken");
    Ok(())
}

/// Puts values made of a seed into registers, spins until `stop` is not 0, counting in `count`,
/// and says whether the registers have kept them.
fn spin_with_registers(seed: u64, stop: &AtomicU64, count: &AtomicU64) -> bool {
    let different: u64;
    // SAFETY: the code uses its operands and what it declares to clobber; it leaves the direction
    // flag as it was.
    unsafe {
        asm!(
            "lea r8, [rax + 8]",
            "lea r9, [rax + 9]",
            "lea r10, [rax + 10]",
            "lea r11, [rax + 11]",
            "lea r12, [rax + 12]",
            "lea r13, [rax + 13]",
            "lea r14, [rax + 14]",
            "movq xmm0, r8",
            "movq xmm7, r9",
            "movq xmm15, r10",
            "fninit",
            "push rax",
            "fild qword ptr [rsp]",
            "pop r15",
            "std",
            "2:",
            "inc qword ptr [rsi]",
            "cmp qword ptr [rdi], 0",
            "je 2b",
            // The direction flag says which way this goes; PUSHFQ is no guest's to execute.
            "mov rcx, rsi",
            "cmpsb",
            "sub rcx, rsi",
            "cld",
            "add rsi, rcx",
            "add rdi, rcx",
            "xor rdx, rdx",
            "sub rcx, 1",
            "or rdx, rcx",
            "sub rsp, 8",
            "fistp qword ptr [rsp]",
            "pop rcx",
            "xor rcx, rax",
            "or rdx, rcx",
            "xor r15, rax",
            "or rdx, r15",
            "movq rcx, xmm0",
            "xor rcx, r8",
            "or rdx, rcx",
            "movq rcx, xmm7",
            "xor rcx, r9",
            "or rdx, rcx",
            "movq rcx, xmm15",
            "xor rcx, r10",
            "or rdx, rcx",
            "sub r8, 8", "xor r8, rax", "or rdx, r8",
            "sub r9, 9", "xor r9, rax", "or rdx, r9",
            "sub r10, 10", "xor r10, rax", "or rdx, r10",
            "sub r11, 11", "xor r11, rax", "or rdx, r11",
            "sub r12, 12", "xor r12, rax", "or rdx, r12",
            "sub r13, 13", "xor r13, rax", "or rdx, r13",
            "sub r14, 14", "xor r14, rax", "or rdx, r14",
            in("rax") seed,
            in("rdi") stop.as_ptr(),
            in("rsi") count.as_ptr(),
            out("rcx") _,
            out("rdx") different,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
            out("xmm0") _, out("xmm7") _, out("xmm15") _,
            out("st(0)") _, out("st(1)") _, out("st(2)") _, out("st(3)") _,
            out("st(4)") _, out("st(5)") _, out("st(6)") _, out("st(7)") _,
        );
    }
    different == 0
}

fn preemption_keeps_all_registers() -> Outcome {
    if !available() {
        return Ok(());
    }
    struct Shared {
        stop: AtomicU64,
        counts: [AtomicU64; 2],
    }
    let intact = ONE.run(|| {
        let shared = Arc::new(Shared {
            stop: AtomicU64::new(0),
            counts: [const { AtomicU64::new(0) }; 2],
        });
        let spinners = [0, 1].map(|index| {
            let shared = Arc::clone(&shared);
            let seed = 0x0123_4567_89ab_cdef << index;
            thread::spawn(move || spin_with_registers(seed, &shared.stop, &shared.counts[index]))
        });
        // Each gets its turn, several times.
        for count in shared.counts.iter().cycle().take(6) {
            let before = count.load(Ordering::Relaxed);
            while count.load(Ordering::Relaxed) == before {
                thread::yield_now();
            }
        }
        shared.stop.store(1, Ordering::Relaxed);
        spinners.map(|thread| thread.join())
    });
    ensure_eq!(intact, [true; 2], "whether the registers were kept");
    Ok(())
}

fn sleepers_wake_in_order() -> Outcome {
    if !available() {
        return Ok(());
    }
    // One whose slice is over says later that it woke, and a VM that was paused is late with all.
    let one = ONE.slice(Duration::from_secs(1));
    // How long it takes until all are asleep is not known; on an emulated host, long.
    let mut lead = Duration::from_millis(1);
    loop {
        let (in_time, order) = one.run(|| sleepers(lead));
        if in_time {
            ensure_eq!(order, vec![0, 1, 2, 3], "the order of waking");
            return Ok(());
        }
        lead *= 2;
    }
}

/// Threads that sleep until shortly after one another, the first for so long: whether all were
/// asleep when the first was to wake, and their order.
fn sleepers(lead: Duration) -> (bool, Vec<u32>) {
    let order = Arc::new(SpinLock::new(Vec::new()));
    let tired = Arc::new(AtomicU32::new(0));
    let start = Instant::now() + lead;
    let threads = [3, 1, 2, 0].map(|number| {
        let (order, tired) = (Arc::clone(&order), Arc::clone(&tired));
        thread::spawn(move || {
            tired.fetch_add(1, Ordering::SeqCst);
            thread::sleep_until(start + Duration::from_micros(500) * number);
            order.lock().push(number);
        })
    });
    while tired.load(Ordering::SeqCst) < threads.len() as u32 {
        thread::yield_now();
    }
    // One that was interrupted just before it slept comes first, and again if need be.
    for _ in 0..3 {
        thread::yield_now();
    }
    let in_time = Instant::now() < start;
    for thread in threads {
        thread.join();
    }
    let order = core::mem::take(&mut *order.lock());
    (in_time, order)
}

fn sleeping_takes_its_time() -> Outcome {
    if !available() {
        return Ok(());
    }
    let time = Duration::from_millis(2);
    let check = || {
        let start = Instant::now();
        thread::sleep(time);
        start.elapsed()
    };
    let bare = check();
    ensure!(bare >= time, "a vCPU slept {bare:?} instead of {time:?}");
    // While another thread is busy, too.
    let in_thread = ONE.run(move || {
        let stop = Arc::new(AtomicBool::new(false));
        let busy = Arc::clone(&stop);
        thread::spawn(move || {
            while !busy.load(Ordering::Relaxed) {
                spin_loop();
            }
        });
        let slept = check();
        stop.store(true, Ordering::Relaxed);
        slept
    });
    ensure!(
        in_thread >= time,
        "a thread slept {in_thread:?} instead of {time:?}"
    );
    Ok(())
}

fn unpark_before_park() -> Outcome {
    if !available() {
        return Ok(());
    }
    ONE.run(|| {
        thread::current().unpark();
        thread::current().unpark();
        thread::park();
        let again = thread::park_timeout(Duration::ZERO);
        ensure!(!again, "two unparks were good for two parks");
        Ok(())
    })
}

fn park_and_unpark() -> Outcome {
    if !available() {
        return Ok(());
    }
    const ROUNDS: u32 = 500;
    let last = thread::run(|| {
        let number = Arc::new(AtomicU32::new(0));
        let first = thread::current();
        let theirs = Arc::clone(&number);
        let other = thread::spawn(move || {
            for round in 0..ROUNDS {
                while theirs.load(Ordering::SeqCst) != 2 * round + 1 {
                    thread::park();
                }
                theirs.store(2 * round + 2, Ordering::SeqCst);
                first.unpark();
            }
        });
        for round in 0..ROUNDS {
            number.store(2 * round + 1, Ordering::SeqCst);
            other.thread().unpark();
            while number.load(Ordering::SeqCst) != 2 * round + 2 {
                thread::park();
            }
        }
        other.join();
        number.load(Ordering::SeqCst)
    });
    ensure_eq!(last, 2 * ROUNDS, "the last number");
    Ok(())
}

fn park_times_out() -> Outcome {
    if !available() {
        return Ok(());
    }
    thread::run(|| {
        let timeout = Duration::from_micros(200);
        for _ in 0..5 {
            let start = Instant::now();
            ensure!(!thread::park_timeout(timeout), "nobody has unparked it");
            ensure!(start.elapsed() >= timeout, "park_timeout was too short");
        }
        Ok(())
    })
}

fn many_threads_leave_nothing() -> Outcome {
    if !available() {
        return Ok(());
    }
    let run = || {
        thread::run(|| {
            let threads: Vec<_> = (0..100_u64)
                .map(|number| thread::spawn(move || number))
                .collect();
            threads.into_iter().map(|thread| thread.join()).sum::<u64>()
        })
    };
    // Stacks are kept for the next threads, as many as were needed at once, but no more than so
    // many; so some of the first runs leave blocks. A leak leaves some in every run.
    const RUNS: u32 = 20;
    for _ in 0..RUNS {
        let before = heap::usage().blocks;
        ensure_eq!(run(), 4950, "the sum of 0 to 99");
        if heap::usage().blocks <= before {
            return Ok(());
        }
    }
    Err(format!(
        "each of {RUNS} runs of 100 threads has left blocks"
    ))
}

/// The vCPUs, as bits, that run so many threads at once until they have seen this.
fn vcpus_seen(threads: usize, until: impl Fn(u64) -> bool + Send + Sync + 'static) -> u64 {
    let until = Arc::new(until);
    thread::run(move || {
        let seen = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..threads)
            .map(|_| {
                let (seen, until) = (Arc::clone(&seen), Arc::clone(&until));
                thread::spawn(move || {
                    while !until(seen.load(Ordering::SeqCst)) {
                        seen.fetch_or(1 << vcpu::id(), Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join();
        }
        seen.load(Ordering::SeqCst)
    })
}

fn several_vcpus_run_threads() -> Outcome {
    if !available() {
        return Ok(());
    }
    let count = vcpu::count().min(4);
    let seen = vcpus_seen(count as usize, move |seen| seen.count_ones() >= count);
    ensure_eq!(seen.count_ones(), count, "the number of vCPUs");
    Ok(())
}

/// A thread that yields, among as many as there are vCPUs and one, gets to all of them.
fn threads_move_between_vcpus() -> Outcome {
    if !available() || vcpu::count() < 2 {
        return Ok(());
    }
    static LEFT: AtomicUsize = AtomicUsize::new(0);
    LEFT.store(3, Ordering::SeqCst);
    Config::new()
        .vcpus(2)
        .slice(Duration::from_millis(2))
        .run(|| {
            for _ in 0..3 {
                thread::spawn(|| {
                    let mut seen = 0_u64;
                    while seen.count_ones() < 2 {
                        seen |= 1 << vcpu::id();
                        thread::yield_now();
                    }
                    // Those that are left need others, to be more than the vCPUs.
                    LEFT.fetch_sub(1, Ordering::SeqCst);
                    while LEFT.load(Ordering::SeqCst) != 0 {
                        thread::yield_now();
                    }
                });
            }
        });
    Ok(())
}

fn idle_vcpus_block() -> Outcome {
    if !available() || vcpu::count() < 2 {
        return Ok(());
    }
    thread::run(|| {
        let here = vcpu::id();
        let others = || (0..vcpu::count()).filter(|&id| id != here);
        // They do so sooner or later, which an idle loop that spins never would.
        while !others().all(|id| vcpu::state(id) == vcpu::State::Blocked) {
            spin_loop();
        }
        // And start when there is something to do.
        let id = thread::spawn(vcpu::id);
        while !id.is_finished() {
            spin_loop();
        }
        let id = id.join();
        ensure!(id != here, "the thread ran on vCPU {id}, which was busy");
        Ok(())
    })
}
