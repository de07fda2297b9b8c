//! The clock and timers.
//!
//! Upcalls stay masked: what an upcall would tell, these tests read where it stands.

use super::events::{Quiet, taken};
use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use core::hint::spin_loop;
use core::time::Duration;
use paravane_sdk::event::{Events, Port, Priority, upcall_pending};
use paravane_sdk::hypercall::raw;
use paravane_sdk::time::{self, Instant, Timer};
use paravane_sdk::{Errno, Features, Gpa, start_info, stats, vcpu};

pub const GROUP: Group = Group {
    name: "time",
    tests: tests![
        there_is_a_clock,
        the_clock_never_goes_back,
        the_clock_costs_no_exit,
        the_clock_and_the_time_of_day_agree,
        a_timer_is_not_early,
        a_time_that_has_passed_is_now,
        a_timer_that_is_set_again_forgets,
        a_periodic_timer_keeps_its_beat,
        a_timer_that_nobody_looks_at_is_one_event,
        a_cancelled_timer_is_silent,
        timers_come_in_their_order,
        a_closed_timer_is_silent,
        wrong_arguments_are_refused,
    ],
};

/// How long a timer may be late before a test gives up. A host may be slow, and a guest
/// interpreted.
const PATIENCE: Duration = Duration::from_secs(20);

const MILLISECOND: Duration = Duration::from_millis(1);

fn timer() -> Result<Timer, String> {
    Timer::new(vcpu::id(), Priority::High).map_err(|error| format!("event_bind_timer: {error}"))
}

fn in_time(duration: Duration) -> Instant {
    Instant::now() + duration
}

/// Waits until this vCPU is told of something; when it was.
fn wait_until_told() -> Result<Instant, String> {
    let begun = Instant::now();
    while !upcall_pending() {
        ensure!(begun.elapsed() < PATIENCE, "no event came");
        spin_loop();
    }
    Ok(Instant::now())
}

fn wait_until(time: Instant) {
    while Instant::now() < time {
        spin_loop();
    }
}

fn there_is_a_clock() -> Outcome {
    let offered = start_info::get().features().contains(Features::CLOCK);
    let Some(clock) = time::clock() else {
        ensure!(!offered, "a clock is offered, and there is none");
        return Ok(());
    };
    ensure!(offered, "there is a clock, and it is not offered");
    ensure_eq!(clock.flags & 1, 1, "the flag of a stable TSC");
    let frequency = start_info::get().tsc_frequency();
    ensure!(frequency.is_some(), "the frequency of the TSC is not known");
    Ok(())
}

fn the_clock_never_goes_back() -> Outcome {
    let first = Instant::now();
    let mut last = first;
    for _ in 0..10_000 {
        let now = Instant::now();
        ensure!(now >= last, "{last:?} was followed by {now:?}");
        last = now;
    }
    ensure!(last > first, "the clock stands still at {last:?}");
    Ok(())
}

fn the_clock_costs_no_exit() -> Outcome {
    let hypercalls = || {
        stats::read()
            .map(|stats| stats.hypercalls)
            .map_err(|error| format!("core_stats: {error}"))
    };
    let before = hypercalls()?;
    for _ in 0..1000 {
        core::hint::black_box(Instant::now());
    }
    ensure_eq!(hypercalls()? - before, 1, "the calls of 1000 clock reads");
    Ok(())
}

fn the_clock_and_the_time_of_day_agree() -> Outcome {
    let read = || {
        let before = Instant::now();
        let day = time::wallclock().map_err(|error| format!("time_wallclock: {error}"))?;
        let after = Instant::now();
        ensure!(
            (before.as_nanos()..=after.as_nanos()).contains(&day.clock),
            "the clock was {} between {before:?} and {after:?}",
            day.clock
        );
        ensure!(day.nanoseconds < 1_000_000_000, "{day:?}");
        ensure_eq!(day.reserved, 0, "the reserved field");
        let nanoseconds = u128::from(day.seconds) * 1_000_000_000 + u128::from(day.nanoseconds);
        Ok::<_, String>((nanoseconds, u128::from(day.clock), after - before))
    };
    let (day, clock, first) = read()?;
    // The year 2020: a host's clock is not before this program.
    ensure!(day > 1_577_836_800_000_000_000, "it is {day} ns past 1970");
    wait_until(in_time(20 * MILLISECOND));
    let (later_day, later_clock, second) = read()?;
    let (by_day, by_clock) = (later_day.saturating_sub(day), later_clock - clock);
    // Each reading is good to the time that its call takes, which is not short everywhere.
    let tolerance = (first + second).as_nanos() + 20_000_000;
    ensure!(
        by_day.abs_diff(by_clock) < tolerance,
        "{by_day} ns of the day are {by_clock} ns of the clock"
    );
    Ok(())
}

fn a_timer_is_not_early() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    for microseconds in [0, 1, 50, 300, 2000, 20_000] {
        let deadline = in_time(Duration::from_micros(microseconds));
        timer.set(deadline);
        let told = wait_until_told()?;
        ensure!(told >= deadline, "{told:?} is before {deadline:?}");
        ensure_eq!(taken(), [timer.port().number()], "the events");
    }
    ensure!(!timer.cancel(), "it is still set");
    Ok(())
}

fn a_time_that_has_passed_is_now() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    timer.set(Instant::from_nanos(0));
    ensure!(timer.port().is_pending(), "it is not pending");
    ensure!(upcall_pending(), "the vCPU was not told");
    ensure!(!timer.cancel(), "it is still set");
    Ok(())
}

