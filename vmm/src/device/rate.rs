//! Limits on the rate of a device's I/O: token buckets for bytes and for operations.
//!
//! A bucket holds at most what its rate fills in a second, so that is the largest burst. A request
//! is let through while each bucket has a token, and then charged whole, so one that is larger than
//! a bucket gets through too, and those after it wait.

use std::time::Duration;
use tokio::time::Instant;

/// A bucket counts in this part of a token, what a rate of 1/s fills in a nanosecond.
const PER_TOKEN: i128 = 1_000_000_000;

#[derive(Clone, Debug)]
struct Bucket {
    /// Tokens per second.
    rate: i128,
    /// Negative: a debt.
    level: i128,
    filled: Instant,
}

impl Bucket {
    fn new(rate: u64, now: Instant) -> Self {
        let rate = i128::from(rate.max(1));
        Self {
            rate,
            level: rate * PER_TOKEN,
            filled: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        // More than this fills any bucket and pays any debt of one request.
        const LONG: u128 = 1 << 63;
        let passed = now.saturating_duration_since(self.filled);
        let passed = passed.as_nanos().min(LONG) as i128;
        let full = self.rate * PER_TOKEN;
        self.level = self.level.saturating_add(passed * self.rate).min(full);
        self.filled = now;
    }

    fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        if self.level >= PER_TOKEN {
            return None;
        }
        let nanoseconds = (PER_TOKEN - self.level + self.rate - 1) / self.rate;
        Some(Duration::from_nanos(
            u64::try_from(nanoseconds).unwrap_or(u64::MAX),
        ))
    }

    fn charge(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(i128::from(tokens) * PER_TOKEN);
    }
}

/// The limits of one device, or of one direction of it.
#[derive(Clone, Debug, Default)]
pub struct RateLimiter {
    bytes: Option<Bucket>,
    operations: Option<Bucket>,
}

impl RateLimiter {
    /// Limits the bytes and the operations per second; `None` is no limit. Both buckets are full.
    pub fn new(bytes: Option<u64>, operations: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            bytes: bytes.map(|rate| Bucket::new(rate, now)),
            operations: operations.map(|rate| Bucket::new(rate, now)),
        }
    }

    /// Whether there is a limit at all.
    pub fn is_limited(&self) -> bool {
        self.bytes.is_some() || self.operations.is_some()
    }

    /// When the next request may go: `None` is now.
    pub fn wait_until(&mut self) -> Option<Instant> {
        if !self.is_limited() {
            return None;
        }
        let now = Instant::now();
        let buckets = [self.bytes.as_mut(), self.operations.as_mut()];
        let waits = buckets.into_iter().flatten();
        let longest = waits.filter_map(|bucket| bucket.wait(now)).max()?;
        // A time beyond the clock's range is as good as the furthest one that tokio can sleep.
        let day = Duration::from_secs(86_400);
        Some(now + longest.min(day))
    }

    /// Charges one operation of this many bytes.
    pub fn charge(&mut self, bytes: u64) {
        if let Some(bucket) = &mut self.bytes {
            bucket.charge(bytes);
        }
        if let Some(bucket) = &mut self.operations {
            bucket.charge(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep_until;

    async fn run(limiter: &mut RateLimiter, requests: u32, bytes: u64) -> Duration {
        let start = Instant::now();
        for _ in 0..requests {
            while let Some(when) = limiter.wait_until() {
                sleep_until(when).await;
            }
            limiter.charge(bytes);
        }
        start.elapsed()
    }

    #[track_caller]
    fn about(passed: Duration, milliseconds: u64) {
        let expected = Duration::from_millis(milliseconds);
        let off = passed.abs_diff(expected);
        assert!(off <= Duration::from_millis(30), "{passed:?}, {expected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_waits() {
        let mut limiter = RateLimiter::new(None, None);
        about(run(&mut limiter, 1000, u64::MAX).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_second_is_a_burst_and_then_the_rate_holds() {
        let mut limiter = RateLimiter::new(None, Some(100));
        about(run(&mut limiter, 100, 4096).await, 0);
        about(run(&mut limiter, 500, 4096).await, 5000);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_limited() {
        let mut limiter = RateLimiter::new(Some(1 << 20), None);
        about(run(&mut limiter, 512, 4096).await, 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_tighter_of_two_limits_holds() {
        let mut limiter = RateLimiter::new(Some(1 << 30), Some(10));
        about(run(&mut limiter, 30, 512).await, 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_burst_is_paid_off_by_those_after_it() {
        let mut limiter = RateLimiter::new(Some(1000), None);
        about(run(&mut limiter, 1, 5000).await, 0);
        about(run(&mut limiter, 1, 1).await, 4000);
    }

    #[tokio::test(start_paused = true)]
    async fn idling_saves_no_more_than_one_burst() {
        let mut limiter = RateLimiter::new(None, Some(10));
        tokio::time::sleep(Duration::from_secs(3600)).await;
        about(run(&mut limiter, 30, 1).await, 2000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_largest_numbers_do_not_overflow() {
        let mut limiter = RateLimiter::new(Some(u64::MAX), Some(u64::MAX));
        for _ in 0..100 {
            limiter.charge(u64::MAX);
        }
        assert!(limiter.wait_until().is_some());
        let mut slow = RateLimiter::new(Some(1), None);
        slow.charge(u64::MAX);
        let when = slow.wait_until().expect("it is in debt");
        assert!(when > Instant::now());
    }
}
