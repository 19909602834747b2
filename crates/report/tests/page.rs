//! The page, in a real browser where there is one: it says what it has to, without script errors, and asks
//! nobody for anything.

#[path = "synthetic/browser.rs"]
mod browser;
#[path = "synthetic/runs.rs"]
mod synthetic;

use browser::{dump, is_seen};
use measure::comparison::{self, Change, Comparison, Effect, Side};
use measure::folder::Durability;
use measure::judged::{Judged, Verdict};
use report::draw::page::PAGE_BYTES_MAX;
use report::{Options, ReportError};
use synthetic::{Shape, invalid, run, unfinished};

/// What holds of every page, drawn or not.
fn check(page: &str) {
    assert!(page.len() <= PAGE_BYTES_MAX, "{} bytes", page.len());
    for word in ["http:", "https:", "src=", "@import", "<link", "<iframe", "<img", "NaN", "inf "] {
        assert!(!page.contains(word), "{word} in the page");
    }
    let after_script =
        page.split("<script>").nth(1).and_then(|text| text.split("</script>").next());
    assert!(after_script.is_some_and(|script| script.len() < 15_000));
}

#[test]
fn three_arms_are_drawn_by_a_browser_without_an_error() {
    let runs = [Shape::dledger(), Shape::jraft(), Shape::ours()].map(|shape| run(&shape.brief()));
    let judged = [Judged {
        id: "write-p99".into(),
        verdict: Verdict::Fail,
        minimum: 2.0,
        ..Judged::default()
    }];
    let options = Options { across_durability: true, judged: &judged, ..Options::default() };
    let page = report::html(&runs, &options).unwrap();
    check(&page);
    for fact in [
        "java-dledger",
        "Where the baseline, java-dledger, is better",
        "†",
        "write-p99",
        "Across durability",
    ] {
        assert!(page.contains(fact), "{fact}");
    }
    is_seen(&page, "three-arms");
    let Some(dom) = dump(&page, "three") else { return };
    // Of two operations and three arms: 2 percentile plots, 6 waterfalls with their send lag, 4 differences, 6 over
    // time, 3 failover, 3 of the slowest, 1 objective, and the forest plot with its axis.
    let pictures = dom.matches("<svg viewBox").count();
    let rows =
        dom.split("id=\"ratios\"").nth(1).and_then(|text| text.split("</section>").next()).unwrap();
    let forest = rows.matches("<svg viewBox").count();
    assert_eq!(pictures - forest, 2 + 12 + 4 + 6 + 3 + 3 + 1);
    assert!(forest > 20, "{forest} rows");
    assert!(dom.contains("data-tip="), "the script ran");
    assert_eq!(dom.matches("<title>").count(), 1, "the script took all tips");
    assert!(dom.contains("GC pause &lt;young&gt;"), "text of runs is no markup");
    let data =
        dom.split("id=\"data\">").nth(1).and_then(|text| text.split("</script>").next()).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["schema"], "pitchover.report/v1");
    assert_eq!(data["workloads"][0]["arms"].as_array().map(Vec::len), Some(3));
}

#[test]
fn an_invalid_run_says_so_before_everything_else() {
    let page = report::html(&[invalid()], &Options::default()).unwrap();
    check(&page);
    let banner = page.find("✗ Invalid: 1 of 1 runs").expect("a banner");
    assert!(banner < page.find("class=\"strip\"").unwrap());
    assert!(page.contains("send lag p99 4.2 ms, at most 1 ms"));
}

#[test]
fn an_unfinished_run_is_drawn_and_says_so() {
    let page = report::html(&[unfinished()], &Options::default()).unwrap();
    check(&page);
    assert!(page.contains("Unfinished: 1 of 1 runs"));
    assert!(page.contains("id=\"waterfalls\""));
    assert!(!page.contains("id=\"failover\""), "no section without figures");
}

#[test]
fn a_run_without_windows_still_has_its_figures() {
    let mut found = run(&Shape::ours().brief());
    found.windows.clear();
    let page = report::html(&[found], &Options::default()).unwrap();
    check(&page);
    assert!(page.contains("get_replica_info") && !page.contains("id=\"waterfalls\""));
}

#[test]
fn loads_of_one_arm_are_a_ramp_with_a_knee() {
    let runs: Vec<_> = [(1, 1.0), (2, 1.2), (4, 2.0), (8, 60.0)]
        .map(|(load, slower)| {
            let shape = Shape::ours().brief();
            let [writes, reads] = shape.rates;
            let middle_us = shape.middle_us.map(|us| us * slower);
            run(&Shape { rates: [writes * load, reads * load], middle_us, pauses: &[], ..shape })
        })
        .into();
    let page = report::html(&runs, &Options::default()).unwrap();
    check(&page);
    assert!(page.contains("id=\"load\""));
    let json: serde_json::Value =
        serde_json::from_str(&report::json(&runs, &Options::default()).unwrap()).unwrap();
    let arm = &json["workloads"][0]["arms"][0];
    assert_eq!(arm["ramp"].as_array().map(Vec::len), Some(4));
    assert_eq!(arm["knee_per_s"], 560.0);
    assert_eq!(arm["carried_per_s"], 1_120.0);
}

