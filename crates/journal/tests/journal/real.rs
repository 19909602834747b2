//! The same on the machine's own disk.

use std::fs;
use std::path::PathBuf;

use journal::{Disk, Founding, Journal, OpenError, RealDisk, Upkeep};

use crate::model::{
    CLUSTER, Call, ME, Model, SMALL, descriptor, entry, group, hard_state, identity, state_bytes,
    without_notes,
};

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("pitchover-journal-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn what_is_written_is_found_again() {
    let folder = Folder::new("found-again");
    let mut model = Model::default();
    model = model.after(&Call::Identity(Founding::Founded)).pop().expect("one");
    for round in 0..3 {
        let disk = RealDisk::open(&folder.0).expect("a folder");
        let (mut journal, recovered) = Journal::open(disk, CLUSTER, ME, SMALL).expect("opens");
        if round == 0 {
            journal.write_identity(&identity(Founding::Founded)).expect("written");
        } else {
            assert_eq!(without_notes(recovered), model.expected());
        }
        while journal.maintain().expect("done") == Upkeep::More {}
        for index in round * 30 + 1..=round * 30 + 30 {
            let call =
                Call::Write(vec![group(hard_state(1, None, index), vec![entry(index, 1, 1000)])]);
            let Call::Write(groups) = &call else { unreachable!("it is a write") };
            journal.write(groups).expect("written");
            model = model.after(&call).pop().expect("one");
        }
        let state = state_bytes(round * 30 + 25, 1);
        let saved = descriptor(round * 30 + 25, 1, &state);
        journal.save_snapshot(&saved, &state).expect("saved");
        model = model.after(&Call::Save(saved, state)).pop().expect("one");
        assert!(journal.counters().segments > 0);

        let second = RealDisk::open(&folder.0).expect("a folder");
        let error = Journal::open(second, CLUSTER, ME, SMALL).expect_err("in use");
        assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    }
}

#[test]
fn a_file_is_not_a_folder() {
    let folder = Folder::new("not-a-folder");
    fs::create_dir_all(&folder.0).expect("made");
    let file = folder.0.join("file");
    fs::write(&file, b"precious").expect("written");
    for path in [file.clone(), file.join("below")] {
        let error = RealDisk::open(&path).expect_err("refused");
        assert!(matches!(error, OpenError::NotAFolder { .. }), "{error}");
    }
    assert_eq!(fs::read(&file).expect("there"), b"precious");
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    let folder = Folder::new("folder-for-file");
    fs::create_dir_all(folder.0.join("identity")).expect("made");
    let disk = RealDisk::open(&folder.0).expect("a folder");
    let error = Journal::open(disk, CLUSTER, ME, SMALL).expect_err("refused");
    assert!(error.to_string().contains("identity"), "{error}");
}

#[test]
fn missing_folders_are_made() {
    let folder = Folder::new("made");
    let disk = RealDisk::open(folder.0.join("a/b")).expect("made");
    assert_eq!(disk.list().expect("listed"), Vec::<String>::new());
}
