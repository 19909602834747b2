//! What is settled before a run starts, and after it ended.

use super::drive::{dethroned, not_begun, not_healed, skip_unreached, touched};
use super::{StartError, run, time_needed};
use crate::course::{Course, Event, Options};
use crate::draw::Draw;
use crate::fabric::{Effect, Rule};
use crate::faults::parse;
use crate::faults::plan::{Deed, Scene, plan};
use crate::stand::Lack;
use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_time_that_is_too_short_is_said_at_the_start() {
    let said = |seconds| {
        let length = Duration::from_secs(seconds);
        time_needed(100, &Options { length, ..Options::for_tests(Path::new("/nowhere")) })
    };
    let short = said(600);
    assert!(short.starts_with("100 faults need about 13 min, and have 600 s"), "{short}");
    assert!(short.contains("some will not be injected"), "{short}");
    assert!(!said(900).contains("not be injected"));
    let each = Some(Duration::from_secs(56));
    let long = time_needed(100, &Options { each, ..Options::for_tests(Path::new("/nowhere")) });
    assert!(long.starts_with("100 faults need about 100 min"), "{long}");
}

#[test]
fn what_a_run_never_came_to_is_named_with_the_reason() {
    let faults = parse("leader-kill,noop", 3).unwrap();
    let event = Event { name: "leader-kill".into(), ..Event::default() };
    let mut course = Course { events: vec![event], ..Course::default() };
    skip_unreached(&mut course, &faults, "the time was over");
    let skipped = course.skipped.iter().map(|(name, skip)| (&**name, &*skip.why));
    assert_eq!(skipped.collect::<Vec<_>>(), [("noop", "the time was over")]);
    assert_eq!(course.unreached, ["noop"]);
}

#[test]
fn brokers_that_get_nowhere_are_a_finding_and_slow_controllers_are_none() {
    assert!(not_begun(Some(Lack::Brokers)).is_some_and(|text| text.starts_with("NO BROKERS")));
    let set = not_begun(Some(Lack::Master("set-1".to_owned())));
    assert!(set.is_some_and(|text| text.contains("the brokers of set-1 follow")));
    assert_eq!(not_begun(Some(Lack::Controllers)), None);
    let late = |lack| not_healed("kill-all", Duration::from_secs(60), lack);
    assert!(late(Some(Lack::Master("a".to_owned()))).starts_with("NO MASTER: 60 s after kill-all"));
    assert!(late(Some(Lack::Controllers)).starts_with("kill-all did not heal within 60 s"));
}

#[test]
fn whom_the_controllers_can_replace_while_a_fault_lasts() {
    let of = |name: &str| {
        let fault = &parse(name, 3).unwrap()[0];
        let broker = |set: u8, place: u8| Ipv4Addr::new(10, 77, 1, set * 3 + place + 1);
        let scene = Scene {
            controllers: (1..=3).map(|node| Ipv4Addr::new(10, 77, 0, node)).collect(),
            leader: 0,
            brokers: (0..2).map(|set| (0..3).map(|place| broker(set, place)).collect()).collect(),
            masters: vec![Some(1), Some(2)],
            clients: Vec::new(),
            fixed: 0,
            taken: BTreeSet::new(),
            to_come: 0,
            each: None,
        };
        let plan = plan(fault, &scene, &mut Draw::new(1));
        dethroned(fault, &plan, &scene)
    };
    for name in ["master-kill", "master-cut", "leader-kill+master-kill", "minor-kill+master-cut"] {
        let gone = of(name);
        assert!(gone == [(0, 1)] || gone == [(1, 2)], "{name}: {gone:?}");
    }
    for name in [
        "replica-kill",
        "master-from-leader",
        "kill-all+master-kill",
        "master-kill+replica-kill",
        "noop",
    ] {
        assert!(of(name).is_empty(), "{name}");
    }
}

#[test]
fn a_reset_connection_excuses_no_new_master() {
    let (broker, controller) = (Ipv4Addr::new(10, 77, 1, 1), Ipv4Addr::new(10, 77, 0, 1));
    let sets = [vec![broker], vec![Ipv4Addr::new(10, 77, 1, 2)]];
    let of = |effect| {
        let rule = Rule::new(&[controller].into(), &[broker].into(), effect);
        touched(&[Deed::Rule(rule)], &sets)
    };
    assert_eq!(of(Effect::Cut), [broker]);
    assert!(of(Effect::Reset { per_mille: 5 }).is_empty());
}

#[test]
fn the_folder_of_another_run_is_refused_before_anything_is_started() {
    let name = format!("pitchover-used-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(folder.join("n0")).unwrap();
    let options = Options::for_tests(&folder);
    let refused = run(&options, &|line| panic!("{line}")).unwrap_err();
    assert!(matches!(refused, StartError::FolderUsed(_)), "{refused}");
    fs::remove_dir_all(folder).unwrap();
}
