//! A picture that stands inside a page: shapes with classes, which `page.css` colours for light, dark and print.
//!
//! Every text goes through [`escape`]; classes and path data are ours and go in as they are.

use maud::{Markup, PreEscaped};
use std::fmt::Write as _;

/// A rectangle, in pixels of the picture.
#[derive(Debug, Clone, Copy)]
pub struct Rect {
    /// Left side.
    pub x: f64,
    /// Upper side.
    pub y: f64,
    /// From the left side to the right, not below zero.
    pub width: f64,
    /// From the upper side to the lower, not below zero.
    pub height: f64,
}

/// A picture that is being drawn; what comes later lies above what came before.
#[derive(Debug, Clone)]
pub struct Picture {
    body: String,
    /// In pixels; the page scales it to the room there is.
    pub width: f64,
    /// In pixels.
    pub height: f64,
}

impl Picture {
    /// An empty one.
    pub fn new(width: f64, height: f64) -> Self {
        Self { body: String::new(), width, height }
    }

    /// A rectangle; `tip` is what a pointer shows.
    pub fn rect(&mut self, rect: Rect, class: &str, tip: Option<&str>) {
        let Rect { x, y, width, height } = rect;
        let [x, y, width, height] = [x, y, width, height].map(short);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""
        ));
        self.close("rect", tip);
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(short);
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"
        ));
    }

    /// A disc; `tip` is what a pointer shows.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str, tip: Option<&str>) {
        let [x, y, radius] = [x, y, radius].map(short);
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\""));
        self.close("circle", tip);
    }

    /// A path; `data` is SVG path data, for instance of [`trace`].
    pub fn path(&mut self, data: &str, class: &str) {
        if !data.is_empty() {
            self.put(format_args!("<path class=\"{class}\" d=\"{data}\"/>"));
        }
    }

    /// A path that is as wide as said; `class` colours it. Ends are cut straight.
    pub fn stroke(&mut self, data: &str, class: &str, width: f64) {
        if !data.is_empty() {
            self.put(format_args!(
                "<path class=\"cells {class}\" stroke-width=\"{width:.2}\" d=\"{data}\"/>"
            ));
        }
    }

    /// Text whose baseline begins at a place; the classes `mid` and `end` put its middle or its end there.
    pub fn text(&mut self, (x, y): (f64, f64), class: &str, text: &str) {
        let [x, y] = [x, y].map(short);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
            escape(text)
        ));
    }

    /// Lays all of another picture over this one, at the same places.
    pub fn append(&mut self, other: Self) {
        self.body.push_str(&other.body);
    }

    /// The picture for the page; `name` says to those who cannot see it what it shows.
    pub fn finish(self, name: &str) -> Markup {
        let Self { body, width, height } = self;
        let [width, height] = [width, height].map(short);
        PreEscaped(format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">{body}</svg>",
            escape(name)
        ))
    }

    /// Bytes drawn up to now.
    pub fn bytes(&self) -> usize {
        self.body.len()
    }

    fn close(&mut self, tag: &str, tip: Option<&str>) {
        match tip {
            Some(tip) => self.put(format_args!("><title>{}</title></{tag}>", escape(tip))),
            None => self.body.push_str("/>"),
        }
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("a string grows");
    }
}

/// Path data of a line through points; nothing for fewer than two.
pub fn trace(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    if points.len() < 2 {
        return data;
    }
    for (number, (x, y)) in points.iter().enumerate() {
        data.push(if number == 0 { 'M' } else { 'L' });
        data.push_str(&short(*x));
        data.push(' ');
        data.push_str(&short(*y));
    }
    data
}

/// Path data of the area between an upper line and a lower one over the same places; nothing for fewer than two.
pub fn area(upper: &[(f64, f64)], lower: &[(f64, f64)]) -> String {
    let around: Vec<_> = upper.iter().chain(lower.iter().rev()).copied().collect();
    if upper.len() < 2 { String::new() } else { trace(&around) + "Z" }
}

/// A place with at most one decimal: a tenth of a pixel is not seen, and pages have a limit.
pub fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text as it stands in a page: names and texts of errors are no markup.
pub fn escape(text: &str) -> String {
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
    use super::{Picture, Rect, area, escape, short, trace};

    #[test]
    fn nothing_is_taken_for_markup() {
        assert_eq!(escape("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
        let mut picture = Picture::new(10.0, 10.0);
        let all = Rect { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        picture.rect(all, "hit", Some("<script>"));
        picture.text((0.0, 0.0), "", "<n0>");
        let page = picture.finish("\"<svg>\"").into_string();
        assert!(!page.contains("<script>") && !page.contains("<n0>") && !page.contains("\"<svg>"));
    }

    #[test]
    fn places_are_short() {
        assert_eq!([1.0, 1.26, -0.04, 120.05].map(short), ["1", "1.3", "0", "120"]);
        assert_eq!(trace(&[(1.0, 2.0), (3.25, 4.0)]), "M1 2L3.2 4");
        assert_eq!(trace(&[(1.0, 2.0)]), "");
        assert_eq!(area(&[(0.0, 1.0), (1.0, 1.0)], &[(0.0, 2.0), (1.0, 2.0)]), "M0 1L1 1L1 2L0 2Z");
    }
}
