//! Seeds of every preset, and that a seed is a schedule.

use sim::{Plan, Preset, run};

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
