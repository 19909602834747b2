//! What the stages of a programme showed together, from the `verdict.json` of each.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// A fault that was wanted, with so many controllers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    injected: usize,
    confirmed: usize,
    /// From its end until all was well again, in ms.
    healed_ms: Vec<u64>,
    /// Why it was skipped last.
    why: String,
    excuse: Excuse,
}

/// What speaks for a fault that was skipped.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// Nothing: something is untested.
    #[default]
    None,
    /// The controllers have nothing that it could hit.
    NothingToHit,
    /// It means something only with so many controllers: the stages with as many must have injected it.
    Nodes(u64),
}

impl Excuse {
    fn read(skipped: &Value) -> Self {
        match skipped["needsNodes"].as_u64() {
            Some(nodes) => Self::Nodes(nodes),
            None if skipped["nothingToHit"] == true => Self::NothingToHit,
            None => Self::None,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "",
            Self::NothingToHit => "excused: nothing to hit; ",
            Self::Nodes(_) => "excused: stages with more controllers inject it; ",
        }
    }
}

impl Row {
    fn line(&self, fault: &str, nodes: u8) -> String {
        let Self { injected, confirmed, healed_ms, why, excuse } = self;
        let mut healed = healed_ms.clone();
        healed.sort_unstable();
        let middle = healed.get(healed.len() / 2).copied().unwrap_or(0);
        let most = healed.last().copied().unwrap_or(0);
        let why = if *injected > 0 { String::new() } else { format!("{}{why}", excuse.word()) };
        format!("| `{fault}` | {nodes} | {injected} | {confirmed} | {middle}, {most} | {why} |\n")
    }
}

/// All stages so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    stages: Vec<String>,
    rows: BTreeMap<(String, u8), Row>,
    violations: Vec<String>,
    doubts: Vec<String>,
    not_played: usize,
    has_failed: bool,
}

