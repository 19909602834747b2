//! A soak as tables, which all forms of a report draw.

use measure::judged::Verdict;
use measure::tables::{Cell, Mood, Table};
use report::draw::numbers::{NONE, count, length, ratio, three_digits};

use super::drift::Trend;
use super::slices::SLOWER;
use super::{Count, Soak};

impl Soak {
    /// The verdict in a few words, for a title.
    #[must_use]
    pub fn headline(&self) -> String {
        let word = match self.verdict {
            Verdict::Pass => "passed",
            Verdict::Fail => "FAILED",
            Verdict::Extended | Verdict::Inconclusive => "undecided",
            Verdict::Invalid => "invalid",
        };
        let reasons = self.reasons.join("; ");
        let colon = if reasons.is_empty() { "" } else { ": " };
        format!("soak of {} {word}{colon}{reasons}", length(self.measured_ms))
    }

    /// All that was judged.
    #[must_use]
    pub fn tables(&self) -> Vec<Table> {
        let all = [self.counted(), self.sliced(), self.drifted(), self.changed()];
        all.into_iter().filter(|table| !table.rows.is_empty()).collect()
    }

    fn counted(&self) -> Table {
        let row = |Count { what, count: found }: &Count| {
            let (text, mood) = match found {
                Some(0) => ("0".to_owned(), Mood::Good),
                Some(found) => (count(*found), Mood::Bad),
                None => ("nobody counted".to_owned(), Mood::Open),
            };
            vec![plain((*what).to_owned()), Cell { text, mood }]
        };
        Table {
            title: "What must not be".to_owned(),
            question: "was anything wrong?".to_owned(),
            notes: vec![self.headline()],
            columns: columns(&["what", "count"]),
            words: 1,
            rows: self.counts.iter().map(row).collect(),
        }
    }

    fn sliced(&self) -> Table {
        let rows = self.kept.iter().map(|it| {
            let (word, mood) = word(it.verdict);
            let figure = |value: f64| format!("{} {}", three_digits(value), it.unit);
            vec![
                plain(it.id.clone()),
                plain(it.sli.clone()),
                plain(figure(it.bar)),
                plain(it.worst.map_or(NONE.to_owned(), figure)),
                plain(format!("{} of {} ({} may)", it.failed, it.judged, it.allowed)),
                plain((it.slices - it.judged).to_string()),
                Cell { text: word.to_owned(), mood },
            ]
        });
        let note = format!(
            "Each slice has {} and is judged by itself; one in which the generator was late or the host was busy says \
             nothing. {}",
            length(self.slice_ms),
            self.clock_note()
        );
        Table {
            title: "Objectives, slice by slice".to_owned(),
            question: "were the objectives kept all the time?".to_owned(),
            notes: vec![note],
            columns: columns(&[
                "objective",
                "figure",
                "bar",
                "worst slice",
                "missed",
                "say nothing",
                "found",
            ]),
            words: 2,
            rows: rows.collect(),
        }
    }

    fn drifted(&self) -> Table {
        let rows = self.drifts.iter().map(|it| {
            let (text, mood) = match it.trend {
                Trend::Grows => ("grows", Mood::Bad),
                Trend::Still => ("no", Mood::Good),
                Trend::TooFew => ("too few samples", Mood::Open),
            };
            let slope = it.slope.map(|slope| {
                let figures = [slope.value, slope.low, slope.high].map(three_digits);
                format!("{} [{}, {}] {}", figures[0], figures[1], figures[2], it.unit)
            });
            vec![
                plain(it.what.clone()),
                plain(slope.unwrap_or(NONE.to_owned())),
                plain(three_digits(it.limit)),
                plain(format!("{:.1} min", it.hours * 60.0)),
                plain(three_digits(it.margin)),
                plain(three_digits(it.p)),
                Cell { text: text.to_owned(), mood },
            ]
        });
        let note = "Growth an hour with its 95 % interval (Theil and Sen), over the longest life of each process without \
                    its first tenth; the chance of such a trend without any (Mann and Kendall). It grows if the whole \
                    interval is above what is allowed, the chance is small, and it comes to more than the margin.";
        Table {
            title: "Drift".to_owned(),
            question: "does anything grow?".to_owned(),
            notes: vec![note.to_owned()],
            columns: columns(&["what", "growth", "allowed", "over", "margin", "chance", "grows"]),
            words: 1,
            rows: rows.collect(),
        }
    }

    fn changed(&self) -> Table {
        let rows = self.changes.iter().map(|it| {
            let (text, mood) =
                if it.is_slower { ("slower", Mood::Bad) } else { ("no", Mood::Plain) };
            vec![
                plain(it.what.clone()),
                plain(ratio(it.ratio)),
                plain(format!("[{}, {}]", three_digits(it.low), three_digits(it.high))),
                Cell { text: text.to_owned(), mood },
            ]
        });
        let note = format!(
            "Slower means the whole interval lies above {SLOWER}: the slices follow each other, so what the host did \
             between them is in the ratio. {}",
            self.clock_note()
        );
        Table {
            title: "The last slice beside the first".to_owned(),
            question: "did it become slower?".to_owned(),
            notes: vec![note],
            columns: columns(&["figure", "last / first", "interval", "slower"]),
            words: 1,
            rows: rows.collect(),
        }
    }

    fn clock_note(&self) -> &'static str {
        if self.gates_clock {
            "It counts for the verdict."
        } else {
            "It does not count for the verdict here."
        }
    }
}

fn word(verdict: Verdict) -> (&'static str, Mood) {
    match verdict {
        Verdict::Pass => ("kept", Mood::Good),
        Verdict::Fail => ("missed", Mood::Bad),
        Verdict::Invalid => ("invalid", Mood::Open),
        Verdict::Extended | Verdict::Inconclusive => ("undecided", Mood::Open),
    }
}

fn plain(text: String) -> Cell {
    Cell { text, mood: Mood::Plain }
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
