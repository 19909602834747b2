//! The windows as one interval log, which the tools of `HdrHistogram` read and merge.

use measure::folder::Found;
use std::fmt::Write as _;

/// What the tools expect first; the unit inside is the nanosecond.
const HEAD: &str =
    "#[Histogram log format version 1.3]\n#[times are nanoseconds; tags are arm/operation]\n";

/// Nanoseconds of a millisecond, the unit of the column of maxima.
const NS_PER_MS: f64 = 1e6;

/// All measured windows of all runs, one line for each operation, tagged `arm/operation`. Times are seconds
/// from the start of measuring of their run. A text that is no histogram is left out.
pub fn hlog<'a>(runs: impl IntoIterator<Item = &'a Found>) -> String {
    let mut out = HEAD.to_owned();
    for found in runs {
        let length = found.run.time.window_ms as f64 / 1e3;
        for window in found.measured() {
            for op in &window.ops {
                let Ok(histogram) = op.latency.decode() else { continue };
                if histogram.count() == 0 {
                    continue;
                }
                writeln!(
                    out,
                    "Tag={},{:.3},{length:.3},{:.3},{}",
                    tag(&format!("{}/{}", found.run.arm, op.op)),
                    window.at_ms as f64 / 1e3,
                    histogram.max_ns() as f64 / NS_PER_MS,
                    op.latency.0
                )
                .expect("a string grows");
            }
        }
    }
    out
}

/// A tag has no comma, space or line end.
fn tag(text: &str) -> String {
    text.replace([',', ' ', '\n', '\r'], "_")
}
