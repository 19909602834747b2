//! The time line of a run: faults, the role of every controller, the masters of every set, what came of the
//! operations, how long they took; and behind it, shaded, when some writer had no success.

use crate::actors::recorder::{Mastership, Records, Result as Ended, Role, Sample, Turn};
use crate::brokers::messages::Messages;
use crate::clock::{MILLISECOND, SECOND};
use crate::course::{Course, Options};
use maud::{Markup, html};
use report::draw::page;
use report::draw::timeline::Timeline;
use std::collections::BTreeMap;

/// Longer than this without a success is shaded.
const OUTAGE: u64 = 500 * MILLISECOND;

/// Points of the scatter; more samples are thinned evenly.
const POINTS_MAX: usize = 6_000;

/// Columns of the density.
const COLUMNS: u64 = 280;

// Classes of `page.css`: a fill and a colour.
const LEADER: &str = "fill c0";
const FOLLOWER: &str = "fill2 c0";
const UNREADY: &str = "fill c4";
const SILENT: &str = "fill c1";
const FAULTS: [&str; 3] = ["fill c3", "fill2 c3", "fill c5"];
const MASTERS: [&str; 3] = ["fill2 c2", "fill2 c4", "fill2 c7"];

/// Class and name of what came of an attempt, from the bottom of a column upwards.
const RESULTS: [(Ended, &str, &str); 4] = [
    (Ended::Ok, "fill c2", "carried out"),
    (Ended::Refused, "fill c4", "refused"),
    (Ended::Unknown, "fill c1", "unknown"),
    (Ended::Unreached, "fill c6", "not reached"),
];

/// The section of the page.
pub(super) fn draw(options: &Options, course: &Course, records: &Records) -> Markup {
    let mut chart = Timeline::new(course.began, course.ended);
    faults(&mut chart, course);
    for node in 0..usize::from(options.nodes) {
        roles(&mut chart, node, course, &records.turns);
    }
    masters(&mut chart, course, records);
    let samples: Vec<&Sample> = records.samples.iter().collect();
    density(&mut chart, course, ("operations", &samples));
    let sends = course.messages.as_ref().map(Messages::samples).unwrap_or_default();
    if !sends.is_empty() {
        let sends: Vec<&Sample> = sends.iter().collect();
        density(&mut chart, course, ("messages", &sends));
    }
    scatter(&mut chart, &samples);
    let roles =
        [(LEADER, "leader"), (FOLLOWER, "follower"), (UNREADY, "not ready"), (SILENT, "silent")];
    let results = RESULTS.map(|(_, class, name)| (class, name));
    let body = html! {
        div.card {
            div.key {
                @for (class, name) in roles.into_iter().chain(results) {
                    span { i class=(class) {} (name) }
                }
                span { i.outage {} "a writer without success" }
            }
            div.scroll.wide { (chart.finish(&outages(course, &samples), "What happened when")) }
        }
    };
    let question = "Faults, roles of the controllers, masters of every set, what came of the operations, and their latency.";
    page::section("time", "What happened", question, &body)
}

fn faults(chart: &mut Timeline, course: &Course) {
    let height = 14.0 * FAULTS.len() as f64;
    let top = chart.lane("faults", height);
    let mut free = [f64::MIN; FAULTS.len()];
    for (number, event) in course.events.iter().enumerate() {
        let row = number % FAULTS.len();
        let y = top + 14.0 * row as f64;
        chart.bar((event.struck, event.healed), (y, 12.0), FAULTS[row], &event.name);
        let (x, width) = (chart.x(event.healed) + 2.0, 5.5 * event.name.len() as f64);
        // A name only where it does not run into the next of its row.
        let next =
            course.events.get(number + FAULTS.len()).map_or(f64::MAX, |next| chart.x(next.struck));
        if x >= free[row] && x + width < next {
            chart.word((x, y + 10.0), "", event.name.trim_start_matches("openchaos:"));
            free[row] = x + width;
        }
    }
}

fn roles(chart: &mut Timeline, node: usize, course: &Course, turns: &[Turn]) {
    let top = chart.lane(&format!("n{node}"), 14.0);
    let look = |role: Role| match role {
        Role::Silent => (SILENT, "silent".to_owned()),
        Role::Leader { term } => (LEADER, format!("leader of term {term}")),
        Role::Follower { term } => (FOLLOWER, format!("follower in term {term}")),
        Role::Unready { term } => (UNREADY, format!("not ready in term {term}")),
    };
    let mut of_node = turns.iter().filter(|turn| turn.node == node).peekable();
    while let Some(turn) = of_node.next() {
        let (shade, title) = look(turn.role);
        let until = of_node.peek().map_or(course.ended, |next| next.at);
        chart.bar((turn.at, until), (top, 14.0), shade, &title);
    }
}

