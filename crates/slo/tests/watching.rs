//! Rules and dashboard of the repository's own objectives. Prometheus itself judges the rules where its `promtool` is
//! installed (Debian: package `prometheus`), named by `PROMTOOL` or found on the path; elsewhere that part is skipped
//! and says so.

#![expect(clippy::print_stderr, reason = "a part that is skipped says so")]

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use slo::{METRICS, Objectives, dashboard, expressions, rules};

fn objectives() -> Objectives {
    Objectives::read("slo.toml", include_str!("../../../slo.toml")).expect("the repository's own")
}

/// What `promtool` says of a rule file; nothing where there is none.
fn promtool(test: &str, text: &str) -> Option<Result<String, String>> {
    let program = std::env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into());
    let folder: PathBuf =
        std::env::temp_dir().join(format!("pitchover-rules-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("temporary files can be written");
    let file = folder.join("rules.yml");
    std::fs::write(&file, text).expect("in a folder of our own");
    let ran = Command::new(&program).args(["check", "rules"]).arg(&file).output();
    std::fs::remove_dir_all(&folder).expect("it is ours");
    match ran {
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stdout).into_owned()
                + &String::from_utf8_lossy(&ran.stderr);
            Some(if ran.status.success() { Ok(said) } else { Err(said) })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "SKIPPED: there is no {} here (Debian: apt-get install prometheus)",
                program.display()
            );
            None
        }
        Err(error) => panic!("{}: {error}", program.display()),
    }
}

#[test]
fn every_promise_has_its_recordings_and_alerts() {
    let (objectives, text) = (objectives(), rules(&objectives()));
    let promised = objectives.all().filter(|objective| objective.prod.is_some()).count();
    assert!(promised >= 3);
    assert_eq!(text.matches("- record: slo:sli_error:ratio_rate").count(), promised * 7);
    assert_eq!(text.matches("severity: page, slo:").count(), promised * 2);
    assert_eq!(text.matches("severity: ticket, slo:").count(), promised * 2);
    assert!(
        text.contains("alert: PitchoverWriteP99PageFast")
            && text.contains("alert: PitchoverNoLeader")
    );
    assert!(text.contains("14.4 * 0.001000"), "{text}");
}

#[test]
fn prometheus_takes_the_rules() {
    let text = rules(&objectives());
    let Some(said) = promtool("rules", &text) else { return };
    let said = said.unwrap_or_else(|said| panic!("{said}\n{text}"));
    assert!(said.contains("SUCCESS"), "{said}");
    let broken = text.replace("rate(", "rrate(");
    let refused = promtool("broken", &broken);
    assert!(refused.is_some_and(|said| said.is_err()), "it does look at expressions");
}

#[test]
fn prometheus_takes_every_query_of_the_dashboard() {
    let mut text = String::from("groups:\n- name: queries\n  rules:\n");
    for (number, expr) in expressions(&objectives()).iter().enumerate() {
        text += &format!("  - record: query:{number}\n    expr: '{}'\n", expr.replace('\'', "''"));
    }
    if let Some(said) = promtool("queries", &text) {
        said.unwrap_or_else(|said| panic!("{said}\n{text}"));
    }
}

#[test]
fn only_listed_metrics_are_named() {
    let objectives = objectives();
    let text = rules(&objectives) + &expressions(&objectives).join("\n");
    let is_word = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let named: BTreeSet<&str> =
        text.split(|it| !is_word(it)).filter(|word| word.starts_with("pitchover_")).collect();
    let family = |name: &str| {
        ["_bucket", "_count", "_sum", "_total"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name)
            .to_owned()
    };
    for name in &named {
        assert!(METRICS.contains(&family(name).as_str()), "{name}");
    }
    for metric in METRICS {
        assert!(
            named.iter().any(|name| family(name) == metric),
            "{metric} is listed and named nowhere"
        );
    }
}

/// What Grafana needs of a panel. Source: its documentation of the dashboard JSON model.
#[test]
fn the_dashboard_is_one_that_grafana_imports() {
    let dashboard: Value = serde_json::from_str(&dashboard(&objectives())).unwrap();
    for member in ["uid", "title", "schemaVersion", "time", "templating", "annotations", "panels"] {
        assert!(!dashboard[member].is_null(), "{member}");
    }
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids differ");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let place = |member: &str| panel["gridPos"][member].as_u64().unwrap();
        let (x, y, w, h) = (place("x"), place("y"), place("w"), place("h"));
        assert!(w > 0 && h > 0 && x + w <= 24, "{panel}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "two panels at {cell:?}");
        }
        let kind = panel["type"].as_str().unwrap();
        assert!(["row", "timeseries", "stat"].contains(&kind), "{kind}");
        assert!(panel["title"].as_str().is_some_and(|title| !title.is_empty()));
        if kind == "row" {
            continue;
        }
        let targets = panel["targets"].as_array().unwrap();
        let letters: BTreeSet<&str> =
            targets.iter().map(|it| it["refId"].as_str().unwrap()).collect();
        assert!(!targets.is_empty() && letters.len() == targets.len(), "{panel}");
        for target in targets {
            assert!(target["expr"].as_str().is_some_and(|expr| !expr.is_empty()));
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
}
