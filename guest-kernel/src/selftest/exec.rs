//! The executor: tasks, timers and events as futures.

use super::threads::available;
use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::{Future, pending, poll_fn};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use core::task::{Poll, Waker};
use core::time::Duration;
use futures_lite::future::{or, zip};
use paravane_sdk::event::{Port, Priority};
use paravane_sdk::exec::{self, AsyncPort};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::thread;
use paravane_sdk::time::{self, Instant, Timer};
use paravane_sdk::{stats, vcpu};

pub const GROUP: Group = Group {
    name: "async",
    tests: tests![
        a_future_has_a_value,
        tasks_take_turns,
        a_dropped_task_is_cancelled,
        joins_and_selects,
        sleepers_wake_in_order,
        a_timer_needs_no_call,
        an_interval_ticks,
        an_event_is_a_future,
        a_timers_event_is_a_future,
        tasks_wake_each_other,
        a_task_survives_its_executor,
        in_threads_too,
        vcpus_share_the_work,
    ],
};

fn a_future_has_a_value() -> Outcome {
    ensure_eq!(exec::block_on(async { 42 }), 42, "the value");
    let nested = exec::block_on(async { exec::block_on(async { 43 }) });
    ensure_eq!(nested, 43, "the value of one within another");
    Ok(())
}

