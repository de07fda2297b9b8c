//! Synchronization, between threads and where there are none.

use super::threads::available;
use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;
use paravane_sdk::event::{Port, Priority};
use paravane_sdk::sync::{
    Barrier, Condvar, LazyLock, Mutex, OnceLock, RecvError, Semaphore, SendError, TryRecvError,
    TrySendError, bounded, channel,
};
use paravane_sdk::thread::{self, Config};
use paravane_sdk::{upcall, vcpu};

pub const GROUP: Group = Group {
    name: "sync",
    tests: tests![
        mutex_excludes,
        mutex_is_tried,
        mutex_waits_on_one_vcpu,
        condvar_passes_a_value,
        condvar_wakes_all,
        condvar_times_out,
        semaphore_limits,
        semaphore_times_out,
        barrier_has_one_last,
        once_is_made_once,
        lazy_is_made_once,
        channel_keeps_order,
        channel_from_many,
        channel_closes,
        bounded_channel_is_bounded,
        recv_times_out,
        waiting_without_threads,
        an_event_wakes_a_vcpu,
        an_event_wakes_a_thread,
    ],
};

/// Threads for what several do at once: more than most VMs have vCPUs, and short slices.
const THREADS: usize = 4;
const SHORT_SLICES: Config = Config::new().slice(Duration::from_micros(200));

/// Runs as many threads of the same function, each with its number.
fn in_threads<T: Send + 'static>(body: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let body = Arc::new(body);
    SHORT_SLICES.run(|| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let body = Arc::clone(&body);
                thread::spawn(move || body(number))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect()
    })
}

fn mutex_excludes() -> Outcome {
    if !available() {
        return Ok(());
    }
    const ROUNDS: u64 = 300;
    // Two words that are equal whenever nobody is in between.
    static PAIR: Mutex<(u64, u64)> = Mutex::new((0, 0));
    *PAIR.lock() = (0, 0);
    let seen = in_threads(|_| {
        (0..ROUNDS).all(|round| {
            let mut pair = PAIR.lock();
            let equal = pair.0 == pair.1;
            pair.0 += 1;
            if round % 10 == 0 {
                thread::yield_now();
            }
            pair.1 = core::hint::black_box(pair.1) + 1;
            equal
        })
    });
    ensure!(seen.iter().all(|&equal| equal), "two threads were within");
    let total = ROUNDS * THREADS as u64;
    ensure_eq!(*PAIR.lock(), (total, total), "what the threads counted");
    Ok(())
}

fn mutex_is_tried() -> Outcome {
    let mutex = Mutex::new(1);
    let guard = mutex.try_lock().ok_or("a free mutex was not taken")?;
    ensure!(mutex.try_lock().is_none(), "a mutex was taken twice");
    drop(guard);
    ensure_eq!(mutex.try_lock().map(|value| *value), Some(1), "the value");
    Ok(())
}

/// The owner is off the vCPU while others want the lock.
fn mutex_waits_on_one_vcpu() -> Outcome {
    if !available() {
        return Ok(());
    }
    let order = Config::new().vcpus(1).run(|| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut held = order.lock();
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let order = Arc::clone(&order);
                thread::spawn(move || order.lock().push(number))
            })
            .collect();
        // They queue up, in this order.
        thread::yield_now();
        held.push(99);
        drop(held);
        threads.into_iter().for_each(|thread| thread.join());
        core::mem::take(&mut *order.lock())
    });
    ensure_eq!(order, [99, 0, 1, 2], "who had the lock");
    Ok(())
}

fn condvar_passes_a_value() -> Outcome {
    if !available() {
        return Ok(());
    }
    const ROUNDS: u32 = 200;
    let sum = thread::run(|| {
        let slot = Arc::new((Mutex::new(None), Condvar::new()));
        let theirs = Arc::clone(&slot);
        let consumer = thread::spawn(move || {
            let (value, changed) = &*theirs;
            let mut sum = 0;
            for _ in 0..ROUNDS {
                let mut value = changed.wait_while(value.lock(), |value| value.is_none());
                sum += value.take().unwrap_or(0);
                changed.notify_all();
            }
            sum
        });
        let (value, changed) = &*slot;
        for round in 0..ROUNDS {
            let mut value = changed.wait_while(value.lock(), |value| value.is_some());
            *value = Some(round);
            changed.notify_all();
        }
        consumer.join()
    });
    ensure_eq!(sum, ROUNDS * (ROUNDS - 1) / 2, "the sum of what was passed");
    Ok(())
}

fn condvar_wakes_all() -> Outcome {
    if !available() {
        return Ok(());
    }
    thread::run(|| {
        let gate = Arc::new((Mutex::new((0, false)), Condvar::new()));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let gate = Arc::clone(&gate);
                thread::spawn(move || {
                    let (state, changed) = &*gate;
                    let mut state = state.lock();
                    state.0 += 1;
                    drop(changed.wait_while(state, |state| !state.1));
                })
            })
            .collect();
        let (state, changed) = &*gate;
        while state.lock().0 < THREADS {
            thread::yield_now();
        }
        state.lock().1 = true;
        changed.notify_all();
        threads.into_iter().for_each(|thread| thread.join());
    });
    Ok(())
}

