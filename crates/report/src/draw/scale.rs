//! From values to places on a picture, and the round values that stand beside an axis.

use super::numbers;

/// Ticks of a linear axis, at most.
const TICKS_MAX: f64 = 7.0;

/// How an axis is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Equal differences are equal lengths.
    Linear,
    /// Equal ratios are equal lengths; both ends are above zero.
    Log,
}

/// A line from a lowest to a highest value, and where its ends stand, in pixels.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// How it is divided.
    pub kind: Kind,
    /// Value at its first end.
    pub from: f64,
    /// Value at its other end, above `from`.
    pub to: f64,
    /// Place of the first end.
    pub start: f64,
    /// Place of the other end; below `start` on an axis that grows upwards.
    pub end: f64,
}

impl Scale {
    /// A linear scale that is not empty: one value becomes one unit.
    pub fn linear((from, to): (f64, f64), (start, end): (f64, f64)) -> Self {
        let to = if to > from { to } else { from + 1.0 };
        Self { kind: Kind::Linear, from, to, start, end }
    }

    /// A logarithmic scale; what is not above zero is moved there, and one value becomes a decade.
    pub fn log((from, to): (f64, f64), (start, end): (f64, f64)) -> Self {
        let from = if from > 0.0 { from } else { 1e-6 };
        let to = if to > from { to } else { from * 10.0 };
        Self { kind: Kind::Log, from, to, start, end }
    }

    /// Where a value stands. Values beyond an end stand at that end.
    pub fn at(&self, value: f64) -> f64 {
        let share = match self.kind {
            Kind::Linear => (value - self.from) / (self.to - self.from),
            Kind::Log => (value.max(self.from) / self.from).ln() / (self.to / self.from).ln(),
        };
        self.start + share.clamp(0.0, 1.0) * (self.end - self.start)
    }

    /// Round values within the scale, from the lowest, with `true` for those that earn a label.
    pub fn ticks(&self) -> Vec<(f64, bool)> {
        match self.kind {
            Kind::Linear => {
                let step = round_step((self.to - self.from) / TICKS_MAX);
                let first = (self.from / step).ceil();
                let last = (self.to / step + 1e-9).floor();
                (0..=numbers::whole(last - first))
                    .map(|number| ((first + number as f64) * step, true))
                    .collect()
            }
            Kind::Log => self.log_ticks(),
        }
    }

    /// Decades; labels also at 2 and 5 where the scale spans less than three decades.
    fn log_ticks(&self) -> Vec<(f64, bool)> {
        let decades = (self.to / self.from).log10();
        let low = self.from.log10().floor();
        let high = self.to.log10().ceil();
        let mut ticks = Vec::new();
        for number in 0..=numbers::whole(high - low) {
            let decade = 10_f64.powf(low + number as f64);
            for factor in [1.0, 2.0, 5.0] {
                let value = decade * factor;
                let is_inside = value >= self.from * 0.999_999 && value <= self.to * 1.000_001;
                if is_inside && (factor == 1.0 || decades < 4.0) {
                    ticks.push((value, factor == 1.0 || decades < 2.2));
                }
            }
        }
        ticks
    }
}

/// The next of 1, 2, 5, 10, 20, … that is not below `step`.
fn round_step(step: f64) -> f64 {
    let decade = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * decade >= step * 0.999_999);
    factor.unwrap_or(10.0) * decade
}

/// The decade, or its 2 or 5, at or below a value above zero.
pub fn round_down(value: f64) -> f64 {
    let decade = 10_f64.powf(value.log10().floor());
    let factor = [5.0, 2.0, 1.0].into_iter().find(|factor| factor * decade <= value * 1.000_001);
    factor.unwrap_or(1.0) * decade
}

/// The decade, or its 2 or 5, at or above a value above zero.
pub fn round_up(value: f64) -> f64 {
    round_step(value)
}

#[cfg(test)]
mod tests {
    use super::{Scale, round_down, round_up};

    #[test]
    fn places_run_from_end_to_end_and_never_beyond() {
        let up = Scale::linear((0.0, 10.0), (200.0, 0.0));
        assert_eq!([-5.0, 0.0, 5.0, 10.0, 99.0].map(|v| up.at(v)), [200.0, 200.0, 100.0, 0.0, 0.0]);
        let log = Scale::log((1.0, 100.0), (0.0, 100.0));
        assert_eq!([0.0, 1.0, 10.0, 100.0, 1e9].map(|v| log.at(v)), [0.0, 0.0, 50.0, 100.0, 100.0]);
    }

    #[test]
    fn an_empty_scale_still_has_a_length() {
        assert_eq!(Scale::linear((3.0, 3.0), (0.0, 10.0)).to, 4.0);
        assert_eq!(Scale::log((5.0, 5.0), (0.0, 10.0)).to, 50.0);
        assert!(Scale::log((0.0, 5.0), (0.0, 10.0)).from > 0.0);
    }

    #[test]
    fn ticks_are_round() {
        let values = |scale: Scale| -> Vec<f64> {
            scale.ticks().into_iter().filter(|tick| tick.1).map(|tick| tick.0).collect()
        };
        let linear = Scale::linear((0.0, 120.0), (0.0, 1.0));
        assert_eq!(values(linear), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0]);
        assert_eq!(values(Scale::log((80.0, 1e6), (0.0, 1.0))), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(values(Scale::log((90.0, 600.0), (0.0, 1.0))), [100.0, 200.0, 500.0]);
    }

    #[test]
    fn round_values_around_a_value() {
        assert_eq!([7.0, 20.0, 180.0].map(round_down), [5.0, 20.0, 100.0]);
        assert_eq!([7.0, 20.0, 180.0].map(round_up), [10.0, 20.0, 200.0]);
    }
}
