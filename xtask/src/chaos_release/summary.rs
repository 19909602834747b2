//! What the stages of a programme showed together, from the `verdict.json` of each, and what `OpenChaos` printed.

use super::Work;
use super::theirs::Theirs;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What a row is about: what one stage injected does not stand for another whose brokers, or number of controllers, differ.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    fault: String,
    nodes: u8,
    has_java_brokers: bool,
}

/// A fault that was wanted there.
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
    /// It means something only with Java brokers: a stage with them must have injected it.
    JavaBrokers,
    /// It means something only where data lie on a device: a stage whose data do must have injected it.
    Device,
}

impl Excuse {
    fn read(skipped: &Value) -> Self {
        match skipped["needsNodes"].as_u64() {
            Some(nodes) => Self::Nodes(nodes),
            None if skipped["needsJavaBrokers"] == true => Self::JavaBrokers,
            None if skipped["needsDevice"] == true => Self::Device,
            None if skipped["nothingToHit"] == true => Self::NothingToHit,
            None => Self::None,
        }
    }

    /// Before the reason; `is_well`: another stage did inject it, if it is for another.
    fn word(self, is_well: bool) -> &'static str {
        match (self, is_well) {
            (Self::None, _) => "",
            (Self::NothingToHit, _) => "excused: nothing to hit; ",
            (Self::Nodes(_), true) => "excused: a stage with more controllers injected it; ",
            (Self::Nodes(_), false) => {
                "for stages with more controllers, of which none injected it; "
            }
            (Self::JavaBrokers, true) => "excused: a stage with Java brokers injected it; ",
            (Self::JavaBrokers, false) => {
                "for stages with Java brokers, of which none injected it; "
            }
            (Self::Device, true) => "excused: a stage with data on a device injected it; ",
            (Self::Device, false) => {
                "for stages with data on a device, of which none injected it; "
            }
        }
    }
}

impl Row {
    fn line(&self, key: &Key, is_well: bool) -> String {
        let Key { fault, nodes, has_java_brokers } = key;
        let brokers = if *has_java_brokers { "Java" } else { "actors" };
        let Self { injected, confirmed, healed_ms, why, excuse } = self;
        let mut healed = healed_ms.clone();
        healed.sort_unstable();
        let middle = healed.get(healed.len() / 2).copied().unwrap_or(0);
        let most = healed.last().copied().unwrap_or(0);
        let why =
            if *injected > 0 { String::new() } else { format!("{}{why}", excuse.word(is_well)) };
        format!(
            "| `{fault}` | {nodes} | {brokers} | {injected} | {confirmed} | {middle}, {most} | {why} |\n"
        )
    }
}

/// All stages so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    stages: Vec<String>,
    rows: BTreeMap<Key, Row>,
    violations: Vec<String>,
    doubts: Vec<String>,
    /// Stages, and faults of `OpenChaos`, that this machine cannot play, each with the reason.
    skipped: Vec<String>,
    not_played: Vec<String>,
    has_failed: bool,
    /// What `OpenChaos` said of each fault.
    theirs: Vec<String>,
}

impl Summary {
    /// Adds what the run in this folder found; one without a verdict is a doubt.
    pub(super) fn add(&mut self, work: Work, folder: &Path, status: &str) -> io::Result<()> {
        let nodes = work.nodes();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = folder.join("verdict.json");
        if !file.exists() {
            self.stages.push(format!("| {name} | – | {nodes} | – | – | no verdict |"));
            self.doubts.push(format!("{name}: no verdict, {status}; see its run.log"));
            return Ok(());
        }
        let verdict = serde_json::from_str(&fs::read_to_string(file)?);
        let verdict = verdict.map_err(|error| io::Error::other(error.to_string()))?;
        self.take(&name, work, &verdict);
        Ok(())
    }

