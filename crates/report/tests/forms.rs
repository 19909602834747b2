//! Markdown, CSV and interval logs, word by word. `UPDATE_EXPECT=1 cargo test -p report` rewrites them.

#[path = "synthetic/runs.rs"]
mod synthetic;

use expect_test::expect_file;
use report::Options;
use synthetic::{Shape, invalid, run};

#[test]
fn markdown_of_three_arms() {
    let runs = [Shape::dledger(), Shape::jraft(), Shape::ours()].map(|shape| run(&shape.brief()));
    let options = Options { across_durability: true, ..Options::default() };
    expect_file!["golden/three.md"].assert_eq(&report::markdown(&runs, &options).unwrap());
}

#[test]
fn markdown_of_an_invalid_run() {
    let page = report::markdown(&[invalid()], &Options::default()).unwrap();
    expect_file!["golden/invalid.md"].assert_eq(&page);
}

#[test]
fn csv_of_one_run() {
    let runs = [run(&Shape::ours().brief())];
    expect_file!["golden/one.csv"].assert_eq(&report::csv(&runs, &Options::default()).unwrap());
}

#[test]
fn the_log_holds_every_measured_window() {
    let found = run(&Shape::ours().brief());
    let log = report::hlog([&found]);
    let mut lines = log.lines();
    assert_eq!(lines.next(), Some("#[Histogram log format version 1.3]"));
    let measured: Vec<Vec<&str>> =
        lines.filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect()).collect();
    // 40 s, of which one window was lost, two operations.
    assert_eq!(measured.len(), 39 * 2);
    assert_eq!(measured[0][..3], ["Tag=pitchover-fsync/alter_sync_state_set", "0.000", "1.000"]);
    let histogram = measure::Encoded(measured[0][4].to_owned()).decode().unwrap();
    assert_eq!(histogram.count(), 40);
}
