//! Several vCPUs with the SDK: starting them, what each has of its own, and locks between them.

use super::{Group, Outcome, ensure, ensure_eq, tests};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use paravane_sdk::abi::{Errno, Features};
use paravane_sdk::event::{Port, Priority};
use paravane_sdk::sync::SpinLock;
use paravane_sdk::time::Instant;
use paravane_sdk::trap::{Resume, Vector};
use paravane_sdk::upcall::{self, Masked};
use paravane_sdk::vcpu::{self, PerVcpu};
use paravane_sdk::{sched, start_info};

pub const GROUP: Group = Group {
    name: "smp",
    tests: tests![
        all_start,
        a_busy_one_is_not_started,
        per_vcpu_values,
        spin_lock_between_vcpus,
        the_heap_between_vcpus,
        traps_on_every_vcpu,
        interrupts_between_vcpus,
        each_event_comes_once,
    ],
};

fn available() -> bool {
    start_info::get().features().contains(Features::VCPUS) && vcpu::count() > 1
}

/// Runs a function on all vCPUs at once, and waits for all.
fn on_all(body: impl Fn(u32) + Send + Sync + 'static) -> Outcome {
    let body = Arc::new(body);
    let theirs = Arc::clone(&body);
    let others = vcpu::start_all(move |id| theirs(id));
    body(vcpu::id());
    vcpu::join(&others);
    ensure_eq!(
        others.len() as u32,
        vcpu::count() - 1,
        "the number of vCPUs started"
    );
    Ok(())
}

/// A port for each vCPU, at which others interrupt it.
fn a_port_for_each() -> Result<Arc<Vec<Port>>, String> {
    let ports = (0..vcpu::count()).map(|id| Port::for_ipi(id, Priority::default()));
    let ports = ports.collect::<Result<Vec<_>, _>>();
    ports
        .map(Arc::new)
        .map_err(|error| format!("event_bind_ipi: {error}"))
}

/// As [`on_all`], with upcalls. The handlers of the ports are gone at the end.
fn on_all_with_upcalls(ports: &[Port], body: impl Fn(u32) + Send + Sync + 'static) -> Outcome {
    let was_enabled = upcall::is_enabled();
    upcall::enable();
    let outcome = on_all(body);
    if !was_enabled {
        upcall::disable();
    }
    for port in ports {
        upcall::clear_handler(port.number());
    }
    outcome
}

fn all_start() -> Outcome {
    if !available() {
        return Ok(());
    }
    let expected: Vec<_> = (0..vcpu::count()).collect();
    for _ in 0..5 {
        let seen = Arc::new(SpinLock::new(Vec::new()));
        let theirs = Arc::clone(&seen);
        on_all(move |id| theirs.lock().push((id, vcpu::id())))?;
        let mut seen = core::mem::take(&mut *seen.lock());
        seen.sort_unstable();
        ensure!(seen.iter().all(|(told, is)| told == is), "a wrong number");
        let seen: Vec<_> = seen.into_iter().map(|(id, _)| id).collect();
        ensure_eq!(seen, expected, "the vCPUs that ran");
    }
    Ok(())
}

fn a_busy_one_is_not_started() -> Outcome {
    let nothing = |_: u32| ();
    ensure_eq!(
        vcpu::start(vcpu::count(), nothing),
        Err(Errno::EINVAL),
        "starting one behind the last"
    );
    if available() {
        ensure_eq!(
            vcpu::start(vcpu::id(), nothing),
            Err(Errno::EBUSY),
            "starting this one"
        );
    }
    Ok(())
}

fn per_vcpu_values() -> Outcome {
    static NUMBERS: PerVcpu<Cell<u32>> = PerVcpu::new(Cell::new);
    static COUNTS: PerVcpu<AtomicU32> = PerVcpu::new(|_| AtomicU32::new(0));
    const ROUNDS: u32 = 1000;
    let body = |id| {
        for _ in 0..ROUNDS {
            NUMBERS.with(|number| number.set(number.get() + id + 1));
        }
        let sum = NUMBERS.with(|number| number.replace(id));
        COUNTS.with(|count| count.store(sum, Ordering::SeqCst));
    };
    if available() {
        on_all(body)?;
    } else {
        body(0);
    }
    for (id, count) in (0..).zip(COUNTS.iter()) {
        let expected = match available() || id == 0 {
            true => id + ROUNDS * (id + 1),
            false => 0,
        };
        ensure_eq!(
            count.load(Ordering::SeqCst),
            expected,
            "the sum of vCPU {id}"
        );
    }
    Ok(())
}

fn spin_lock_between_vcpus() -> Outcome {
    if !available() {
        return Ok(());
    }
    const ROUNDS: u64 = 500;
    let pair = Arc::new(SpinLock::new((0, 0, true)));
    let theirs = Arc::clone(&pair);
    on_all(move |_| {
        for _ in 0..ROUNDS {
            let mut pair = theirs.lock();
            pair.2 &= pair.0 == pair.1;
            pair.0 += 1;
            pair.1 = core::hint::black_box(pair.1) + 1;
        }
    })?;
    let total = ROUNDS * u64::from(vcpu::count());
    ensure_eq!(*pair.lock(), (total, total, true), "what the vCPUs counted");
    Ok(())
}

