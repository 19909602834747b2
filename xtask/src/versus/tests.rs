//! Options, and what is read of the steps' output.

use super::arms::Arm;
use super::plan::{Size, Workload};
use super::{Options, clear, parse, refusals_in, requests_in};
use std::path::Path;

fn check(line: &str) -> Result<Options, String> {
    parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn a_whole_run_is_all_arms_and_workloads() {
    let whole = check("--quick").expect("it is right");
    assert!(whole.is_whole() && whole.size == Size::Quick);
    assert_eq!(whole.folder(Path::new("/t")), Path::new("/t/quick"));
    let part = check("--arms ours-fsync --workloads leader --java-log INFO").expect("it is right");
    assert!(!part.is_whole());
    assert_eq!(
        (part.arms.as_slice(), part.workloads()),
        (&[Arm::OursFsync][..], vec![Workload::Leader])
    );
    assert!(!check("--out x").expect("it is right").is_whole());
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
