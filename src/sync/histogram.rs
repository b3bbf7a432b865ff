//! How long did things take? Lock-free histograms of durations.
//!
//! Log-linear buckets, as HdrHistogram's: eight to each power of two, so a reported quantile is at
//! most one eighth above the true one. Recording is one atomic addition and may happen on any thread.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bits of the mantissa that choose a bucket inside a power of two.
const SUB_BITS: u32 = 3;
const BUCKETS: usize = (64 << SUB_BITS) as usize;

/// A histogram of durations, in nanoseconds inside and microseconds outside.
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

/// Quantiles of a [`Histogram`], in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Summary {
    /// How many durations were recorded.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Half were at most this long.
    pub p50: f64,
    /// 99 of 100 were at most this long.
    pub p99: f64,
    /// 999 of 1,000 were at most this long.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

impl Histogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    /// Records one duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The quantiles of what was recorded since the last [`Histogram::reset`].
    pub fn summary(&self) -> Summary {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let quantile = |part: f64| {
            let rank = (part * count as f64).ceil() as u64;
            let mut seen = 0;
            let index = counts.iter().position(|&in_bucket| {
                seen += in_bucket;
                seen >= rank.max(1)
            });
            index.map_or(0, |index| upper_bound(index).min(max)) as f64 / 1e3
        };
        Summary {
            count,
            sum: self.sum.load(Ordering::Relaxed) as f64 / 1e3,
            p50: quantile(0.5),
            p99: quantile(0.99),
            p999: quantile(0.999),
            max: max as f64 / 1e3,
        }
    }

    /// Forgets everything. A duration recorded meanwhile may be lost or kept.
    pub fn reset(&self) {
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
        self.sum.store(0, Ordering::Relaxed);
        self.max.store(0, Ordering::Relaxed);
    }
}

fn bucket(nanos: u64) -> usize {
    let exponent = (u64::BITS - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // Below 2^(SUB_BITS+1) every value has a bucket of its own.
    ((exponent << SUB_BITS) as u64 + (nanos >> exponent)) as usize
}

/// The largest value of a bucket.
fn upper_bound(index: usize) -> u64 {
    let sub = 1_usize << SUB_BITS;
    if index < 2 * sub {
        return index as u64;
    }
    let exponent = (index / sub - 1) as u32;
    let mantissa = (index % sub + sub) as u128;
    u64::try_from(((mantissa + 1) << exponent) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_are_close_and_the_maximum_is_exact() {
        let histogram = Histogram::new();
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }
        let summary = histogram.summary();
        assert_eq!(summary.count, 1000);
        assert!((500.0..=563.0).contains(&summary.p50), "{summary:?}");
        assert!((990.0..=1000.0).contains(&summary.p99), "{summary:?}");
        assert_eq!(summary.max, 1000.0);
        histogram.reset();
        assert_eq!(histogram.summary(), Summary::default());
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values(nanos: u64) {
            let index = bucket(nanos);
            prop_assert!(index < BUCKETS);
            prop_assert!(nanos <= upper_bound(index));
            prop_assert!(index == 0 || nanos > upper_bound(index - 1));
        }
    }
}
