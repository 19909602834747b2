//! Markdown, CSV and interval logs, word by word. `UPDATE_EXPECT=1 cargo test -p report` rewrites them.

#[path = "synthetic/runs.rs"]
mod synthetic;

use expect_test::expect_file;
use measure::tables::{Cell, Mood, Table};
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
fn given_tables_stand_in_markdown_and_page_with_their_words_escaped() {
    let cell = |text: &str, mood| Cell { text: text.to_owned(), mood };
    let table = Table {
        title: "Goals".to_owned(),
        question: "Reached?".to_owned(),
        notes: vec!["By the <figures> below.".to_owned()],
        columns: ["What", "Ratio"].map(str::to_owned).to_vec(),
        words: 1,
        rows: vec![vec![cell("a|b", Mood::Plain), cell("reached", Mood::Good)]],
    };
    let (runs, tables) = ([run(&Shape::ours().brief())], [table]);
    let options = Options { tables: &tables, ..Options::default() };
    let text = report::markdown(&runs, &options).unwrap();
    let expected = "## Goals\n\nReached?\n\n| What | Ratio |\n|---|---:|\n| a\\|b | **reached** |\n\n\
                    By the <figures> below.\n";
    assert!(text.contains(expected), "{text}");
    let page = report::html(&runs, &options).unwrap();
    for part in [
        "id=\"table-0\"",
        "By the &lt;figures&gt; below.",
        "<td class=\"n\"><span class=\"word good\">",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let (goals, own) = (page.find("id=\"table-0\""), page.find("id=\"run\""));
    assert!(goals < own, "given tables come first");
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
