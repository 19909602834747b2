//! `pitchover chaos`: what cannot begin says why, and begins nothing.

use crate::node::Folder;
use crate::run::run;

/// Wrong usage.
const USAGE: i32 = 64;

#[test]
fn what_names_no_fault_is_named_and_nothing_begins() {
    let rows: [(&[&str], &str); 7] = [
        (&["--faults", "leader-kil"], "unknown fault `leader-kil`"),
        (&["--faults", "noop,openchaos:x"], "unknown fault `openchaos:x`"),
        (&["--faults", "fixed-kill@n3"], "`@` is followed by a node, n0 to n2"),
        (&["--faults", ","], "no fault is named"),
        (&["--for", "10"], "write 90s, 10m or 24h"),
        (&["--nodes", "4"], "invalid value '4'"),
        (&["--program", "/nowhere/pitchover"], "No such file"),
    ];
    let folder = Folder::new();
    let out = folder.path().join("run");
    let out_text = out.display().to_string();
    for (arguments, text) in rows {
        let words = [&["chaos", "run", "--out", &out_text], arguments].concat();
        let ended = run(&words);
        ended.must_be(text, USAGE, &[text]);
        ended.must_not_panic(text);
        assert!(!out.exists(), "{text}: a folder was made");
    }
}

#[test]
fn every_fault_is_listed_with_what_it_needs_or_lacks() {
    let listed = run(&["chaos", "list"]);
    listed.must_be(
        "chaos list",
        0,
        &["openchaos:leader-partition", "TUN fabric", "needs 5 controllers"],
    );
    let theirs = listed.out.lines().filter(|line| line.contains("openchaos:")).count();
    assert_eq!(theirs, 40);
}