    fn take(&mut self, name: &str, work: Work, verdict: &Value) {
        let nodes = work.nodes();
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
            let row = self.row(event, work);
            row.injected += 1;
            row.confirmed += usize::from(event["doubts"].as_array().is_some_and(Vec::is_empty));
            let at = |member: &str| event[member].as_u64();
            let healed = at("recovered").zip(at("healed"));
            row.healed_ms.extend(healed.map(|(well, end)| well.saturating_sub(end) / 1_000_000));
        }
        for skipped in list("skipped") {
            let row = self.row(&skipped, work);
            row.why = skipped["why"].as_str().unwrap_or_default().to_owned();
            row.excuse = Excuse::read(&skipped);
        }
    }

    fn row(&mut self, of: &Value, work: Work) -> &mut Row {
        let fault = of["fault"].as_str().unwrap_or_default().to_owned();
        let (nodes, has_java_brokers) = (work.nodes(), work == Work::JavaBrokers);
        self.rows.entry(Key { fault, nodes, has_java_brokers }).or_default()
    }

    /// Adds what `OpenChaos` said, from the log in this folder.
    pub(super) fn add_theirs(&mut self, name: &str, folder: &Path, status: &str) -> io::Result<()> {
        let log = String::from_utf8_lossy(&fs::read(folder.join("run.log"))?).into_owned();
        self.take_theirs(name, &log, status);
        Ok(())
    }

    fn take_theirs(&mut self, name: &str, log: &str, status: &str) {
        let theirs = Theirs::read(log);
        let (word, played) = (theirs.word(), theirs.played);
        self.stages.push(format!("| {name} | of OpenChaos | 3, 5 | – | {played} | {word} |"));
        self.has_failed |= !theirs.failed.is_empty();
        let of_stage = |line: String| format!("{name}: {line}");
        self.violations.extend(theirs.failed.into_iter().map(of_stage));
        self.doubts.extend(theirs.doubts.into_iter().map(of_stage));
        self.skipped.extend(theirs.skipped.into_iter().map(of_stage));
        if !theirs.not_played.is_empty() {
            let names = theirs.not_played.join(", ");
            self.not_played.push(format!("{name}: {names} ({status}; see its run.log)"));
        }
        self.theirs.extend(theirs.lines);
    }

    /// A stage that could not be begun.
    pub(super) fn skip(&mut self, name: &str, why: &str) {
        self.stages.push(format!("| {name} | – | – | – | – | SKIPPED |"));
        self.skipped.push(format!("{name}: {why}"));
    }

    /// These stages were not begun.
    pub(super) fn cut_short(&mut self, stages: Vec<String>) {
        self.not_played.extend(stages);
    }

    /// Whether anything did not hold.
    pub(super) fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Whether a row is what a release wants: injected and confirmed, or excused.
    fn is_well(&self, fault: &str, row: &Row) -> bool {
        let is_done = |row: &Row| row.injected > 0 && row.confirmed == row.injected;
        let elsewhere = |nodes: u64| {
            let mut rows = self.rows.iter();
            rows.any(|(key, row)| {
                key.fault == fault && u64::from(key.nodes) >= nodes && is_done(row)
            })
        };
        match row.excuse {
            _ if row.injected > 0 => is_done(row),
            Excuse::None => false,
            Excuse::NothingToHit => true,
            Excuse::Nodes(nodes) => elsewhere(nodes),
            Excuse::JavaBrokers | Excuse::Device => elsewhere(0),
        }
    }

    /// Whether every fault was injected and confirmed, or is excused, and every stage was played.
    pub(super) fn is_complete(&self) -> bool {
        let is_whole = [&self.not_played, &self.doubts, &self.skipped].iter().all(|l| l.is_empty());
        is_whole && self.rows.iter().all(|(key, row)| self.is_well(&key.fault, row))
    }

    /// Faults that no stage injected though nothing excuses it, by the reason.
    fn never_injected(&self) -> Vec<String> {
        let mut by_reason: BTreeMap<(&str, u8, bool), Vec<&str>> = BTreeMap::new();
        for (key, row) in &self.rows {
            let Key { fault, nodes, has_java_brokers } = key;
            if row.injected == 0 && !self.is_well(fault, row) {
                by_reason.entry((&row.why, *nodes, *has_java_brokers)).or_default().push(fault);
            }
        }
        let line = |((why, nodes, has_java_brokers), faults): (_, Vec<&str>)| {
            let brokers = if has_java_brokers { " and Java brokers" } else { "" };
            format!("{why}, with {nodes} controllers{brokers}: {}", faults.join(", "))
        };
        by_reason.into_iter().map(line).collect()
    }

    /// The report.
    pub(super) fn markdown(&self) -> String {
        let word = match (self.has_failed, self.is_complete()) {
            (true, _) => "FAILED",
            (false, true) => "PASSED",
            (false, false) => "INVALID",
        };
        let mut out = format!("# Chaos before a release: {word}\n\n");
        let lists = [
            ("What did not hold", &self.violations),
            ("What is in doubt", &self.doubts),
            ("SKIPPED: this machine cannot", &self.skipped),
            ("Never injected, and nothing excuses it", &self.never_injected()),
            ("Not played: the programme was cut short", &self.not_played),
        ];
        for (title, lines) in lists.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            out.push_str(&format!("## {title}\n\n- {}\n\n", lines.join("\n- ")));
        }
        out.push_str(
            "## Runs\n\n| Run | Faults | Controllers | Seed | Injections | Verdict |\n|---|---|---|---|---|---|\n",
        );
        out.push_str(&self.stages.join("\n"));
        out.push_str(
            "\n\n## Faults\n\n\"Well again\" counts from the end of a fault until all controllers and brokers are back, and each broker set has a master that all of it follow.\n\n\
             | Fault | Controllers | Brokers | Injections | Confirmed | Well again p50, max ms | Skipped |\n|---|---|---|---|---|---|---|\n",
        );
        for (key, row) in &self.rows {
            out.push_str(&row.line(key, self.is_well(&key.fault, row)));
        }
        if !self.theirs.is_empty() {
            let lines = self.theirs.join("\n");
            out.push_str(&format!("\n## OpenChaos\n\n```text\n{lines}\n```\n"));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{Summary, Work};
    use serde_json::{Value, json};

    const ALL_3: Work = Work::Chaos { faults: "all", nodes: 3 };
    const ALL_5: Work = Work::Chaos { faults: "all", nodes: 5 };

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
        summary.take("001-all-3", ALL_3, &verdict("PASSED", &[], &[]));
        assert!(!summary.has_failed() && !summary.is_complete());
        let text = summary.markdown();
        assert!(text.starts_with("# Chaos before a release: INVALID\n"), "{text}");
        assert!(text.contains("| `leader-kill` | 3 | actors | 1 | 1 | 250, 250 |  |"), "{text}");
        assert!(
            text.contains("| `tls-expired` | 3 | actors | 0 | 0 | 0, 0 | no TLS yet |"),
            "{text}"
        );
        let named = "## Never injected, and nothing excuses it\n\n- no TLS yet, with 3 controllers: tls-expired\n";
        assert!(text.contains(named), "{text}");
        let mut later = verdict("PASSED", &[], &[]);
        later["events"][0]["fault"] = "tls-expired".into();
        later["skipped"] = json!([]);
        summary.take("002-all-3", ALL_3, &later);
        assert!(summary.is_complete());
        summary.cut_short(vec!["003-pairs-3".to_owned()]);
        assert!(!summary.is_complete());
        let text = summary.markdown();
        assert!(
            text.contains("## Not played: the programme was cut short\n\n- 003-pairs-3\n"),
            "{text}"
        );
    }

    #[test]
    fn an_excuse_holds_only_while_it_is_true() {
        let mut with_three = verdict("PASSED", &[], &[]);
        with_three["skipped"] = json!([
            { "fault": "tls-expired", "why": "no TLS", "nothingToHit": true, "needsNodes": null },
            { "fault": "bridge", "why": "needs 5 controllers", "nothingToHit": false, "needsNodes": 5 },
        ]);
        let mut summary = Summary::default();
        summary.take("001-all-3", ALL_3, &with_three);
        assert!(!summary.is_complete(), "nobody injected bridge yet");
        let text = summary.markdown();
        let line =
            "| `tls-expired` | 3 | actors | 0 | 0 | 0, 0 | excused: nothing to hit; no TLS |";
        assert!(text.contains(line), "{text}");
        let mut with_five = verdict("PASSED", &[], &[]);
        with_five["skipped"] = json!([]);
        with_five["events"][0]["fault"] = "bridge".into();
        summary.take("002-all-5", ALL_5, &with_five);
        assert!(summary.is_complete());
        with_five["events"][0]["doubts"] = json!(["no packet was touched"]);
        summary.take("003-all-5", ALL_5, &with_five);
        assert!(!summary.is_complete());
    }

    #[test]
    fn actors_do_not_stand_for_java_brokers() {
        let mut summary = Summary::default();
        let mut injected = verdict("PASSED", &[], &[]);
        injected["skipped"] = json!([]);
        injected["events"][0]["fault"] = "leader-from-brokers".into();
        summary.take("001-all-3", ALL_3, &injected);
        let mut late = verdict("PASSED", &[], &[]);
        late["skipped"] = json!([{ "fault": "leader-from-brokers", "why": "the time was over" }]);
        summary.take("002-java-brokers-3", Work::JavaBrokers, &late);
        assert!(!summary.is_complete());
        let text = summary.markdown();
        let line =
            "- the time was over, with 3 controllers and Java brokers: leader-from-brokers\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("| `leader-from-brokers` | 3 | actors | 1 | 1 |"), "{text}");
        assert!(text.contains("| `leader-from-brokers` | 3 | Java | 0 | 0 |"), "{text}");
        summary.take("003-java-brokers-3", Work::JavaBrokers, &injected);
        assert!(summary.is_complete());
    }

    #[test]
    fn what_only_some_stages_have_is_excused_once_one_of_them_injected_it() {
        let check = |fault: &str, needs: &str, has: &str| {
            let mut without = verdict("PASSED", &[], &[]);
            without["skipped"] = json!([{
                "fault": fault, "why": "not here", "nothingToHit": false, "needsNodes": null, needs: true,
            }]);
            let mut summary = Summary::default();
            summary.take("001-all-5", ALL_5, &without);
            assert!(!summary.is_complete(), "nobody injected it yet");
            let text = summary.markdown();
            let line = format!("for stages with {has}, of which none injected it; not here");
            assert!(text.contains(&line), "{text}");
            let mut with = verdict("PASSED", &[], &[]);
            with["skipped"] = json!([]);
            with["events"][0]["fault"] = fault.into();
            summary.take("002-java-brokers-3", Work::JavaBrokers, &with);
            let text = summary.markdown();
            assert!(summary.is_complete(), "{text}");
            assert!(text.contains(&format!("excused: a stage with {has} injected it; ")), "{text}");
        };
        check("master-apart", "needsJavaBrokers", "Java brokers");
        check("io-throttle", "needsDevice", "data on a device");
    }

    #[test]
    fn a_stage_that_cannot_be_played_is_named_and_makes_it_invalid() {
        let mut summary = Summary::default();
        let mut all = verdict("PASSED", &[], &[]);
        all["skipped"] = json!([]);
        summary.take("001-all-3", ALL_3, &all);
        assert!(summary.is_complete());
        summary.skip("002-java-brokers-3", "no java in JAVA_HOME or PATH");
        assert!(!summary.is_complete() && !summary.has_failed());
        let text = summary.markdown();
        assert!(text.contains("- 002-java-brokers-3: no java in JAVA_HOME or PATH\n"), "{text}");
    }

    #[test]
    fn openchaos_must_have_passed_every_fault() {
        let passed = |name| format!("PASSED   {name:<26}   1500   1400     0\n");
        let log: String = crate::openchaos::faults().map(passed).collect();
        let rows = [
            (log.clone(), true, false, "| 003-openchaos | of OpenChaos | 3, 5 | – | 18 | PASSED |"),
            (
                log.replace("PASSED   leader-kill", "FAILED   leader-kill"),
                true,
                true,
                "- 003-openchaos: FAILED   leader-kill",
            ),
            (
                log.replace("PASSED   leader-kill", "INVALID  leader-kill"),
                false,
                false,
                "- 003-openchaos: INVALID  leader-kill",
            ),
            (
                log.replace("PASSED   leader-kill ", "BROKEN   leader-kill after 3 s: no ssh"),
                false,
                false,
                "- 003-openchaos: BROKEN   leader-kill after 3 s: no ssh",
            ),
            (
                log.replace("PASSED   leader-kill ", "SKIPPED  leader-kill: no netem"),
                false,
                false,
                "- 003-openchaos: SKIPPED  leader-kill: no netem",
            ),
            (
                log.replace("PASSED   leader-kill ", "what comes of leader-kill "),
                false,
                false,
                "- 003-openchaos: leader-kill (its time was over; signal: 15; see its run.log)",
            ),
        ];
        for (log, is_complete, has_failed, line) in rows {
            let mut summary = Summary::default();
            summary.take_theirs("003-openchaos", &log, "its time was over; signal: 15");
            let text = summary.markdown();
            assert!(text.contains(line), "{line} is not in {text}");
            assert_eq!(
                (summary.is_complete(), summary.has_failed()),
                (is_complete, has_failed),
                "{text}"
            );
        }
    }

    #[test]
    fn one_violation_fails_and_one_doubt_spoils() {
        let mut summary = Summary::default();
        summary.take("001-all-5", ALL_5, &verdict("FAILED", &["LOST: a"], &[]));
        assert!(summary.has_failed());
        assert!(summary.markdown().contains("- 001-all-5: LOST: a\n"));
        let mut summary = Summary::default();
        summary.take("001-all-5", ALL_5, &verdict("INVALID", &[], &["no packet was touched"]));
        assert!(!summary.has_failed() && !summary.is_complete());
    }
}
