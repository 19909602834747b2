//! Folders that must be refused, and what the refusal says. Nothing is changed by any of them.

use consensus::PeerId;
use journal::{
    Founding, Identity, Journal, JournalError, MemoryDisk, OpenError, Options, read_identity,
};

use crate::model::{CLUSTER, ME, SMALL, entry, founded, group, hard_state, identity, names, open};

/// Opens, expects a refusal whose text holds all of `parts`, and compares the folder.
fn check(disk: &MemoryDisk, cluster: u64, peer: PeerId, parts: &[&str]) -> OpenError {
    let before = disk.contents();
    let error = Journal::open(disk.handle(), cluster, peer, SMALL).expect_err("refused");
    disk.kill();
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
    let mut after = disk.contents();
    if !before.contains_key("lock") {
        after.remove("lock");
    }
    assert_eq!(after, before, "{text}");
    error
}

/// A founded journal with one entry, closed.
fn used() -> MemoryDisk {
    let (disk, mut journal) = founded();
    let one = group(hard_state(1, Some(2), 0), vec![entry(1, 1, 10)]);
    journal.write(&[one]).expect("written");
    drop(journal);
    disk
}

#[test]
fn an_empty_folder_is_a_new_peer() {
    let disk = MemoryDisk::new();
    let (mut journal, recovered) = open(disk.handle()).expect("empty");
    assert_eq!(recovered.identity, None);
    assert_eq!(names(&disk), ["lock"]);
    let refused = journal.write(&[group(hard_state(1, None, 0), vec![])]);
    assert!(matches!(refused, Err(JournalError::NoIdentity)));
    // After a failure nothing is done any more.
    let refused = journal.write_identity(&identity(Founding::Founding));
    assert!(matches!(refused, Err(JournalError::Failed)));
}

#[test]
fn founding_then_founded_then_never_founding_again() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(disk.handle()).expect("empty");
    journal.write_identity(&identity(Founding::Founding)).expect("written");
    journal.write_identity(&identity(Founding::Founded)).expect("written");
    drop(journal);
    let (mut journal, recovered) = open(disk.handle()).expect("opens");
    assert_eq!(recovered.identity, Some(identity(Founding::Founded)));
    let back = journal.write_identity(&identity(Founding::Founding));
    assert!(matches!(back, Err(JournalError::Identity(_))));
}

#[test]
fn an_empty_journal_takes_the_peer_id_it_is_given() {
    let disk = MemoryDisk::new();
    let (mut journal, _) = open(disk.handle()).expect("empty");
    let given = Identity { peer: PeerId(9), ..identity(Founding::Founded) };
    journal.write_identity(&given).expect("written");
    journal.write(&[group(hard_state(1, None, 0), vec![])]).expect("written");
    drop(journal);
    assert_eq!(read_identity(&disk).expect("readable"), Some(given));
    check(&disk, CLUSTER, ME, &["belongs to peer 9", "this is peer 2", "identity"]);
    Journal::open(disk.handle(), CLUSTER, PeerId(9), SMALL).expect("opens as what it is");
}

#[test]
fn a_second_process_is_refused() {
    let (disk, _journal) = founded();
    let error = open(disk.handle()).expect_err("held");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
}

#[test]
fn another_cluster_or_peer_is_refused() {
    let disk = used();
    let error = check(&disk, 7, ME, &["memory/identity", "00000000000000c1", "0000000000000007"]);
    assert!(matches!(error, OpenError::OtherCluster { .. }));
    let error = check(&disk, CLUSTER, PeerId(3), &["belongs to peer 2", "this is peer 3"]);
    assert!(matches!(error, OpenError::OtherPeer { .. }));
}