fn condvar_times_out() -> Outcome {
    if !available() {
        return Ok(());
    }
    let check = || {
        let (mutex, never) = (Mutex::new(7), Condvar::new());
        let (guard, notified) = never.wait_timeout(mutex.lock(), Duration::from_micros(100));
        ensure!(!notified, "nobody has notified");
        ensure_eq!(*guard, 7, "the value behind a time-out");
        drop(guard);
        // It is not in the queue any more: this wakes nobody.
        never.notify_one();
        Ok(())
    };
    check()?;
    thread::run(check)
}

fn semaphore_limits() -> Outcome {
    if !available() {
        return Ok(());
    }
    static PERMITS: Semaphore = Semaphore::new(2);
    static WITHIN: AtomicUsize = AtomicUsize::new(0);
    let most = in_threads(|_| {
        let mut most = 0;
        for _ in 0..50 {
            PERMITS.acquire();
            most = most.max(WITHIN.fetch_add(1, Ordering::SeqCst) + 1);
            thread::yield_now();
            WITHIN.fetch_sub(1, Ordering::SeqCst);
            PERMITS.release();
        }
        most
    });
    let most = most.into_iter().max();
    ensure!(most <= Some(2), "{most:?} threads had a permit at once");
    ensure!(
        PERMITS.try_acquire() && PERMITS.try_acquire() && !PERMITS.try_acquire(),
        "there are not two permits at the end"
    );
    PERMITS.release();
    PERMITS.release();
    Ok(())
}

fn semaphore_times_out() -> Outcome {
    if !available() {
        return Ok(());
    }
    let permits = Semaphore::new(0);
    let time = Duration::from_micros(100);
    ensure!(!permits.acquire_timeout(time), "a permit from nowhere");
    permits.release();
    ensure!(
        permits.acquire_timeout(time),
        "no permit, though there was one"
    );
    Ok(())
}

fn barrier_has_one_last() -> Outcome {
    if !available() {
        return Ok(());
    }
    const ROUNDS: usize = 50;
    static BARRIER: Barrier = Barrier::new(THREADS);
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    ARRIVED.store(0, Ordering::SeqCst);
    let last: usize = in_threads(|_| {
        let mut last = 0;
        for round in 1..=ROUNDS {
            ARRIVED.fetch_add(1, Ordering::SeqCst);
            last += usize::from(BARRIER.wait());
            if ARRIVED.load(Ordering::SeqCst) < round * THREADS {
                // Somebody was let go before all had come.
                return usize::MAX / THREADS;
            }
            BARRIER.wait();
        }
        last
    })
    .into_iter()
    .sum();
    ensure_eq!(last, ROUNDS, "how often a thread was the last");
    Ok(())
}

fn once_is_made_once() -> Outcome {
    if !available() {
        return Ok(());
    }
    static MADE: AtomicU32 = AtomicU32::new(0);
    MADE.store(0, Ordering::SeqCst);
    let value: Arc<OnceLock<String>> = Arc::new(OnceLock::new());
    ensure!(value.get().is_none(), "a value that nobody has made");
    let shared = Arc::clone(&value);
    let values = in_threads(move |_| {
        shared
            .get_or_init(|| {
                MADE.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                String::from("made")
            })
            .as_ptr()
            .addr()
    });
    ensure_eq!(MADE.load(Ordering::SeqCst), 1, "how often it was made");
    let made = value.get().map(|value| value.as_ptr().addr());
    ensure!(
        values.iter().all(|&value| Some(value) == made),
        "not all threads saw the same value"
    );
    ensure_eq!(value.set(String::new()), Err(String::new()), "setting it");
    Ok(())
}

fn lazy_is_made_once() -> Outcome {
    static MADE: AtomicU32 = AtomicU32::new(0);
    MADE.store(0, Ordering::SeqCst);
    let value = LazyLock::new(|| MADE.fetch_add(1, Ordering::SeqCst) + 41);
    ensure_eq!(MADE.load(Ordering::SeqCst), 0, "how often it was made");
    ensure_eq!((*value, *value), (41, 41), "the value");
    ensure_eq!(MADE.load(Ordering::SeqCst), 1, "how often it was made");
    Ok(())
}

fn channel_keeps_order() -> Outcome {
    if !available() {
        return Ok(());
    }
    const VALUES: u32 = 500;
    let received: Vec<_> = thread::run(|| {
        let (sender, receiver) = channel();
        thread::spawn(move || {
            for value in 0..VALUES {
                if sender.send(value).is_err() {
                    return;
                }
            }
        });
        receiver.iter().collect()
    });
    ensure!(received.into_iter().eq(0..VALUES), "not what was sent");
    Ok(())
}