fn masters(chart: &mut Timeline, course: &Course, records: &Records) {
    let mut sets: BTreeMap<&str, Vec<&Mastership>> = BTreeMap::new();
    for one in records.masterships.iter().filter(|one| !one.is_operated()) {
        sets.entry(&one.set).or_default().push(one);
    }
    for (set, mut list) in sets {
        list.sort_by_key(|one| (one.at, one.epoch));
        let top = chart.lane(set, 14.0);
        for (number, one) in list.iter().enumerate() {
            let Mastership { at, epoch, master, .. } = one;
            let until = list.get(number + 1).map_or(course.ended, |next| next.at);
            let place = usize::try_from(*master).unwrap_or_default() % MASTERS.len();
            let title = format!("broker {master} is master, epoch {epoch}");
            chart.bar((*at, until), (top, 14.0), MASTERS[place], &title);
            if chart.x(until) - chart.x(*at) > 70.0 {
                let x = chart.x(*at) + 3.0;
                chart.word((x, top + 11.0), "strong", &format!("{master} (epoch {epoch})"));
            }
        }
    }
}

fn density(chart: &mut Timeline, course: &Course, (name, samples): (&str, &[&Sample])) {
    let height = 70.0;
    let top = chart.lane(name, height);
    let length = course.ended.saturating_sub(course.began).max(1);
    let mut columns: BTreeMap<u64, [u32; RESULTS.len()]> = BTreeMap::new();
    for sample in samples {
        let at = sample.ended.saturating_sub(course.began) * COLUMNS / length;
        let kind = RESULTS.iter().position(|(result, ..)| *result == sample.result);
        if let Some(count) =
            columns.entry(at.min(COLUMNS - 1)).or_default().get_mut(kind.unwrap_or(0))
        {
            *count += 1;
        }
    }
    let most = columns.values().map(|counts| counts.iter().sum::<u32>()).max().unwrap_or(1).max(1);
    for (column, counts) in columns {
        let from = course.began + column * length / COLUMNS;
        let to = course.began + (column + 1) * length / COLUMNS;
        let mut bottom = top + height;
        for (count, (_, class, name)) in counts.into_iter().zip(RESULTS) {
            let tall = f64::from(count) / f64::from(most) * height;
            bottom -= tall;
            if count > 0 {
                chart.bar((from, to), (bottom, tall), class, &format!("{count} {name}"));
            }
        }
    }
}

fn scatter(chart: &mut Timeline, samples: &[&Sample]) {
    let height = 150.0;
    chart.lane("latency", 12.0);
    let top = chart.lane("", height);
    // From 0.1 ms at the bottom to 10 s at the top, a decade for each fifth.
    for (decade, name) in ["10 s", "1 s", "100 ms", "10 ms", "1 ms", "0.1 ms"].iter().enumerate() {
        let y = top + height * decade as f64 / 5.0;
        chart.rule(y, name);
    }
    let step = samples.len().div_ceil(POINTS_MAX).max(1);
    for (number, sample) in samples.iter().enumerate() {
        // What was not carried out is rare and always shown.
        if number % step != 0 && sample.result == Ended::Ok {
            continue;
        }
        let micros = sample.ended.saturating_sub(sample.invoked) as f64 / 1_000.0;
        let share = (micros.max(100.0) / 100.0).log10() / 5.0;
        let class = RESULTS.iter().find(|(result, ..)| *result == sample.result);
        let y = top + height * (1.0 - share.min(1.0));
        chart.point(sample.ended, y, class.map_or("fill", |(_, class, _)| class));
    }
}

/// Times in which some writer had no success, longer than [`OUTAGE`].
fn outages(course: &Course, samples: &[&Sample]) -> Vec<(u64, u64)> {
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    let mut found = Vec::new();
    let mut successes: Vec<&&Sample> =
        samples.iter().filter(|sample| sample.is_write && sample.result == Ended::Ok).collect();
    successes.sort_by_key(|sample| sample.ended);
    for sample in successes {
        if let Some(before) = last.insert(sample.client, sample.ended)
            && sample.ended - before > OUTAGE
        {
            found.push((before, sample.ended));
        }
    }
    found.extend(
        last.values().filter(|at| course.ended > **at + SECOND).map(|at| (*at, course.ended)),
    );
    found
}