#[test]
fn a_segment_or_identity_of_another_is_refused() {
    let (disk, other) = (used(), MemoryDisk::new());
    let (mut journal, _) = Journal::open(other.handle(), 7, PeerId(1), SMALL).expect("empty");
    let foreign = Identity { cluster: 7, peer: PeerId(1), ..identity(Founding::Founded) };
    journal.write_identity(&foreign).expect("written");
    let name = names(&disk).pop().expect("a segment");
    disk.put(&name, &other.content(&name).expect("there"));
    let error = check(&disk, CLUSTER, ME, &[&name, "check the folder"]);
    assert!(matches!(error, OpenError::OtherCluster { .. }));
}

#[test]
fn a_newer_format_is_told_from_damage() {
    for name in ["identity", "segment-00000000000000000001"] {
        let disk = used();
        let mut bytes = disk.content(name).expect("there");
        bytes[8] = 2;
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        disk.put(name, &bytes);
        let error = check(&disk, CLUSTER, ME, &[name, "format 2", "up to 1", "later"]);
        assert!(matches!(error, OpenError::NewerFormat { .. }));
    }
}

#[test]
fn empty_and_zeroed_files_are_refused() {
    for name in ["identity", "segment-00000000000000000001"] {
        let bytes = used().content(name).expect("there").len();
        for content in [vec![], vec![0; bytes], vec![0xFF; bytes]] {
            let disk = used();
            disk.put(name, &content);
            let error = check(&disk, CLUSTER, ME, &[name, "offset 0", "learner"]);
            assert!(matches!(error, OpenError::Damaged { .. }));
        }
    }
}

#[test]
fn segments_or_snapshots_without_identity_are_refused() {
    let disk = used();
    disk.take_away("identity");
    let error = check(&disk, CLUSTER, ME, &["identity is missing", "segment-"]);
    assert!(matches!(error, OpenError::IdentityMissing { .. }));
    let disk = MemoryDisk::new();
    disk.put("snapshot-00000000000000000001-00000000000000000001", b"x");
    check(&disk, CLUSTER, ME, &["identity is missing", "snapshot-"]);
}

#[test]
fn an_identity_without_segments_is_a_loss() {
    let disk = used();
    disk.take_away("segment-00000000000000000001");
    let error = check(&disk, CLUSTER, ME, &["segment-00000000000000000001 is missing"]);
    assert!(matches!(error, OpenError::SegmentMissing { .. }));
}

#[test]
fn the_folder_of_somebody_else_is_refused() {
    for (name, part) in [
        ("dledger-n0", "Java controller"),
        ("raft_meta", "Java controller"),
        ("holiday.jpg", "not the journal's: name an empty folder"),
    ] {
        let disk = MemoryDisk::new();
        disk.put(name, b"precious");
        let error = check(&disk, CLUSTER, ME, &[name, part]);
        assert!(matches!(error, OpenError::NotAJournal { .. }));
        assert_eq!(names(&disk), [name], "not even a lock file");
    }
    // What file systems put into every folder does no harm; beside a journal nothing does.
    let disk = MemoryDisk::new();
    disk.put("lost+found", b"");
    disk.put(".snapshot", b"");
    open(disk.handle()).expect("as good as empty");
    let disk = used();
    disk.put("notes.txt", b"precious");
    open(disk.handle()).expect("an intact journal");
    assert_eq!(disk.content("notes.txt").expect("kept"), b"precious");
}

#[test]
fn left_overs_are_removed() {
    let disk = used();
    for name in ["identity.new", "spare-00000000000000000004", "spare-00000000000000000005.new"] {
        disk.put(name, b"half");
    }
    open(disk.handle()).expect("opens");
    assert_eq!(names(&disk), ["identity", "lock", "segment-00000000000000000001"]);
}

#[test]
fn impossible_options_are_refused() {
    for segment_bytes in [0, 4096, 8191, 1 << 40] {
        let options = Options { segment_bytes, ..SMALL };
        let error = Journal::open(MemoryDisk::new(), CLUSTER, ME, options).expect_err("refused");
        assert!(matches!(error, OpenError::Options(_)), "{error}");
    }
}