fn channel_from_many() -> Outcome {
    if !available() {
        return Ok(());
    }
    const VALUES: usize = 100;
    let mut received: Vec<_> = SHORT_SLICES.run(|| {
        let (sender, receiver) = bounded(3);
        for number in 0..THREADS {
            let sender = sender.clone();
            thread::spawn(move || {
                for value in 0..VALUES {
                    if sender.send(number * VALUES + value).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        receiver.iter().collect()
    });
    received.sort_unstable();
    ensure!(
        received.into_iter().eq(0..THREADS * VALUES),
        "not everything was received once"
    );
    Ok(())
}

fn channel_closes() -> Outcome {
    let (sender, receiver) = channel();
    ensure_eq!(
        receiver.try_recv(),
        Err(TryRecvError::Empty),
        "nothing sent"
    );
    ensure_eq!(sender.send(1), Ok(()), "sending");
    drop(sender);
    ensure_eq!(receiver.recv(), Ok(1), "what was sent before");
    ensure_eq!(receiver.recv(), Err(RecvError), "receiving then");
    let (sender, receiver) = channel();
    let value = Arc::new(());
    ensure_eq!(sender.send(Arc::clone(&value)), Ok(()), "sending");
    drop(receiver);
    ensure_eq!(Arc::strong_count(&value), 1, "references to a lost value");
    ensure_eq!(
        sender.send(value),
        Err(SendError(Arc::new(()))),
        "sending then"
    );
    Ok(())
}

fn bounded_channel_is_bounded() -> Outcome {
    if !available() {
        return Ok(());
    }
    let (sender, receiver) = bounded(2);
    ensure_eq!(sender.try_send(1), Ok(()), "the first value");
    ensure_eq!(sender.try_send(2), Ok(()), "the second value");
    ensure_eq!(sender.try_send(3), Err(TrySendError::Full(3)), "the third");
    let (sent, received) = Config::new().vcpus(1).run(move || {
        let sent = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&sent);
        thread::spawn(move || {
            let result = sender.send(3);
            told.store(result.is_ok(), Ordering::SeqCst);
        });
        // It gets as far as it can.
        thread::yield_now();
        let sent = sent.load(Ordering::SeqCst);
        (sent, receiver.iter().collect::<Vec<_>>())
    });
    ensure!(!sent, "a full channel took another value");
    ensure_eq!(received, [1, 2, 3], "the values");
    Ok(())
}

fn recv_times_out() -> Outcome {
    if !available() {
        return Ok(());
    }
    let check = || {
        let (sender, receiver) = channel::<u32>();
        let time = Duration::from_micros(100);
        ensure_eq!(
            receiver.recv_timeout(time),
            Err(TryRecvError::Empty),
            "receiving"
        );
        ensure_eq!(sender.send(5), Ok(()), "sending");
        ensure_eq!(receiver.recv_timeout(time), Ok(5), "receiving");
        Ok(())
    };
    check()?;
    thread::run(check)
}

/// Where there are no threads it is a vCPU that waits, for another one.
fn waiting_without_threads() -> Outcome {
    if !available() || vcpu::count() < 2 {
        return Ok(());
    }
    let (to_other, from_this) = channel();
    let (to_this, from_other) = channel();
    vcpu::start(1, move |id| {
        for value in from_this.iter() {
            if to_this.send((id, value * 2)).is_err() {
                return;
            }
        }
    })
    .map_err(|error| alloc::format!("vcpu::start: {error}"))?;
    for value in 0..50 {
        ensure_eq!(to_other.send(value), Ok(()), "sending");
        ensure_eq!(from_other.recv(), Ok((1, value * 2)), "the answer");
    }
    drop(to_other);
    vcpu::join(&[1]);
    Ok(())
}

/// A semaphore that an event's handler releases, and the port whose event that is.
fn signalled() -> Result<(&'static Semaphore, Port), String> {
    let port = Port::new(vcpu::id(), Priority::default())
        .map_err(|error| alloc::format!("a port: {error}"))?;
    let semaphore: &'static Semaphore = Box::leak(Box::new(Semaphore::new(0)));
    upcall::set_handler(port.number(), |_| semaphore.release());
    Ok((semaphore, port))
}

fn an_event_wakes_a_vcpu() -> Outcome {
    if !available() {
        return Ok(());
    }
    let (semaphore, port) = signalled()?;
    for _ in 0..10 {
        ensure_eq!(port.send(), Ok(true), "event_send");
        // Upcalls do not arrive here; the wait takes the event.
        semaphore.acquire();
    }
    upcall::clear_handler(port.number());
    Ok(())
}

fn an_event_wakes_a_thread() -> Outcome {
    if !available() {
        return Ok(());
    }
    thread::run(|| {
        let (semaphore, port) = signalled()?;
        let number = port.number();
        let waiting = thread::spawn(move || {
            for _ in 0..10 {
                semaphore.acquire();
            }
        });
        for _ in 0..10 {
            while port.is_pending() {
                thread::yield_now();
            }
            ensure!(port.send().is_ok(), "event_send");
        }
        waiting.join();
        upcall::clear_handler(number);
        Ok(())
    })
}