fn the_heap_between_vcpus() -> Outcome {
    if !available() {
        return Ok(());
    }
    let wrong = Arc::new(AtomicU32::new(0));
    let theirs = Arc::clone(&wrong);
    on_all(move |id| {
        for round in 0..100 {
            let blocks: Vec<Vec<u32>> = (1..10).map(|size| alloc::vec![id; size]).collect();
            if blocks.iter().flatten().any(|&word| word != id) {
                theirs.fetch_add(round + 1, Ordering::SeqCst);
            }
        }
    })?;
    ensure_eq!(
        wrong.load(Ordering::SeqCst),
        0,
        "blocks that were overwritten"
    );
    Ok(())
}

fn traps_on_every_vcpu() -> Outcome {
    if !available() {
        return Ok(());
    }
    static TRAPS: AtomicU64 = AtomicU64::new(0);
    TRAPS.store(0, Ordering::SeqCst);
    let handlers = crate::selftest::catch::Handlers::set(&[(Vector::BP, |_| {
        TRAPS.fetch_add(1 << (8 * vcpu::id().min(7)), Ordering::SeqCst);
        Resume::Resume
    })]);
    let outcome = on_all(|_| {
        for _ in 0..10 {
            crate::provoke::breakpoint();
        }
    });
    drop(handlers);
    outcome?;
    let counts = TRAPS.load(Ordering::SeqCst).to_le_bytes();
    let vcpus = (vcpu::count() as usize).min(7);
    ensure_eq!(counts[..vcpus], [10; 7][..vcpus], "the traps of each vCPU");
    Ok(())
}

/// An interrupt goes round all vCPUs.
fn interrupts_between_vcpus() -> Outcome {
    if !available() || !start_info::get().features().contains(Features::EVENTS) {
        return Ok(());
    }
    const ROUNDS: u32 = 3;
    let count = vcpu::count();
    let ports = a_port_for_each()?;
    let hops = Arc::new(SpinLock::new(Vec::new()));
    let total = (ROUNDS * count) as usize;
    for id in 0..count {
        let (ports, hops) = (Arc::downgrade(&ports), Arc::clone(&hops));
        let here = paravane_sdk::vcpu::id;
        upcall::set_handler(id_of(&ports, id).ok_or("a port is gone")?, move |_| {
            let mut hops = hops.lock();
            hops.push(here());
            if hops.len() < total
                && let Some(ports) = ports.upgrade()
            {
                let _ = ports[((id + 1) % count) as usize].send();
            }
        });
    }
    let (first, seen) = (Arc::clone(&ports), Arc::clone(&hops));
    on_all_with_upcalls(&ports, move |id| {
        if id == 0 {
            let _ = first[0].send();
        }
        while seen.lock().len() < total {
            // A host with fewer processors has others to run.
            sched::yield_now();
        }
    })?;
    let expected: Vec<_> = (0..total as u32).map(|hop| hop % count).collect();
    ensure_eq!(*hops.lock(), expected, "the vCPUs that were interrupted");
    Ok(())
}

/// Each vCPU sends to all, and masks its own upcalls half of the time: what was sent to a port that
/// was not pending comes, once; what was sent to one that was comes with that.
fn each_event_comes_once() -> Outcome {
    if !available() || !start_info::get().features().contains(Features::EVENTS) {
        return Ok(());
    }
    const SENDS: u32 = 200;
    const TIME: Duration = Duration::from_millis(200);
    let count = vcpu::count();
    let ports = a_port_for_each()?;
    let counters =
        || -> Arc<Vec<AtomicU64>> { Arc::new((0..count).map(|_| AtomicU64::new(0)).collect()) };
    let (sent, come) = (counters(), counters());
    for (id, port) in (0..).zip(ports.iter()) {
        let come = Arc::clone(&come);
        upcall::set_handler(port.number(), move |_| {
            come[id].fetch_add(1, Ordering::SeqCst);
        });
    }
    let (own, all_sent, all_come) = (Arc::clone(&ports), Arc::clone(&sent), Arc::clone(&come));
    let ready = AtomicU32::new(0);
    on_all_with_upcalls(&ports, move |id| {
        let begun = Instant::now();
        for round in 0..SENDS {
            let to = ((id + round) % count) as usize;
            let masked = round.is_multiple_of(2).then(Masked::new);
            if own[to].send() == Ok(true) {
                all_sent[to].fetch_add(1, Ordering::SeqCst);
            }
            drop(masked);
            if begun.elapsed() > TIME {
                break;
            }
        }
        // Nobody leaves, with whom upcalls of others could come, before all have come.
        ready.fetch_add(1, Ordering::SeqCst);
        let own = id as usize;
        while ready.load(Ordering::SeqCst) < count
            || all_come[own].load(Ordering::SeqCst) < all_sent[own].load(Ordering::SeqCst)
        {
            if begun.elapsed() > Duration::from_secs(20) {
                return;
            }
            sched::yield_now();
        }
    })?;
    let totals = |counters: &[AtomicU64]| -> Vec<_> {
        counters
            .iter()
            .map(|each| each.load(Ordering::SeqCst))
            .collect()
    };
    ensure_eq!(
        totals(&come),
        totals(&sent),
        "how many events came on each vCPU"
    );
    Ok(())
}

fn id_of(ports: &alloc::sync::Weak<Vec<Port>>, id: u32) -> Option<u32> {
    Some(ports.upgrade()?.get(id as usize)?.number())
}
