//! One objective as text: its bar, its hopes, and the percentiles of its runs beside them.

use std::fmt::Write as _;

use measure::folder::Found;
use measure::judged::{Judged, Verdict};
use report::draw::numbers;

use crate::file::{Objective, SliKind};
use crate::sli::merged;

/// Columns of the picture.
const WIDTH: usize = 60;

/// Percentiles that are drawn.
const QUANTILES: [f64; 7] = [0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 1.0];

/// What an objective asks and what was found; `runs` are those of its workload, `judged` what they came to.
#[must_use]
pub fn explain(objective: &Objective, judged: &[&Judged], runs: &[&Found]) -> String {
    let unit = objective.sli.of.unit();
    let mut text = format!(
        "{} · {} · {}\n{} on {}\n\n",
        objective.id,
        objective.component,
        if objective.owner.is_empty() { "nobody owns it" } else { &objective.owner },
        objective.sli.words(),
        objective.workload
    );
    let minimum = &objective.minimum;
    let floor = minimum.floor.zip(minimum.times);
    let floor =
        floor.map(|(floor, times)| format!(", or {times} × {} if that is more", floor.name()));
    line(&mut text, "bar", &format!("{} {unit}{}", minimum.value, floor.unwrap_or_default()));
    for hope in &objective.aspire {
        let times = hope.times.map(|times| format!(", or {times} × the floor"));
        line(&mut text, &hope.name, &format!("{} {unit}{}", hope.value, times.unwrap_or_default()));
    }
    for moved in &objective.history {
        line(&mut text, &moved.at, &format!("{} {}", moved.minimum, moved.commit));
    }
    for it in judged {
        text.push('\n');
        text += &found(it);
        let of_arm: Vec<&Found> =
            runs.iter().copied().filter(|run| run.run.arm == it.arm).collect();
        if objective.sli.of == SliKind::Latency {
            text += &picture(objective, it, &of_arm);
        }
    }
    if judged.is_empty() {
        text += "\nno run of this workload was given\n";
    }
    text
}

fn line(text: &mut String, name: &str, what: &str) {
    // Writing to a string cannot fail.
    let _infallible = writeln!(text, "  {name:<12}{}", what.trim_end());
}

fn found(it: &Judged) -> String {
    let value = it.value.map_or(numbers::NONE.to_owned(), numbers::three_digits);
    let interval = it.low.zip(it.high).filter(|(low, high)| low < high).map(|(low, high)| {
        format!(" [{}, {}]", numbers::three_digits(low), numbers::three_digits(high))
    });
    let from =
        if it.minimum_from.is_empty() { String::new() } else { format!(" ({})", it.minimum_from) };
    let why = if it.why.is_empty() { String::new() } else { format!("\n  {}", it.why) };
    format!(
        "{} {}: {value}{} {}, bar in force {} {}{from}{why}\n",
        sign(it.verdict),
        it.arm,
        interval.unwrap_or_default(),
        it.unit,
        numbers::three_digits(it.minimum),
        it.unit,
    )
}

/// One character for a verdict.
#[must_use]
pub fn sign(verdict: Verdict) -> char {
    match verdict {
        Verdict::Pass => '✓',
        Verdict::Fail => '✗',
        Verdict::Extended | Verdict::Inconclusive => '?',
        Verdict::Invalid => '!',
    }
}

/// Percentiles as rows of blocks on a logarithmic axis, the bar and the hopes as lines across them.
fn picture(objective: &Objective, it: &Judged, runs: &[&Found]) -> String {
    let cells = merged(&objective.sli.op, runs);
    let Some(least) = cells.at(0.0).map(|us| us / 1e3) else { return String::new() };
    let most = cells.max_us().unwrap_or_default() / 1e3;
    let hopes = || it.aspirations.iter().map(|hope| hope.value);
    let low = hopes().fold(least, f64::min).max(1e-3) / 1.5;
    let high = most.max(it.minimum) * 1.5;
    let column = |ms: f64| {
        let part = (ms.max(low).ln() - low.ln()) / (high.ln() - low.ln());
        let column = numbers::whole(part * float(WIDTH));
        usize::try_from(column).unwrap_or(WIDTH).min(WIDTH - 1)
    };
    let mut text = format!("\n{:>24}{}\n", "", axis(it, &column));
    for q in QUANTILES {
        let Some(ms) = cells.at(q).map(|us| us / 1e3) else { continue };
        let mut row: Vec<char> =
            (0..WIDTH).map(|at| if at <= column(ms) { '█' } else { ' ' }).collect();
        for (at, sign) in hopes().map(|ms| (ms, '┆')).chain([(it.minimum, '┃')]) {
            row[column(at)] = sign;
        }
        let is_judged = objective.sli.q == Some(q);
        let thin = q < 1.0 && cells.supported(q).is_none();
        let name =
            if q >= 1.0 { "max".to_owned() } else { format!("p{}", (q * 1e6).round() / 1e4) };
        let value = format!("{}{}", numbers::latency(ms * 1e3), if thin { "?" } else { "" });
        let row: String = row.into_iter().collect();
        let mark = if is_judged { "  ← judged" } else { "" };
        let line = format!("  {name:<9}{value:>12} {row}{mark}");
        text += line.trim_end();
        text.push('\n');
    }
    text += "  ┃ bar in force   ┆ hopes   ? fewer than ten samples beyond\n";
    text
}

/// Names above the lines, as far as they have room.
fn axis(it: &Judged, column: &impl Fn(f64) -> usize) -> String {
    let mut row = vec![' '; WIDTH + 8];
    let names = it.aspirations.iter().map(|hope| (hope.value, hope.name.as_str()));
    for (value, name) in names.chain([(it.minimum, "bar")]) {
        let from = column(value);
        let room = from.saturating_sub(1)..(from + name.len() + 1).min(row.len());
        if row[room].iter().all(|it| *it == ' ') {
            for (at, letter) in name.chars().enumerate().take(row.len() - from) {
                row[from + at] = letter;
            }
        }
    }
    row.into_iter().collect::<String>().trim_end().to_owned()
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
