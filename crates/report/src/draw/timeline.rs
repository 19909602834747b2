//! Lanes over one time axis: what happened when, side by side.

use super::scale::Scale;
use super::svg::{Picture, Rect};
use maud::Markup;

/// Width of the time axis, in pixels.
const WIDTH: f64 = 1_100.0;

/// Room for names on the left.
const LEFT: f64 = 110.0;

/// Room on the right, for the last number of the axis.
const RIGHT: f64 = 20.0;

/// Between two lanes.
const GAP: f64 = 4.0;

/// Height of the axis.
const AXIS: f64 = 20.0;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

/// A bar is at least this wide, so that what was short is still seen.
const BAR_MIN: f64 = 0.8;

/// Lanes that are being drawn, from the top.
#[derive(Debug)]
pub struct Timeline {
    picture: Picture,
    seconds: Scale,
    from: u64,
}

impl Timeline {
    /// No lane yet; times are nanoseconds of one clock.
    pub fn new(from: u64, to: u64) -> Self {
        let length = to.saturating_sub(from).max(1) as f64 / SECOND;
        let ends = (LEFT, LEFT + WIDTH);
        Self {
            picture: Picture::new(LEFT + WIDTH + RIGHT, 0.0),
            seconds: Scale::linear((0.0, length), ends),
            from,
        }
    }

    /// The top of a new lane of this height.
    pub fn lane(&mut self, name: &str, height: f64) -> f64 {
        let top = self.picture.height;
        self.picture.height += height + GAP;
        let middle = top + (height / 2.0).min(12.0) + 4.0;
        self.picture.text((LEFT - 8.0, middle), "end", name);
        top
    }

    /// Where a time stands; times outside stand at the nearer end.
    pub fn x(&self, at: u64) -> f64 {
        self.seconds.at(at.saturating_sub(self.from) as f64 / SECOND)
    }

    /// A bar over a time; `tip` is what a pointer shows.
    pub fn bar(
        &mut self,
        (from, to): (u64, u64),
        (top, height): (f64, f64),
        class: &str,
        tip: &str,
    ) {
        let x = self.x(from);
        let width = (self.x(to) - x).max(BAR_MIN);
        self.picture.rect(Rect { x, y: top, width, height }, class, Some(tip));
    }

    /// One sample of a scatter.
    pub fn point(&mut self, at: u64, y: f64, class: &str) {
        let rect = Rect { x: self.x(at), y, width: 1.8, height: 1.8 };
        self.picture.rect(rect, class, None);
    }

    /// Text from a place on.
    pub fn word(&mut self, place: (f64, f64), class: &str, text: &str) {
        self.picture.text(place, class, text);
    }

    /// A thin line across all times, named at its left.
    pub fn rule(&mut self, y: f64, name: &str) {
        self.picture.line((LEFT, y), (LEFT + WIDTH, y), "grid");
        self.picture.text((LEFT - 8.0, y + 4.0), "num end", name);
    }

    /// The whole picture; `shades` are times behind all lanes, `name` says what it shows.
    pub fn finish(mut self, shades: &[(u64, u64)], name: &str) -> Markup {
        let bottom = self.picture.height;
        let mut whole = Picture::new(self.picture.width, bottom + AXIS);
        for (from, to) in shades {
            let x = self.x(*from);
            let width = (self.x(*to) - x).max(BAR_MIN);
            whole.rect(Rect { x, y: 0.0, width, height: bottom }, "outage", None);
        }
        self.picture.line((LEFT, bottom), (LEFT + WIDTH, bottom), "axis");
        for (value, _) in self.seconds.ticks() {
            let x = self.seconds.at(value);
            self.picture.line((x, bottom), (x, bottom + 4.0), "axis");
            self.picture.text((x, bottom + 16.0), "num mid", &value.to_string());
        }
        self.picture.text((LEFT - 14.0, bottom + 16.0), "end label", "time, s");
        whole.append(self.picture);
        whole.finish(name)
    }
}

#[cfg(test)]
mod tests {
    use super::Timeline;

    #[test]
    fn a_time_has_its_place_and_none_leaves_the_picture() {
        let second = 1_000_000_000;
        let chart = Timeline::new(10 * second, 20 * second);
        let places = [0, 10, 15, 20, 99].map(|at| chart.x(at * second));
        assert_eq!(places, [110.0, 110.0, 660.0, 1_210.0, 1_210.0]);
    }
}
