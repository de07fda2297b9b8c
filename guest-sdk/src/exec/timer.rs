//! Time, as futures.

use super::worker::{TimerKey, Worker};
use crate::time::Instant;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

/// Waits for a time.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until a time.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep {
        deadline,
        place: None,
    }
}

/// A future that is ready when its time has come. It is polled by this module's executor only.
#[must_use]
pub struct Sleep {
    deadline: Instant,
    /// Where it was registered.
    place: Option<(Arc<Worker>, TimerKey)>,
}

impl Sleep {
    /// When it is ready.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    fn forget_place(&mut self) {
        if let Some((worker, key)) = self.place.take() {
            worker.remove_timer(key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= Instant::now() {
            self.forget_place();
            return Poll::Ready(());
        }
        if let Some((worker, key)) = &self.place
            && worker.change_timer(*key, context.waker())
        {
            return Poll::Pending;
        }
        let Some(worker) = Worker::current() else {
            panic!("a Sleep is polled outside of exec::block_on");
        };
        let key = worker.add_timer(self.deadline, context.waker());
        self.place = Some((worker, key));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget_place();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// Ticks, the first one a period from now.
///
/// # Panics
///
/// When the period is zero.
pub fn interval(period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval of no time");
    Interval {
        next: Instant::now() + period,
        period,
    }
}

/// Ticks that come at equal distances.
#[derive(Debug)]
pub struct Interval {
    next: Instant,
    period: Duration,
}

impl Interval {
    /// Waits for the next tick, and says when it was due. Ticks that nobody waited for in time are
    /// left out.
    pub async fn tick(&mut self) -> Instant {
        let due = self.next;
        sleep_until(due).await;
        let late = due.elapsed().as_nanos() / self.period.as_nanos();
        let periods = u32::try_from(late).unwrap_or(u32::MAX - 1) + 1;
        self.next = due + self.period.saturating_mul(periods);
        due
    }
}
