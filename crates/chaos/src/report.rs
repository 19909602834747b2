//! The files of a run: `verdict.json` for machines, and `report.html` for people: one page, without script,
//! without anything from elsewhere.

mod chart;
mod lanes;

use crate::actors::recorder::{Recorder, Records};
use crate::clock::{MILLISECOND, SECOND};
use crate::judge::{self, Outcome, Verdict};
use crate::recovery::Row;
use crate::run::{Course, Options};
use chart::escape;
use std::fmt::Write as _;
use std::fs;
use std::io;

/// Lines of one list that the page shows.
const LINES_MAX: usize = 50;

const STYLE: &str = "body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:1280px;\
padding:0 1rem;color:#222}h1{font-size:1.5rem}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}\
.PASSED{color:#186a3b}.FAILED{color:#a93226}.INVALID{color:#b9770e}\
table{border-collapse:collapse}th,td{padding:.15rem .9rem .15rem 0;text-align:left;vertical-align:top;\
border-bottom:1px solid #ddd}td.n{text-align:right;font-variant-numeric:tabular-nums}\
svg text{font:11px system-ui,sans-serif;fill:#333}svg{display:block;background:#fff}\
pre{white-space:pre-wrap;background:#f6f6f6;padding:.5rem}.key span{padding:0 .5rem;margin-right:.7rem}\
small{color:#666}";

/// Writes them.
pub(crate) fn write(
    options: &Options,
    course: &Course,
    recorder: &Recorder,
    verdict: &Verdict,
) -> io::Result<()> {
    let json = judge::to_json(verdict, options, course);
    fs::write(options.folder.join("verdict.json"), format!("{json:#}\n"))?;
    let page = page(options, course, &recorder.lock(), verdict);
    fs::write(options.folder.join("report.html"), page)
}

fn page(options: &Options, course: &Course, records: &Records, verdict: &Verdict) -> String {
    let mut out = String::new();
    let word = verdict.word();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let seconds = course.ended.saturating_sub(course.began) / SECOND;
    let [ok, refused, unknown] = verdict.operations;
    let head = format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Chaos: {word}</title>\
         <style>{STYLE}</style></head><body><h1>Chaos on real processes: <span class={word}>{word}</span></h1>\
         <p>{} controllers, {seconds} s, {} faults injected, seed {}, version {}, kernel {}.<br>\
         {ok} operations carried out, {refused} refused, {unknown} unknown; {} packets carried, {} a second; \
         the host stood still {} times.</p>",
        options.nodes,
        course.events.len(),
        options.seed,
        escape(options.version),
        escape(kernel.trim()),
        course.traffic.delivered,
        course.traffic.delivered / seconds.max(1),
        course.stalls.len(),
    );
    out.push_str(&head);
    list(&mut out, "What did not hold", &verdict.violations);
    list(&mut out, "What is in doubt", &verdict.doubts);
    if verdict.outcome == Outcome::Passed {
        out.push_str(
            "<p>Linearizable on every broker set; no acknowledged change lost; no two masters in one epoch; \
             no healthy master replaced; all controllers equal at the end; every fault confirmed.</p>",
        );
    }
    lanes::draw(&mut out, options, course, records);
    recovery(&mut out, &verdict.recovery);
    faults(&mut out, course);
    skipped(&mut out, course);
    out.push_str("</body></html>\n");
    out
}

fn list(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    put(out, format_args!("<h2>{title}: {}</h2>", lines.len()));
    for line in lines.iter().take(LINES_MAX) {
        put(out, format_args!("<pre>{}</pre>", escape(line)));
    }
}

fn recovery(out: &mut String, rows: &[Row]) {
    out.push_str(
        "<h2>How long faults were felt</h2><p><small>Outage: the longest time in which some writer had no \
         success, from the confirmed injection. Healed: from healing until every writer had succeeded again. \
         Milliseconds.</small></p><table><tr><th>Fault<th>Samples<th>Outage p50<th>p99<th>max\
         <th>Healed p50<th>p99<th>max<th>Dropped (host stood still)</tr>",
    );
    for row in rows {
        put(
            out,
            format_args!("<tr><td>{}<td class=n>{}", escape(&row.fault), row.outages_ms.len()),
        );
        for values in [&row.outages_ms, &row.healed_ms] {
            for per_cent in [50, 99, 100] {
                put(out, format_args!("<td class=n>{}", Row::percentile(values, per_cent)));
            }
        }
        put(out, format_args!("<td class=n>{}</tr>", row.dropped));
    }
    out.push_str("</table><p>Changes lost (RPO): every violation above that begins with LOST; else none.</p>");
}

fn faults(out: &mut String, course: &Course) {
    out.push_str("<h2>Every fault</h2><table><tr><th>At, s<th>Fault<th>Held, ms<th>Whole after, ms<th>Seen</tr>");
    for event in &course.events {
        let ms = |from: u64, to: u64| to.saturating_sub(from) / MILLISECOND;
        let whole =
            event.recovered.map_or("never".to_owned(), |at| ms(event.healed, at).to_string());
        let doubt = if event.doubts.is_empty() { "" } else { "NOT CONFIRMED: " };
        let seen: Vec<&str> =
            event.doubts.iter().chain(&event.evidence).map(String::as_str).collect();
        put(
            out,
            format_args!(
                "<tr><td class=n>{:.1}<td>{}<td class=n>{}<td class=n>{whole}<td>{doubt}{}</tr>",
                ms(course.began, event.began) as f64 / 1_000.0,
                escape(&event.name),
                ms(event.began, event.healed),
                escape(&seen.join(", ")),
            ),
        );
    }
    out.push_str("</table>");
}

fn skipped(out: &mut String, course: &Course) {
    out.push_str("<h2>What this machine can inject</h2><table>");
    for (means, found) in &course.findings {
        let (word, text) = match found {
            Ok(how) => ("yes", (*how).to_owned()),
            Err(why) => ("no", why.clone()),
        };
        put(out, format_args!("<tr><td>{}<td>{word}<td>{}</tr>", means.name(), escape(&text)));
    }
    put(out, format_args!("</table><h2>Skipped: {}</h2><table>", course.skipped.len()));
    for (name, why) in &course.skipped {
        put(out, format_args!("<tr><td>{}<td>{}</tr>", escape(name), escape(why)));
    }
    out.push_str("</table>");
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a string grows");
}
