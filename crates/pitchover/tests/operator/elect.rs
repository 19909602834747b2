//! `pitchover elect` against real processes.

use std::fs;

use crate::broker_set::{SET, found, shown};
use crate::cluster::Cluster;
use crate::run::run;

#[test]
fn elections_by_hand() {
    let mut cluster = Cluster::one_port("pitchover.neverMaster = a:3\n");
    let mut wires = found(&cluster);
    let leader = cluster.await_leader();
    let follower = cluster.addresses[(leader + 1) % 3].clone();
    let elect = |arguments: &[&str]| {
        let mut all = vec!["elect"];
        all.extend(arguments);
        all.extend(["--target", follower.as_str()]);
        run(&all)
    };
    // What Java's answers show: the master, its epoch, the sync-state set and its epoch.
    let mut is_now = |expected: (&str, &str, Vec<i64>, i32)| {
        let (master, epoch, set, set_epoch) = shown(&mut wires[0]);
        assert_eq!((&*master, &*epoch, set, set_epoch), expected);
    };
    let stays = ["a: broker 1 is master already", "* broker 1", "listed in pitchover.neverMaster"];
    elect(&[SET]).must_be("a living master stays", 0, &stays);
    let tried = elect(&[SET, "--to", "2", "--dry-run"]);
    tried.must_be("dry run", 0, &["broker 2 would be elected, master epoch 2", "was named"]);
    is_now(("1", "1", vec![1, 2, 3], 2));
    elect(&[SET, "--to", "2"]).must_be("by name", 0, &["a: broker 2 elected, master epoch 2"]);
    is_now(("2", "2", vec![2], 3));
    let behind = elect(&[SET, "--to", "1"]);
    behind.must_be("not in sync", 3, &["nobody elected", "not in the sync-state set"]);
    elect(&[SET, "--to", "9"]).must_be("unknown id", 3, &["broker 9 is not registered"]);
    is_now(("2", "2", vec![2], 3));
    let unclean = elect(&[SET, "--to", "3", "--unclean", "--json"]);
    unclean.must_be("unclean", 0, &["\"result\": \"elected\"", "messages may be lost"]);
    is_now(("3", "3", vec![3], 4));
    elect(&["none"]).must_be("unknown set", 1, &["broker set `none` is not known"]);
    run(&["elect", SET, "--target", "127.0.0.1:1"]).must_be("nobody there", 1, &["elect:"]);
    for wrong in [&["elect"][..], &["elect", SET, "--to", "0"], &["elect", SET, "--to", "x"]] {
        assert_eq!(run(wrong).code, Some(2), "{wrong:?}");
    }
    // Audited where it was asked, and where it was decided.
    let log = |node: usize| {
        let path = cluster.folder.path().join(format!("n{node}.log"));
        fs::read_to_string(path).unwrap()
    };
    let asked = log((leader + 1) % 3);
    assert_eq!(asked.matches("election ordered by an operator").count(), 6, "{asked}");
    assert!(log(leader).contains("Operator"), "{}", log(leader));
}
