//! Seeds of every preset, and that a seed is a schedule.

use sim::{Plan, Preset, Smaller, run};

fn check(preset: Preset, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let report = run(&Plan::draw(seed, preset), None);
        assert_eq!(report.failure, None, "pitchover sim --preset {preset} --seed {seed}");
        assert!(report.turns > 500, "{preset} {seed}: {} turns are few", report.turns);
    }
}

#[test]
fn nothing_breaks_without_faults() {
    check(Preset::Calm, 0..1);
}

#[test]
fn nothing_breaks_under_faults() {
    check(Preset::Mix, 0..4);
}

#[test]
fn reads_are_never_stale() {
    check(Preset::Reads, 0..6);
}

#[test]
fn a_seed_is_a_schedule() {
    for (seed, preset) in [(1, Preset::Mix), (2, Preset::Mix), (3, Preset::Reads)] {
        let mut plan = Plan::draw(seed, preset);
        plan.safety_ms = plan.safety_ms.min(30_000);
        assert_eq!(run(&plan, None), run(&plan, None), "{preset} {seed}");
    }
}

#[test]
fn a_smaller_plan_keeps_what_it_names() {
    let seeds = 0..100;
    let mut plans = seeds.map(|seed| Plan::draw(seed, Preset::Mix));
    let whole = plans
        .find(|plan| plan.faults.len() > 5 && plan.clients.len() > 1)
        .expect("one of a hundred");
    let smaller =
        Smaller { faults: Some(vec![2]), clients: Some(vec![0]), sets: None, safety_ms: None };
    assert_eq!(smaller.to_string(), " --faults=2 --clients=0");
    let mut plan = whole.clone();
    plan.keep(&smaller);
    assert_eq!(plan.faults, [whole.faults[2]]);
    assert_eq!(plan.clients[0], whole.clients[0]);
    assert!(plan.clients[1..].iter().all(|(_, pause)| *pause == 0), "the others never act");
    let report = run(&plan, None);
    assert_eq!(report.failure, None, "{plan}");
}
