//! The search gives the published verdict on every published history.

use std::path::Path;
use workload::check::search::Limit;
use workload::published::Published;

/// The etcd logs that are linearizable; no other is.
const LINEARIZABLE: [u32; 23] =
    [2, 5, 7, 18, 25, 31, 38, 45, 48, 49, 51, 53, 56, 67, 75, 76, 80, 87, 92, 98, 100, 101, 102];

/// Never started, so there is no verdict and no file.
const EMPTY: u32 = 95;

fn check(name: &str, expected: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(name);
    let text = std::fs::read_to_string(path).expect("the file lies beside this test");
    let history = Published::read(&text).expect("a published history");
    let lines_count = text.lines().count();
    assert!(history.operations_count() > lines_count / 3, "{name}: {lines_count} lines");
    assert_eq!(history.is_linearizable(Limit::default()), Some(expected), "{name}");
}

#[test]
fn every_etcd_log_gets_its_published_verdict() {
    for number in (0..=102).filter(|number| *number != EMPTY) {
        check(&format!("etcd/etcd_{number:03}.log"), LINEARIZABLE.contains(&number));
    }
}

#[test]
fn every_key_value_log_gets_its_published_verdict() {
    for clients in ["c01", "c10", "c50"] {
        check(&format!("key_value/{clients}-ok.txt"), true);
        check(&format!("key_value/{clients}-bad.txt"), false);
    }
}
