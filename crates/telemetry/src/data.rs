//! What is exported, in words of no protocol.

/// Metrics of one origin, with the attributes that all of them have.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Its name, OpenTelemetry's "meter".
    pub name: &'static str,
    /// Attributes of every series.
    pub attributes: Vec<(String, String)>,
    /// The metrics.
    pub metrics: Vec<Metric>,
}

/// One metric with all its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it means.
    pub help: String,
    /// Its unit as UCUM writes it, empty for plain numbers.
    pub unit: &'static str,
    /// Its values.
    pub points: Points,
}

/// The values of a metric, by its kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Points {
    /// What rises and falls.
    Gauge(Vec<Series<f64>>),
    /// What only rises; since the start, or since the last export (`delta.rs`).
    Sum(Vec<Series<u64>>),
    /// How often what was how large.
    Histogram {
        /// Upper bounds of the buckets but the last, ascending, in the metric's unit.
        bounds: Vec<f64>,
        /// The values.
        series: Vec<Series<Distribution>>,
    },
}

/// One value with what tells it apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<T> {
    /// Attributes beside those of the scope.
    pub attributes: Vec<(&'static str, String)>,
    /// The value.
    pub value: T,
}

/// A histogram's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// One more than bounds.
    pub buckets: Vec<u64>,
    /// In the metric's unit.
    pub sum: f64,
}

/// An attribute of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text of the program.
    Word(&'static str),
    /// Text from elsewhere.
    Text(String),
    /// A number.
    Number(i64),
}

/// Something that took time.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What it belongs to; not 0.
    pub trace: u128,
    /// Itself; not 0.
    pub id: u64,
    /// The span in which it lies; `None` for the outermost.
    pub parent: Option<u64>,
    /// What was done.
    pub name: &'static str,
    /// It answers a request from outside.
    pub is_server: bool,
    /// Nanoseconds since 1970.
    pub began_nanos: u64,
    /// Nanoseconds since 1970, at or after `began_nanos`.
    pub ended_nanos: u64,
    /// It failed.
    pub is_error: bool,
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
}