#[test]
fn arms_of_different_durability_are_not_compared_unasked() {
    let runs = [Shape::dledger(), Shape::ours()].map(|shape| run(&shape.brief()));
    let error = report::html(&runs, &Options::default()).unwrap_err();
    assert!(matches!(&error, ReportError::AcrossDurability { .. }));
    let text = error.to_string();
    assert!(text.contains("java-dledger is async, pitchover-fsync is fsync"), "{text}");
    assert!(text.contains("--across-durability"), "{text}");
}

#[test]
fn an_interleaved_comparison_is_drawn_with_its_own_checks() {
    let side = |arm: &str, durability| Side { arm: arm.into(), durability };
    let effect = Effect {
        op: "get_replica_info".into(),
        metric: "p99".into(),
        unit: "us".into(),
        a: Some(400.0),
        b: Some(320.0),
        ratio: 0.8,
        low: Some(0.76),
        high: Some(0.83),
        margin: 0.1,
        detectable: Some(0.12),
        verdict: Change::Faster,
        ..Effect::default()
    };
    let same = Effect { ratio: 1.01, low: Some(0.97), high: Some(1.04), ..effect.clone() };
    let mut comparison = Comparison {
        schema: comparison::SCHEMA.into(),
        a: side("before", Durability::Fsync),
        b: side("after", Durability::Fsync),
        design: "5 restarts × 8 quads of 2 s".into(),
        valid: true,
        effects: vec![effect],
        same: vec![same],
        ..Comparison::default()
    };
    let runs = [run(&Shape::ours().brief())];
    let options = Options { comparison: Some(&comparison), ..Options::default() };
    let page = report::html(&runs, &options).unwrap();
    check(&page);
    for fact in [
        "after against before",
        "before against itself",
        "get_replica_info p99: 12 %",
        "[0.76",
        "✓ better",
    ] {
        assert!(page.contains(fact), "{fact}");
    }
    comparison.b.durability = Durability::Async;
    let options = Options { comparison: Some(&comparison), ..Options::default() };
    assert!(matches!(report::html(&runs, &options), Err(ReportError::AcrossDurability { .. })));
    let asked = Options { across_durability: true, ..options };
    assert!(report::html(&runs, &asked).unwrap().contains("get_replica_info p99 †"));
}

#[test]
fn wrong_answers_stand_at_the_top() {
    let mut found = run(&Shape::ours().brief());
    found.run.correctness.violations = 2;
    found.run.correctness.details = vec!["set-7: epoch 4 after 5".into()];
    let page = report::html(&[found], &Options::default()).unwrap();
    let banner = page.find("✗ Wrong answers").expect("a banner");
    assert!(banner < page.find("class=\"strip\"").unwrap());
    assert!(page.contains("set-7: epoch 4 after 5"));
}

#[test]
fn the_baseline_of_vs_is_an_arm_of_its_own() {
    let runs = [run(&Shape::ours().brief())];
    let vs = [run(&Shape::ours().brief())];
    let options = Options { vs: &vs, ..Options::default() };
    let page = report::html(&runs, &options).unwrap();
    assert!(page.contains("pitchover-fsync (0e52630c, baseline)"));
    // The same run twice: nothing differs.
    assert!(page.contains("In no metric whose interval allows a verdict."));
}

#[test]
fn many_runs_still_fit_into_one_page() {
    let mut one = run(&Shape { seconds: 8, ..Shape::ours().brief() });
    one.windows.retain(|window| window.at_ms >= 0);
    let mut many = Vec::new();
    for workload in 0..13 {
        for arm in 0..5 {
            let mut other = one.clone();
            other.run.name = format!("workload-{workload}");
            other.run.arm = format!("arm-{arm}");
            many.push(other);
        }
    }
    let page = report::html(&many, &Options::default()).unwrap();
    check(&page);
    assert!(page.contains("So many runs share this page"), "{} bytes", page.len());
}

#[test]
fn nothing_and_too_much_are_refused_by_name() {
    let none = report::html(&[], &Options::default()).unwrap_err();
    assert_eq!(none.to_string(), "no run was given");
    let mut one = run(&Shape::ours().brief());
    one.windows.clear();
    let many: Vec<_> = (0..9)
        .map(|number| {
            let mut other = one.clone();
            other.run.arm = format!("arm-{number}");
            other
        })
        .collect();
    let text = report::html(&many, &Options::default()).unwrap_err().to_string();
    assert!(text.starts_with("9 arms, at most 8 (ARMS_MAX)"), "{text}");
}
