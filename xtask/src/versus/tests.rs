//! Options, and what is read of the steps' output.

use super::arms::Arm;
use super::plan::{Size, Workload};
use super::record::Record;
use super::{Manner, Options, clear, earlier, parse, refusals_in, requests_in};
use std::path::Path;

fn check(line: &str) -> Result<Options, String> {
    parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn sizes_and_parts_are_chosen() {
    let whole = check("--quick").expect("it is right");
    assert!(whole.size == Size::Quick && whole.manner == Manner::New);
    assert_eq!(whole.folder(Path::new("/t")), Path::new("/t/quick"));
    let line = "--add --arms ours-fsync --workloads leader --java-log INFO";
    let part = check(line).expect("it is right");
    assert_eq!(part.manner, Manner::Added);
    assert_eq!(
        (part.arms.as_slice(), part.workloads()),
        (&[Arm::OursFsync][..], vec![Workload::Leader])
    );
}

#[test]
fn what_is_measured_again_is_removed_and_the_rest_stays() {
    let folder = std::env::temp_dir().join(format!("versus-add-{}", std::process::id()));
    for run in ["ours-fsync/fleet-300", "ours-fsync/leader-lost"] {
        std::fs::create_dir_all(folder.join("runs").join(run)).expect("it can be made");
    }
    let error = |line| {
        let options = check(line).expect("it is right");
        earlier(&options, &folder, "abc").map(drop).expect_err("nothing fits").to_string()
    };
    let words = "--add --arms ours-fsync --workloads leader";
    assert!(error(words).contains("versus.json"), "no record");
    let mut record =
        Record::begin(&folder, &[], &[Arm::OursFsync], &[]).expect("it can be written");
    record.set("java_log", "WARN".into()).expect("it can be written");
    assert!(error(words).contains("another program"));
    record.set("program", "abc".into()).expect("it can be written");
    assert!(error("--add --arms ours-async").contains("other arms"));
    std::fs::create_dir_all(folder.join("data/0-ours-fsync")).expect("it can be made");
    earlier(&check(words).expect("it is right"), &folder, "abc").expect("it fits");
    assert!(!folder.join("data/0-ours-fsync").exists());
    let has = |run: &str| folder.join("runs/ours-fsync").join(run).exists();
    assert!(has("fleet-300") && !has("leader-lost"));
    std::fs::remove_dir_all(&folder).expect("it was made");
}

#[test]
fn wrong_words_are_told() {
    for (line, part) in [
        ("--arms", "--arms needs a value"),
        ("--arms java", "there is no arm \"java\""),
        ("--workloads fleet", "there is no workload \"fleet\""),
        ("--java-log DEBUG", "there is no log level"),
        ("--first-port 70000", "is no port"),
        ("quick", "quick is no option"),
    ] {
        let error = check(line).expect_err("it is wrong");
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn the_report_of_closed_loops_is_read() {
    let said = "warning\n{\"rows\": [{\"controllers\": {\"requests\": 7}}, {\"controllers\": \
                {\"requests\": 5}}], \"notes\": [\"follower read: not measured: code 2007\"]}\n";
    assert_eq!(requests_in(said), 12);
    assert_eq!(refusals_in(said), ["follower read: not measured: code 2007"]);
    assert_eq!((requests_in("no JSON"), refusals_in("{").len()), (0, 0));
}

#[test]
fn a_folder_of_others_is_left_alone() {
    let folder = std::env::temp_dir().join(format!("versus-clear-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("it can be made");
    clear(&folder).expect("it is empty");
    assert!(folder.join("runs").is_dir());
    let error = clear(&folder).expect_err("nothing says that it is ours").to_string();
    assert!(error.contains("choose another folder"), "{error}");
    std::fs::remove_dir_all(&folder).expect("it was made");
}
