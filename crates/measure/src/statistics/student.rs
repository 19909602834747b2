//! Student's t distribution with whole degrees of freedom, exactly.
//!
//! Source: Abramowitz and Stegun, 26.7.3 and 26.7.4 (finite series).

/// Steps of the search for a bound; each halves what is left.
const STEPS: u32 = 200;

/// A bound that no confidence below 0.9999 reaches, even with one degree of freedom.
const BOUND_MAX: f64 = 1e5;

/// How likely (0 to 1) a value lies within ± `t`, with so many degrees of freedom (1 or more).
pub(super) fn within(t: f64, freedom: u32) -> f64 {
    let angle = (t / f64::from(freedom).sqrt()).atan();
    let (sine, cosine) = angle.sin_cos();
    let is_odd = freedom % 2 == 1;
    // Odd: sin·cos·(1 + 2/3·cos² + …); even: sin·(1 + 1/2·cos² + 3/8·cos⁴ + …).
    let (mut term, mut power) = if is_odd { (sine * cosine, 3) } else { (sine, 2) };
    let mut sum = 0.0;
    while power <= freedom {
        sum += term;
        term *= cosine * cosine * f64::from(power - 1) / f64::from(power);
        power += 2;
    }
    if is_odd { (angle + sum) * std::f64::consts::FRAC_2_PI } else { sum }
}

/// The bound within ± which a value lies with this confidence (0 to 1).
pub(super) fn bound(confidence: f64, freedom: u32) -> f64 {
    let (mut low, mut high) = (0.0, BOUND_MAX);
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if within(middle, freedom) < confidence {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::{bound, within};

    #[test]
    fn bounds_are_those_of_the_printed_tables() {
        let rows = [
            (0.95, 1, 12.706),
            (0.95, 2, 4.303),
            (0.95, 4, 2.776),
            (0.95, 9, 2.262),
            (0.99, 4, 4.604),
            (0.99, 30, 2.750),
            (0.95, 1_000, 1.962),
        ];
        for (confidence, freedom, expected) in rows {
            let bound = bound(confidence, freedom);
            assert!((bound - expected).abs() < 6e-4, "{confidence} {freedom}: {bound}");
        }
        assert!(within(0.0, 5) == 0.0 && within(1e9, 5) > 0.999_999);
    }
}