impl Summary {
    /// Adds what the run in this folder found; one without a verdict is a doubt.
    pub(super) fn add(
        &mut self,
        faults: &str,
        nodes: u8,
        folder: &Path,
        status: &str,
    ) -> io::Result<()> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = folder.join("verdict.json");
        if !file.exists() {
            self.stages.push(format!("| {name} | {faults} | {nodes} | – | – | no verdict |"));
            self.doubts.push(format!("{name}: no verdict, {status}; see its run.log"));
            return Ok(());
        }
        let verdict = serde_json::from_str(&fs::read_to_string(file)?);
        let verdict = verdict.map_err(|error| io::Error::other(error.to_string()))?;
        self.take(&name, nodes, &verdict);
        Ok(())
    }

    fn take(&mut self, name: &str, nodes: u8, verdict: &Value) {
        let list = |member: &str| verdict[member].as_array().cloned().unwrap_or_default();
        let word = verdict["verdict"].as_str().unwrap_or("no verdict");
        let (seed, faults) = (&verdict["seed"], verdict["faults"].as_str().unwrap_or_default());
        let events = list("events");
        self.stages
            .push(format!("| {name} | {faults} | {nodes} | {seed} | {} | {word} |", events.len()));
        self.has_failed |= word == "FAILED";
        let texts = |values: Vec<Value>| {
            let one = |value: &Value| format!("{name}: {}", value.as_str().unwrap_or_default());
            values.iter().map(one).collect::<Vec<_>>()
        };
        self.violations.extend(texts(list("violations")));
        self.doubts.extend(texts(list("doubts")));
        for event in &events {
            let row = self.row(event, nodes);
            row.injected += 1;
            row.confirmed += usize::from(event["doubts"].as_array().is_some_and(Vec::is_empty));
            let at = |member: &str| event[member].as_u64();
            let healed = at("recovered").zip(at("healed"));
            row.healed_ms.extend(healed.map(|(well, end)| well.saturating_sub(end) / 1_000_000));
        }
        for skipped in list("skipped") {
            let row = self.row(&skipped, nodes);
            row.why = skipped["why"].as_str().unwrap_or_default().to_owned();
            row.excuse = Excuse::read(&skipped);
        }
    }

    fn row(&mut self, of: &Value, nodes: u8) -> &mut Row {
        let fault = of["fault"].as_str().unwrap_or_default().to_owned();
        self.rows.entry((fault, nodes)).or_default()
    }

    /// So many stages were not begun.
    pub(super) fn cut_short(&mut self, stages: usize) {
        self.not_played = stages;
    }

    /// Whether anything did not hold.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether every fault was injected and confirmed, or is excused, and every stage was played.
    pub(super) fn is_complete(&self) -> bool {
        let is_done = |row: &Row| row.injected > 0 && row.confirmed == row.injected;
        let elsewhere = |fault: &str, nodes: u64| {
            let mut rows = self.rows.iter();
            rows.any(|((name, count), row)| {
                name == fault && u64::from(*count) >= nodes && is_done(row)
            })
        };
        let is_well = |((fault, _), row): (&(String, u8), &Row)| match row.excuse {
            _ if row.injected > 0 => is_done(row),
            Excuse::None => false,
            Excuse::NothingToHit => true,
            Excuse::Nodes(nodes) => elsewhere(fault, nodes),
        };
        self.not_played == 0 && self.doubts.is_empty() && self.rows.iter().all(is_well)
    }

    /// The report.
    pub(super) fn markdown(&self) -> String {
        let word = match (self.has_failed, self.is_complete()) {
            (true, _) => "FAILED",
            (false, true) => "PASSED",
            (false, false) => "INVALID",
        };
        let mut out = format!("# Chaos before a release: {word}\n\n");
        let not_played = format!("{} stages were not played", self.not_played);
        let cut_short = if self.not_played > 0 { vec![not_played] } else { Vec::new() };
        let lists = [
            ("What did not hold", &self.violations),
            ("What is in doubt", &self.doubts),
            ("Cut short", &cut_short),
        ];
        for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            out.push_str(&format!("## {title}\n\n- {}\n\n", lines.join("\n- ")));
        }
        out.push_str(
            "## Runs\n\n| Run | Faults | Controllers | Seed | Injections | Verdict |\n|---|---|---|---|---|---|\n",
        );
        out.push_str(&self.stages.join("\n"));
        out.push_str(
            "\n\n## Faults\n\n\"Well again\" counts from the end of a fault until all controllers and brokers are back.\n\n\
             | Fault | Controllers | Injections | Confirmed | Well again p50, max ms | Skipped |\n|---|---|---|---|---|---|\n",
        );
        for ((fault, nodes), row) in &self.rows {
            out.push_str(&row.line(fault, *nodes));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::Summary;
    use serde_json::{Value, json};

    fn verdict(word: &str, violations: &[&str], doubts: &[&str]) -> Value {
        json!({
            "verdict": word, "seed": 4, "faults": "all", "violations": violations, "doubts": [],
            "events": [{
                "fault": "leader-kill", "doubts": doubts, "healed": 1_000_000_000_u64, "recovered": 1_250_000_000_u64,
            }],
            "skipped": [{ "fault": "tls-expired", "why": "no TLS yet" }],
        })
    }

    #[test]
    fn what_was_never_injected_makes_it_invalid_until_it_was() {
        let mut summary = Summary::default();
        summary.take("001-all-3", 3, &verdict("PASSED", &[], &[]));
        assert!(!summary.has_failed() && !summary.is_complete());
        let text = summary.markdown();
        assert!(text.starts_with("# Chaos before a release: INVALID\n"), "{text}");
        assert!(text.contains("| `leader-kill` | 3 | 1 | 1 | 250, 250 |  |"), "{text}");
        assert!(text.contains("| `tls-expired` | 3 | 0 | 0 | 0, 0 | no TLS yet |"), "{text}");
        let mut later = verdict("PASSED", &[], &[]);
        later["events"][0]["fault"] = "tls-expired".into();
        later["skipped"] = json!([]);
        summary.take("002-all-3", 3, &later);
        assert!(summary.is_complete());
        summary.cut_short(2);
        assert!(!summary.is_complete());
    }

    #[test]
    fn an_excuse_holds_only_while_it_is_true() {
        let mut with_three = verdict("PASSED", &[], &[]);
        with_three["skipped"] = json!([
            { "fault": "tls-expired", "why": "no TLS", "nothingToHit": true, "needsNodes": null },
            { "fault": "bridge", "why": "needs 5 controllers", "nothingToHit": false, "needsNodes": 5 },
        ]);
        let mut summary = Summary::default();
        summary.take("001-all-3", 3, &with_three);
        assert!(!summary.is_complete(), "nobody injected bridge yet");
        let text = summary.markdown();
        let line = "| `tls-expired` | 3 | 0 | 0 | 0, 0 | excused: nothing to hit; no TLS |";
        assert!(text.contains(line), "{text}");
        let mut with_five = verdict("PASSED", &[], &[]);
        with_five["skipped"] = json!([]);
        with_five["events"][0]["fault"] = "bridge".into();
        summary.take("002-all-5", 5, &with_five);
        assert!(summary.is_complete());
        with_five["events"][0]["doubts"] = json!(["no packet was touched"]);
        summary.take("003-all-5", 5, &with_five);
        assert!(!summary.is_complete());
    }

    #[test]
    fn one_violation_fails_and_one_doubt_spoils() {
        let mut summary = Summary::default();
        summary.take("001-all-5", 5, &verdict("FAILED", &["LOST: a"], &[]));
        assert!(summary.has_failed());
        assert!(summary.markdown().contains("- 001-all-5: LOST: a\n"));
        let mut summary = Summary::default();
        summary.take("001-all-5", 5, &verdict("INVALID", &[], &["no packet was touched"]));
        assert!(!summary.has_failed() && !summary.is_complete());
    }
}
