//! Axes with lines, bands, marks and tips: what every diagram of a page is made of.
//!
//! ```text
//! y label
//!   10 ms ┤      ╭── A
//!    1 ms ┤──────╯           lines, bands, marks inside `area`
//!         └──┬──────┬──
//!           10     20  x label
//! ```

use super::numbers;
use super::scale::{Kind, Scale};
use super::svg::{Picture, Rect, area, trace};
use maud::Markup;

/// Width of a diagram, in pixels; a page shows two beside each other, or one on a phone.
pub const WIDTH: f64 = 520.0;

/// Room left of the plot, for the numbers of its axis.
const LEFT: f64 = 58.0;

/// Room right of it, for the names at the ends of lines.
const RIGHT: f64 = 44.0;

/// Room above it, for the name of the vertical axis.
const TOP: f64 = 24.0;

/// Room below it, for numbers and name of the horizontal axis.
const BOTTOM: f64 = 40.0;

/// The same of a strip, which has none.
const STRIP_BOTTOM: f64 = 8.0;

/// Names of two lines are kept this far apart.
const NAME_HEIGHT: f64 = 13.0;

/// Names of lines whose ends are farther apart than this do not meet.
const NAME_WIDTH: f64 = 36.0;

/// What an axis measures.
#[derive(Debug, Clone, Copy)]
pub struct Axis<'a> {
    /// Its name, with the unit if the numbers beside it have none.
    pub label: &'a str,
    /// From the lowest to the highest value.
    pub range: (f64, f64),
    /// How it is divided.
    pub kind: Kind,
    /// How a value is written beside it.
    pub show: fn(f64) -> String,
}

impl Axis<'_> {
    fn scale(&self, ends: (f64, f64)) -> Scale {
        match self.kind {
            Kind::Linear => Scale::linear(self.range, ends),
            Kind::Log => Scale::log(self.range, ends),
        }
    }
}

/// A diagram that is being drawn.
#[derive(Debug)]
pub struct Plot {
    /// For shapes that are no line, band, mark or tip.
    pub picture: Picture,
    /// Horizontal places.
    pub x: Scale,
    /// Vertical places.
    pub y: Scale,
    names: Vec<(f64, f64, String, String)>,
}

impl Plot {
    /// Axes and grid of a diagram whose plot has this height, in pixels.
    pub fn new(x: &Axis<'_>, y: &Axis<'_>, height: f64) -> Self {
        let ticks = x.scale((0.0, 1.0)).ticks().into_iter();
        let ticks: Vec<_> = ticks
            .map(|(value, is_labelled)| (value, is_labelled.then(|| (x.show)(value))))
            .collect();
        Self::with_ticks(x, &ticks, y, height)
    }

    /// The same, with a horizontal axis whose grid lines and their labels are given.
    pub fn with_ticks(
        x: &Axis<'_>,
        ticks: &[(f64, Option<String>)],
        y: &Axis<'_>,
        height: f64,
    ) -> Self {
        let mut plot = Self {
            picture: Picture::new(WIDTH, TOP + height + BOTTOM),
            x: x.scale((LEFT, WIDTH - RIGHT)),
            y: y.scale((TOP + height, TOP)),
            names: Vec::new(),
        };
        plot.grid_y(y.show);
        plot.grid_x(ticks);
        plot.picture.text((4.0, 13.0), "label", y.label);
        let middle = f64::midpoint(plot.x.start, plot.x.end);
        plot.picture.text((middle, plot.y.start + 34.0), "label mid", x.label);
        plot
    }

    /// A low plot to stand below another one: the same horizontal axis without its numbers.
    pub fn strip(x: &Axis<'_>, y: &Axis<'_>, height: f64) -> Self {
        let mut plot = Self {
            picture: Picture::new(WIDTH, TOP + height + STRIP_BOTTOM),
            x: x.scale((LEFT, WIDTH - RIGHT)),
            y: y.scale((TOP + height, TOP)),
            names: Vec::new(),
        };
        for value in [plot.y.from, plot.y.to] {
            let at = plot.y.at(value);
            plot.picture.text((plot.x.start - 6.0, at + 4.0), "num end", &(y.show)(value));
        }
        plot.picture.line((plot.x.start, plot.y.start), (plot.x.end, plot.y.start), "axis");
        plot.picture.text((4.0, 13.0), "label", y.label);
        plot
    }

    fn grid_y(&mut self, show: fn(f64) -> String) {
        for (value, is_labelled) in self.y.ticks() {
            let y = self.y.at(value);
            let class = if is_labelled { "grid" } else { "grid minor" };
            self.picture.line((self.x.start, y), (self.x.end, y), class);
            if is_labelled {
                self.picture.text((self.x.start - 6.0, y + 4.0), "num end", &show(value));
            }
        }
    }

    fn grid_x(&mut self, ticks: &[(f64, Option<String>)]) {
        let bottom = self.y.start;
        for (value, label) in ticks {
            let x = self.x.at(*value);
            self.picture.line((x, self.y.end), (x, bottom), "grid minor");
            if let Some(label) = label {
                self.picture.line((x, bottom), (x, bottom + 4.0), "axis");
                self.picture.text((x, bottom + 17.0), "num mid", label);
            }
        }
        self.picture.line((self.x.start, bottom), (self.x.end, bottom), "axis");
    }

