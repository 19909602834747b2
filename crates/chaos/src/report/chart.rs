//! Rectangles, points and words of an SVG whose horizontal axis is the time of a run.

use super::put;

/// Width of the time axis, in pixels.
const WIDTH: f64 = 1_120.0;

/// Room for names on the left.
const LEFT: f64 = 120.0;

/// A chart that is being drawn.
pub(super) struct Chart {
    body: String,
    from: u64,
    to: u64,
    height: f64,
}

impl Chart {
    pub(super) fn new(from: u64, to: u64) -> Self {
        Self { body: String::new(), from, to: to.max(from + 1), height: 0.0 }
    }

    /// The top of a new lane of this height.
    pub(super) fn lane(&mut self, name: &str, height: f64) -> f64 {
        let top = self.height;
        self.height += height + 4.0;
        let middle = top + (height / 2.0).min(12.0) + 4.0;
        put(&mut self.body, format_args!("<text x=4 y={middle:.1}>{}</text>", escape(name)));
        top
    }

    pub(super) fn x(&self, at: u64) -> f64 {
        let at = at.clamp(self.from, self.to);
        LEFT + (at - self.from) as f64 / (self.to - self.from) as f64 * WIDTH
    }

    /// A bar over a time; `title` is what a pointer shows.
    pub(super) fn bar(
        &mut self,
        (from, to): (u64, u64),
        (top, height): (f64, f64),
        colour: &str,
        title: &str,
    ) {
        let x = self.x(from);
        let width = (self.x(to) - x).max(0.6);
        put(
            &mut self.body,
            format_args!(
                "<rect x={x:.1} y={top:.1} width={width:.1} height={height:.1} fill=\"{colour}\"><title>{}</title></rect>",
                escape(title)
            ),
        );
    }

    pub(super) fn point(&mut self, at: u64, y: f64, colour: &str) {
        let x = self.x(at);
        put(
            &mut self.body,
            format_args!("<rect x={x:.1} y={y:.1} width=1.6 height=1.6 fill=\"{colour}\"/>"),
        );
    }

    pub(super) fn word(&mut self, x: f64, y: f64, text: &str) {
        put(&mut self.body, format_args!("<text x={x:.1} y={y:.1}>{}</text>", escape(text)));
    }

    /// A thin line across the chart.
    pub(super) fn rule(&mut self, y: f64) {
        put(
            &mut self.body,
            format_args!("<rect x={LEFT} y={y:.1} width={WIDTH} height=0.5 fill=\"#ccc\"/>"),
        );
    }

    /// The whole picture; `shades` are times behind all lanes.
    pub(super) fn finish(mut self, shades: &[(u64, u64)]) -> String {
        let seconds = (self.to - self.from) / crate::clock::SECOND;
        let step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200];
        let step = step.into_iter().find(|step| seconds / step <= 20).unwrap_or(14_400);
        let axis = self.lane("time, s", 14.0);
        for at in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let x = self.x(self.from + at * crate::clock::SECOND);
            self.word(x, axis + 12.0, &at.to_string());
        }
        let (height, width) = (self.height, LEFT + WIDTH + 20.0);
        let mut out =
            format!("<svg xmlns=\"http://www.w3.org/2000/svg\" width={width} height={height}>");
        for (from, to) in shades {
            let x = self.x(*from);
            let wide = (self.x(*to) - x).max(0.6);
            put(
                &mut out,
                format_args!(
                    "<rect x={x:.1} y=0 width={wide:.1} height={height:.1} fill=\"#f9d6d5\"/>"
                ),
            );
        }
        out.push_str(&self.body);
        out.push_str("</svg>");
        out
    }
}

/// Text as it stands in HTML: names of faults, of sets and texts of errors are no markup.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Chart, escape};
    use crate::clock::SECOND;

    #[test]
    fn a_time_has_its_place_and_none_leaves_the_chart() {
        let chart = Chart::new(10 * SECOND, 20 * SECOND);
        let places = [0, 10, 15, 20, 99].map(|at| chart.x(at * SECOND));
        assert_eq!(places, [120.0, 120.0, 680.0, 1_240.0, 1_240.0]);
    }

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(escape("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
        let mut chart = Chart::new(0, SECOND);
        let top = chart.lane("<n0>", 10.0);
        chart.bar((0, SECOND), (top, 10.0), "#000", "<script>");
        let picture = chart.finish(&[(0, 1)]);
        assert!(!picture.contains("<script>") && !picture.contains("<n0>"));
    }
}
