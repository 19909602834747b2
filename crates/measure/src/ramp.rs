//! The knee of a ramp: the one definition, for whoever runs it and whoever draws it.

/// Part of the offered requests that a load must answer with success to be carried.
pub const CARRIED: f64 = 0.99;

/// How much slower than the smallest load one may be before the knee.
pub const KNEE_FACTOR: f64 = 3.0;

/// One load, in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests that were due.
    pub offered: f64,
    /// Those that were answered with success.
    pub answered: f64,
    /// The 99th percentile of their latency in any unit, the same for all loads; absent if too few were answered.
    pub p99: Option<f64>,
    /// Whether the run says anything; others count for nothing.
    pub is_valid: bool,
}

impl Load {
    /// Whether nearly all that was due was answered with success.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.answered >= self.offered * CARRIED
    }
}

/// The largest load up to which every valid one was carried, with its p99 within [`KNEE_FACTOR`] times that of
/// the smallest; none if not even the smallest was. `loads` come by rising load.
#[must_use]
pub fn knee(loads: &[Load]) -> Option<f64> {
    let valid = || loads.iter().filter(|load| load.is_valid);
    let smallest = valid().next()?.p99?;
    let keeps_up = |load: &&Load| {
        load.is_carried() && load.p99.is_some_and(|p99| p99 <= smallest * KNEE_FACTOR)
    };
    valid().take_while(keeps_up).last().map(|load| load.offered)
}

#[cfg(test)]
mod tests {
    use super::{Load, knee};

    fn load(offered: f64, answered: f64, p99: f64) -> Load {
        Load { offered, answered, p99: Some(p99), is_valid: true }
    }

    #[test]
    fn the_knee_is_before_the_first_load_that_is_slow_or_not_carried() {
        let slow =
            [load(1.0, 1.0, 2.0), load(2.0, 2.0, 6.0), load(3.0, 3.0, 6.1), load(4.0, 4.0, 2.0)];
        assert_eq!(knee(&slow), Some(2.0));
        let lost = [load(100.0, 99.0, 2.0), load(200.0, 197.0, 2.0)];
        assert_eq!(knee(&lost), Some(100.0));
        assert_eq!(knee(&lost[1..]), None);
        assert_eq!(knee(&[]), None);
    }

    #[test]
    fn invalid_loads_count_for_nothing() {
        let mut loads =
            [load(1.0, 1.0, 0.1), load(2.0, 2.0, 2.0), load(3.0, 3.0, 9.0), load(4.0, 4.0, 5.0)];
        loads[0].is_valid = false;
        loads[2].is_valid = false;
        assert_eq!(knee(&loads), Some(4.0));
    }
}