fn tasks_take_turns() -> Outcome {
    let order = Arc::new(SpinLock::new(Vec::new()));
    exec::block_on(async {
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let order = Arc::clone(&order);
                exec::spawn(async move {
                    for _ in 0..10 {
                        order.lock().push(number);
                        exec::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await;
        }
    });
    let expected: Vec<_> = (0..30).map(|turn| turn % 3).collect();
    ensure_eq!(*order.lock(), expected, "the order of turns");
    Ok(())
}

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn a_dropped_task_is_cancelled() -> Outcome {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    exec::block_on(async {
        let task = exec::spawn(async move {
            pending::<()>().await;
            drop(flag);
        });
        exec::yield_now().await;
        drop(task);
        exec::yield_now().await;
    });
    ensure!(dropped.load(Ordering::SeqCst), "the task's future is left");
    Ok(())
}

fn joins_and_selects() -> Outcome {
    let both = exec::block_on(zip(exec::spawn(async { 1 }), exec::spawn(async { 2 })));
    ensure_eq!(both, (1, 2), "the values of two tasks");
    let first = exec::block_on(or(
        async {
            pending::<()>().await;
            1
        },
        exec::spawn(async { 2 }),
    ));
    ensure_eq!(first, 2, "the value of the task that ends");
    Ok(())
}

fn sleepers_wake_in_order() -> Outcome {
    if !available() {
        return Ok(());
    }
    // How long it takes until all are asleep is not known; on an emulated host, long.
    let mut lead = Duration::from_millis(1);
    loop {
        let (in_time, early, order) = exec::block_on(sleepers(lead));
        ensure!(!early, "they wake early");
        if in_time {
            ensure_eq!(order, [0, 1, 2, 3], "the order of waking");
            return Ok(());
        }
        lead *= 2;
    }
}

/// Tasks that sleep until shortly after one another, the first for so long: whether all were
/// asleep when the first was to wake, whether the last woke early, and their order.
async fn sleepers(lead: Duration) -> (bool, bool, Vec<u32>) {
    let order = Arc::new(SpinLock::new(Vec::new()));
    let start = Instant::now() + lead;
    let tasks = [3, 1, 2, 0].map(|number| {
        let order = Arc::clone(&order);
        exec::spawn(async move {
            let in_time = Instant::now() < start;
            time::sleep_until(start + Duration::from_micros(300) * number).await;
            order.lock().push(number);
            in_time
        })
    });
    let mut in_time = true;
    for task in tasks {
        in_time &= task.await;
    }
    let early = Instant::now() < start + Duration::from_micros(900);
    let order = core::mem::take(&mut *order.lock());
    (in_time, early, order)
}

/// Waiting for the next of many timers is one call, `sched_block`.
fn a_timer_needs_no_call() -> Outcome {
    if !available() {
        return Ok(());
    }
    let calls = || stats::read().map(|stats| stats.hypercalls);
    let before = calls().map_err(|error| format!("core_stats: {error}"))?;
    exec::block_on(async {
        let sleeps: Vec<_> = (0..50)
            .map(|number| exec::spawn(time::sleep(Duration::from_secs(1000 + number))))
            .collect();
        time::sleep(Duration::from_micros(100)).await;
        drop(sleeps);
        exec::yield_now().await;
    });
    let made = calls().map_err(|error| format!("core_stats: {error}"))? - before;
    // Beside core_stats itself, and should the vCPU wake a little early.
    ensure!(made < 10, "{made} calls for 51 timers");
    Ok(())
}

fn an_interval_ticks() -> Outcome {
    if !available() {
        return Ok(());
    }
    let period = Duration::from_micros(200);
    exec::block_on(async {
        let mut interval = time::interval(period);
        let mut before = interval.tick().await;
        for _ in 0..5 {
            let due = interval.tick().await;
            let distance = due - before;
            ensure!(
                distance >= period && distance.as_nanos() % period.as_nanos() == 0,
                "a tick is {distance:?} behind the one before"
            );
            ensure!(due <= Instant::now(), "a tick came early");
            before = due;
        }
        Ok(())
    })
}

/// A port whose events are futures.
fn async_port() -> Result<AsyncPort, alloc::string::String> {
    Port::new(vcpu::id(), Priority::default())
        .map(AsyncPort::new)
        .map_err(|error| format!("a port: {error}"))
}

fn an_event_is_a_future() -> Outcome {
    if !available() {
        return Ok(());
    }
    let port = Arc::new(async_port()?);
    let waiting = Arc::clone(&port);
    let events = exec::block_on(async {
        let task = exec::spawn(async move {
            for _ in 0..20 {
                waiting.wait().await;
            }
        });
        let mut events = 0;
        while !task.is_finished() {
            events += u32::from(port.send() == Ok(true));
            exec::yield_now().await;
            exec::yield_now().await;
        }
        events
    });
    ensure!(events >= 20, "{events} events were 20");
    Ok(())
}

fn a_timers_event_is_a_future() -> Outcome {
    if !available() {
        return Ok(());
    }
    let timer =
        Timer::new(vcpu::id(), Priority::default()).map_err(|error| format!("a timer: {error}"))?;
    timer
        .set_periodic(Instant::now(), Duration::from_millis(1))
        .map_err(|error| format!("time_periodic: {error}"))?;
    let port = AsyncPort::new(timer.into_port());
    exec::block_on(async {
        for _ in 0..3 {
            port.wait().await;
        }
    });
    Ok(())
}

/// A number that tasks wait for.
#[derive(Default)]
struct Number {
    value: AtomicU32,
    waker: SpinLock<Option<Waker>>,
}

impl Number {
    fn set(&self, value: u32) {
        self.value.store(value, Ordering::SeqCst);
        if let Some(waker) = self.waker.lock().take() {
            waker.wake();
        }
    }

    fn wait_for(&self, value: u32) -> impl Future<Output = ()> {
        poll_fn(move |context| {
            *self.waker.lock() = Some(context.waker().clone());
            if self.value.load(Ordering::SeqCst) == value {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }
}

/// Two tasks hand a number to and fro.
async fn ping_pong(rounds: u32) {
    let numbers = Arc::new((Number::default(), Number::default()));
    let theirs = Arc::clone(&numbers);
    let task = exec::spawn(async move {
        for round in 1..=rounds {
            theirs.0.wait_for(round).await;
            theirs.1.set(round);
        }
    });
    for round in 1..=rounds {
        numbers.0.set(round);
        numbers.1.wait_for(round).await;
    }
    task.await;
}

fn tasks_wake_each_other() -> Outcome {
    exec::block_on(ping_pong(500));
    Ok(())
}

/// What is left when `block_on` returns goes on in the next, its timers too.
#[allow(
    clippy::async_yields_async,
    reason = "the task is to outlive the block"
)]
fn a_task_survives_its_executor() -> Outcome {
    if !available() {
        return Ok(());
    }
    let task = exec::block_on(async {
        let task = exec::spawn(async {
            time::sleep(Duration::from_micros(500)).await;
            5
        });
        exec::yield_now().await;
        task
    });
    ensure_eq!(exec::block_on(task), 5, "the value");
    Ok(())
}

fn in_threads_too() -> Outcome {
    if !available() {
        return Ok(());
    }
    let sum: u32 = thread::run(|| {
        let threads: Vec<_> = (0..3)
            .map(|number| {
                thread::spawn(move || {
                    exec::block_on(async {
                        time::sleep(Duration::from_micros(100)).await;
                        ping_pong(20).await;
                        number
                    })
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).sum()
    });
    ensure_eq!(sum, 3, "the sum");
    Ok(())
}

fn vcpus_share_the_work() -> Outcome {
    if !available() {
        return Ok(());
    }
    let seen = Arc::new(AtomicU64::new(0));
    let count = vcpu::count().min(4);
    let tasks = exec::run(async {
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let seen = Arc::clone(&seen);
                exec::spawn(async move {
                    // Each stays on its vCPU until all are there.
                    while seen.load(Ordering::SeqCst).count_ones() < count {
                        seen.fetch_or(1 << vcpu::id(), Ordering::SeqCst);
                    }
                    time::sleep(Duration::from_micros(100)).await;
                    ping_pong(50).await;
                })
            })
            .collect();
        let mut ended = 0;
        for task in tasks {
            task.await;
            ended += 1;
        }
        ended
    });
    ensure_eq!(tasks, count, "the tasks that ended");
    Ok(())
}