    /// A line through values; `class` colours it.
    pub fn line(&mut self, values: &[(f64, f64)], class: &str) {
        let data = trace(&self.places(values));
        self.picture.path(&data, &format!("line {class}"));
    }

    /// The area between two lines, given as (x, low, high).
    pub fn band(&mut self, values: &[(f64, f64, f64)], class: &str) {
        let low: Vec<_> = values.iter().map(|&(x, low, _)| (x, low)).collect();
        let high: Vec<_> = values.iter().map(|&(x, _, high)| (x, high)).collect();
        let data = area(&self.places(&high), &self.places(&low));
        self.picture.path(&data, &format!("band {class}"));
    }

    /// A mark at a value.
    pub fn mark(&mut self, (x, y): (f64, f64), class: &str, tip: Option<&str>) {
        let place = (self.x.at(x), self.y.at(y));
        self.picture.dot(place, 3.5, class, tip);
    }

    /// A name right of the end of a line; those that would overlap are moved apart at the end.
    pub fn name(&mut self, at: (f64, f64), class: &str, name: &str) {
        let (x, y) = (self.x.at(at.0) + 6.0, self.y.at(at.1) + 4.0);
        self.names.push((x, y, class.to_owned(), name.to_owned()));
    }

    /// A vertical line over the whole plot with a few letters above it.
    pub fn event(&mut self, x: f64, letters: &str, tip: &str) {
        let x = self.x.at(x);
        self.picture.line((x, self.y.end - 4.0), (x, self.y.start), "event");
        let width = 8.0 + 6.0 * letters.chars().count() as f64;
        let flag = Rect { x: x - width / 2.0, y: self.y.end - 15.0, width, height: 12.0 };
        self.picture.rect(flag, "flag", Some(tip));
        self.picture.text((x, self.y.end - 5.5), "flagged mid", letters);
    }

    /// A horizontal line over the whole plot, for a limit.
    pub fn limit(&mut self, y: f64, class: &str) {
        let y = self.y.at(y);
        self.picture.line((self.x.start, y), (self.x.end, y), class);
    }

    /// A column between two values that shows `tip` to a pointer.
    pub fn tip(&mut self, (from, to): (f64, f64), tip: &str) {
        let (x, until) = (self.x.at(from), self.x.at(to));
        let rect = Rect { x, y: self.y.end, width: until - x, height: self.y.start - self.y.end };
        self.picture.rect(rect, "hit", Some(tip));
    }

    /// Columns around values, each up to the middle between it and the next, that show their tips.
    pub fn tips(&mut self, tips: &[(f64, String)]) {
        let place = |at: usize| tips.get(at).map(|tip| self.x.at(tip.0));
        let edges: Vec<(f64, f64)> = (0..tips.len())
            .filter_map(|at| {
                let here = place(at)?;
                let before = at.checked_sub(1).and_then(place);
                let left = before.map_or(self.x.start, |before| f64::midpoint(before, here));
                let right = place(at + 1).map_or(self.x.end, |after| f64::midpoint(here, after));
                Some((left, right))
            })
            .collect();
        let (top, bottom) = (self.y.end, self.y.start);
        for ((left, right), (_, tip)) in edges.into_iter().zip(tips) {
            let rect =
                Rect { x: left, y: top, width: (right - left).max(0.0), height: bottom - top };
            self.picture.rect(rect, "hit", Some(tip));
        }
    }

    /// The diagram for the page; `name` says what it shows.
    pub fn finish(mut self, name: &str) -> Markup {
        self.names.sort_by(|left, right| left.1.total_cmp(&right.1));
        let mut placed: Vec<(f64, f64)> = Vec::new();
        for (x, y, class, text) in std::mem::take(&mut self.names) {
            let beside = placed.iter().filter(|other| (other.0 - x).abs() < NAME_WIDTH);
            let free = beside.map(|other| other.1 + NAME_HEIGHT).fold(f64::MIN, f64::max);
            let y = y.max(free);
            placed.push((x, y));
            self.picture.text((x, y), &format!("name {class}"), &text);
        }
        self.picture.finish(name)
    }

    fn places(&self, values: &[(f64, f64)]) -> Vec<(f64, f64)> {
        values.iter().map(|&(x, y)| (self.x.at(x), self.y.at(y))).collect()
    }
}

/// Range of a logarithmic axis around all values above zero; 1 to 10 if there is none.
pub fn log_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::MAX, 0.0_f64);
    for value in values.filter(|value| *value > 0.0) {
        low = low.min(value);
        high = high.max(value);
    }
    if high == 0.0 {
        return (1.0, 10.0);
    }
    (super::scale::round_down(low), super::scale::round_up(high * 1.02))
}

/// A number of seconds on a time axis.
pub fn seconds(value: f64) -> String {
    format!("{value:.0}")
}

/// A count on an axis: `2,000`.
pub fn counted(value: f64) -> String {
    numbers::count(numbers::whole(value))
}

/// A share between zero and one as a percentage.
pub fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}