fn a_timer_that_is_set_again_forgets() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    let mut time = 2 * MILLISECOND;
    let deadline = loop {
        let first = in_time(time);
        timer.set(first);
        let deadline = first + 8 * MILLISECOND;
        timer.set(deadline);
        // Unless that took so long that the first one came.
        if Instant::now() < first {
            break deadline;
        }
        timer.cancel();
        taken();
        time *= 2;
    };
    let told = wait_until_told()?;
    ensure!(told >= deadline, "the first deadline is not forgotten");
    timer.set(in_time(PATIENCE));
    taken();
    timer.set(in_time(MILLISECOND));
    wait_until_told()?;
    Ok(())
}

fn a_periodic_timer_keeps_its_beat() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    let period = 2 * MILLISECOND;
    let first = in_time(period);
    ensure_eq!(timer.set_periodic(first, period), Ok(()), "time_periodic");
    // Several beats may be one event; but each event is of a beat of its own, which has come. Who
    // takes the next one before it is told is told of nothing then.
    let mut events = 0;
    while events < 10 {
        wait_until_told()?;
        let ports = taken();
        ensure!(
            ports.iter().all(|port| *port == timer.port().number()),
            "{ports:?} came"
        );
        events += ports.len() as u32;
        let latest = first + period * events.saturating_sub(1);
        let now = Instant::now();
        ensure!(now >= latest, "{events} events came by {now:?}");
    }
    ensure!(timer.cancel(), "it was not set any more");
    Ok(())
}

fn a_timer_that_nobody_looks_at_is_one_event() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    let first = in_time(MILLISECOND);
    ensure_eq!(
        timer.set_periodic(first, MILLISECOND),
        Ok(()),
        "time_periodic"
    );
    wait_until(first + 10 * MILLISECOND);
    wait_until_told()?;
    ensure!(timer.cancel(), "it was not set any more");
    ensure_eq!(taken(), [timer.port().number()], "the events");
    ensure_eq!(taken(), [], "the events after that");
    Ok(())
}

fn a_cancelled_timer_is_silent() -> Outcome {
    let _quiet = Quiet::begin();
    let timer = timer()?;
    ensure!(!timer.cancel(), "a new timer is set");
    let mut time = 50 * MILLISECOND;
    let deadline = loop {
        let deadline = in_time(time);
        timer.set(deadline);
        if timer.cancel() {
            break deadline;
        }
        // Unless it came before.
        ensure!(Instant::now() >= deadline, "it was not set");
        taken();
        time *= 2;
    };
    ensure!(!timer.cancel(), "it was set after it was cancelled");
    wait_until(deadline + 5 * MILLISECOND);
    ensure!(!timer.port().is_pending(), "it has become pending");
    // What is pending stays so.
    timer.set(Instant::from_nanos(1));
    ensure!(!timer.cancel(), "it is set though it was due");
    ensure!(timer.port().is_pending(), "its event is gone");
    Ok(())
}

fn timers_come_in_their_order() -> Outcome {
    let _quiet = Quiet::begin();
    let timers = [timer()?, timer()?, timer()?];
    let now = Instant::now();
    let after = |milliseconds| now + milliseconds * MILLISECOND;
    let deadlines = [after(60), after(20), after(40)];
    for (timer, deadline) in timers.iter().zip(deadlines) {
        timer.set(deadline);
    }
    for expected in [1, 2, 0] {
        let told = wait_until_told()?;
        let events: alloc::vec::Vec<_> = Events::begin().collect();
        // A slow host may have let two of them pass.
        ensure!(
            events.contains(&timers[expected].port().number()) || told > deadlines[expected],
            "timer {expected} did not come next"
        );
        if events.len() > 1 {
            return Ok(());
        }
        ensure!(told >= deadlines[expected], "timer {expected} is early");
    }
    Ok(())
}

fn a_closed_timer_is_silent() -> Outcome {
    let _quiet = Quiet::begin();
    let deadline = in_time(10 * MILLISECOND);
    timer()?.set(deadline);
    // It has the number that the timer's port had.
    let port = Port::new(vcpu::id(), Priority::High).map_err(|error| format!("{error}"))?;
    wait_until(deadline + 5 * MILLISECOND);
    ensure!(!port.is_pending(), "a closed timer has raised a port");
    Ok(())
}

fn wrong_arguments_are_refused() -> Outcome {
    let port = Port::new(vcpu::id(), Priority::High).map_err(|error| format!("{error}"))?;
    let [number, free, past] = [port.number(), 0, 4096];
    let timer = timer()?;
    let short = timer.set_periodic(Instant::now(), Duration::from_nanos(49_999));
    ensure_eq!(short, Err(Errno::EINVAL), "a period that is too short");
    for (port, errno) in [
        (number, Errno::EINVAL),
        (past, Errno::EINVAL),
        (free, Errno::ENOENT),
    ] {
        ensure_eq!(raw::time_oneshot(port, 0), Err(errno), "time_oneshot");
        let periodic = raw::time_periodic(port, 0, 1_000_000);
        ensure_eq!(periodic, Err(errno), "time_periodic");
        ensure_eq!(raw::time_cancel(port), Err(errno), "time_cancel");
    }
    let sent = raw::event_send(timer.port().number());
    ensure_eq!(sent, Err(Errno::EPERM), "a send to a timer's port");
    bad_wallclock()
}

#[allow(unsafe_code)]
fn bad_wallclock() -> Outcome {
    for gpa in [4, u64::MAX - 7] {
        // SAFETY: the VMM refuses it.
        let result = unsafe { raw::time_wallclock(Gpa(gpa)) };
        ensure_eq!(result, Err(Errno::EFAULT), "time_wallclock at {gpa:#x}");
    }
    Ok(())
}
