//! What was run: arms, commands, host, workload.

use super::verdict::runs;
use super::{Context, chip};
use crate::arms::durability;
use crate::draw::numbers;
use maud::{Markup, html};
use measure::folder::{Calibration, Found, Host, TargetKind};

pub(super) fn draw(context: &Context<'_>) -> Option<Markup> {
    let found: Vec<(usize, &Found)> = found(context).collect();
    let mut hosts: Vec<&Host> = Vec::new();
    for (_, run) in &found {
        if !hosts.contains(&&run.run.host) {
            hosts.push(&run.run.host);
        }
    }
    let mut workloads: Vec<(&str, &str)> = Vec::new();
    for (_, run) in &found {
        let text = (run.run.name.as_str(), run.run.workload.as_str());
        if !text.1.is_empty() && !workloads.contains(&text) {
            workloads.push(text);
        }
    }
    Some(html! {
        div.grid {
            @for (number, arm) in context.model.arms.iter().enumerate() {
                div.card {
                    h3 { (chip(number)) (arm.name) }
                    @if let Some((_, run)) = found.iter().find(|(of, _)| *of == number) { (card(run)) }
                }
            }
            @for host in hosts { div.card { h3 { "Host" } (host_card(host)) } }
        }
        (commands(context))
        @for (name, text) in workloads {
            details { summary { "Workload file of " (name) } pre { (text) } }
        }
    })
}

/// All runs with the number of their arm.
pub(super) fn found<'a>(context: &Context<'a>) -> impl Iterator<Item = (usize, &'a Found)> {
    let entries = context.model.workloads.iter().flat_map(|workload| &workload.entries);
    entries.flat_map(|entry| {
        entry.steps.iter().flat_map(|step| &step.runs).map(|run| (entry.arm, *run))
    })
}

fn card(found: &Found) -> Markup {
    let run = &found.run;
    let version = run.target.version.as_deref().unwrap_or(numbers::NONE);
    html! {
        dl {
            dt { "target" } dd { (kind(run.target.kind)) " " (version) ", " (run.target.controllers.len()) " nodes" }
            dt { "durability" } dd { b { (durability(run.durability)) } }
            dt { "reads" } dd { @if run.target.reads.is_empty() { (numbers::NONE) } @else { (run.target.reads) } }
            dt { "commit" } dd { code { (run.commit.as_deref().unwrap_or(numbers::NONE)) } }
            dt { "times" } dd {
                (numbers::length(run.time.warmup_ms)) " warm-up, " (numbers::length(run.time.measure_ms)) " measured, windows of "
                (numbers::length(run.time.window_ms))
            }
        }
    }
}

/// The name of a kind of server.
pub(crate) fn kind(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Pitchover => "Pitchover",
        TargetKind::JavaDledger => "Java, DLedger",
        TargetKind::JavaJraft => "Java, JRaft",
        TargetKind::Redis => "Redis",
        TargetKind::Memcached => "Memcached",
        TargetKind::Etcd => "etcd",
        TargetKind::SelfTest => "the harness's own server",
        TargetKind::Unknown => "unknown",
    }
}

fn host_card(host: &Host) -> Markup {
    let or_none =
        |text: &str| if text.is_empty() { numbers::NONE.to_owned() } else { text.to_owned() };
    html! {
        dl {
            dt { "processor" } dd { (host.cpus) " × " (or_none(&host.model)) }
            dt { "memory" } dd { (numbers::bytes(host.memory_mib as f64 * 1_048_576.0)) }
            dt { "kernel" } dd { (or_none(&host.kernel)) }
            dt { "file system" } dd { (or_none(&host.filesystem)) }
            dt { "descriptors" } dd { (numbers::count(host.descriptors)) }
            @match &host.calibration {
                Some(calibration) => (calibrated(calibration)),
                None => { dt { "calibration" } dd { "none: what this host can do at best is not known" } },
            }
        }
    }
}

fn calibrated(calibration: &Calibration) -> Markup {
    let pair = |quantiles: &measure::Quantiles| {
        let show = |value: Option<f64>| value.map_or(numbers::NONE.to_owned(), numbers::latency);
        format!("{} / {}", show(quantiles.p50), show(quantiles.p99))
    };
    html! {
        dt { "round trip p50 / p99" } dd { (pair(&calibration.round_trip_us)) }
        dt { "fdatasync p50 / p99" } dd {
            (pair(&calibration.fdatasync_us))
            @if calibration.sync_is_free { " " b.warn { "a sync costs nothing here: nothing measured here is durable" } }
        }
        dt { "sleep overshoot p50 / p99" } dd { (pair(&calibration.sleep_overshoot_us)) }
        @if let Some(others) = calibration.others_cores {
            dt { "others" } dd { (format!("{others:.2}")) " cores kept busy by other programs" }
        }
    }
}

fn commands(context: &Context<'_>) -> Markup {
    html! {
        details open[context.model.arms.len() == 1] {
            summary { "Runs and the commands that repeat them" }
            div.card.scroll {
                table {
                    tr { th { "Run" } th { "Started" } th.n { "Seed" } th { "Command" } }
                    @for (name, run) in runs(context) {
                        tr {
                            td { (name) }
                            td { (numbers::date(run.started_unix_ms)) }
                            td.n { (run.seed) }
                            td { code { (shell(&run.command)) } }
                        }
                    }
                }
            }
        }
    }
}

/// Words as a shell takes them.
pub(crate) fn shell(words: &[String]) -> String {
    let is_plain = |word: &str| {
        let plain = |it: char| it.is_ascii_alphanumeric() || "-_./:=,@%+".contains(it);
        !word.is_empty() && word.chars().all(plain)
    };
    let quoted = |word: &String| match is_plain(word) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::shell;

    #[test]
    fn commands_can_be_pasted() {
        let words = ["pitchover", "--seed=4", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(shell(&words), "pitchover --seed=4 'a b' 'it'\\''s' ''");
    }
}
