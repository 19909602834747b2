//! Measurements of controllers that others started: whatever command, and however it ends, they keep no broker set of it.

use load::OwnCluster;
use rustix::process::{Pid, Signal, kill_process};

#[path = "processes/others.rs"]
mod others;
#[path = "processes/patience.rs"]
mod patience;
#[path = "processes/scene.rs"]
mod scene;
#[path = "processes/under_way.rs"]
mod under_way;
use others::{controllers, nothing_is_left, sets};
use patience::until;
use scene::{Scene, said};
use under_way::started;

const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"guest\"\n\
                        time = { warmup = \"500ms\", measure = \"1s\", drain_timeout = \"500ms\" }\n\
                        load = [{ op = \"get_replica_info\", rate = 50, conns = 1 }]\n\
                        [fleet]\nbroker_sets = 3\n";

/// Runs a command to its end, whatever it found: on a busy machine goals are missed.
fn measure(scene: &Scene, words: &[&str]) {
    let (code, text) = said(&scene.run(&[&["bench"], words].concat()));
    assert!(matches!(code, Some(0..=3)), "{words:?}: {code:?}: {text}");
}

/// Starts a command, interrupts it as soon as the controllers know so many sets of it, and has its exit code.
fn interrupted(scene: &Scene, cluster: &OwnCluster, count: u64, words: &[&str]) -> Option<i32> {
    let mut child = started(scene, &[&["bench"], words].concat());
    until("its sets are there", || sets(cluster).contains(&Some(count)).then_some(()));
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(id.expect("a child has an id"), Signal::INT).expect("it runs");
    child.wait().expect("it ends").code()
}

#[test]
fn a_failover_leaves_nothing_behind() {
    let (cluster, scene) = (controllers(), Scene::new("guests-failover"));
    let target = cluster.addresses().join(",");
    let masters = ["failover", "masters", "--sets", "4", "--pause-ms", "1", "--target", &target];
    measure(&scene, &masters);
    nothing_is_left(&cluster);
    let steady =
        ["failover", "steady", "--brokers", "12", "--duration", "600", "--target", &target];
    assert_eq!(interrupted(&scene, &cluster, 4, &steady), Some(3), "it has no report");
    nothing_is_left(&cluster);
}

#[test]
fn a_comparison_leaves_nothing_behind() {
    let (cluster, scene) = (controllers(), Scene::new("guests-compare"));
    scene.write("w.toml", WORKLOAD);
    let target = cluster.addresses().join(",");
    let program = env!("CARGO_BIN_EXE_pitchover");
    let short = ["--restarts", "1", "--block", "500ms", "--settle", "500ms", "--one-look"];
    let arms = ["compare", "-f", "w.toml", "--a", &target, "--b", program, "--quads", "1"];
    measure(&scene, &[&arms[..], &short].concat());
    nothing_is_left(&cluster);
    // The candidate is no program, which is seen when the baseline's fleet lives.
    let arms = ["bench", "compare", "-f", "w.toml", "--a", &target, "--b", "w.toml"];
    let (code, text) = said(&scene.run(&[&arms[..], &["--quads", "1"], &short].concat()));
    assert_eq!(code, Some(64), "{text}");
    assert!(text.contains("masters are elected") && text.contains("no leader"), "{text}");
    nothing_is_left(&cluster);
}

#[test]
fn a_quick_run_leaves_nothing_behind() {
    let (cluster, scene) = (controllers(), Scene::new("guests-quick"));
    let target = cluster.addresses().join(",");
    let quick = ["quick", "--connections", "4", "--no-ceiling", "--rows", "reads"];
    let target = ["--target", &target];
    measure(&scene, &[&quick[..], &target, &["--seconds", "1", "--warm-up-ms", "100"]].concat());
    nothing_is_left(&cluster);
    let long = [&quick[..], &target, &["--seconds", "600"]].concat();
    assert_eq!(interrupted(&scene, &cluster, 4, &long), Some(3), "it has no report");
    nothing_is_left(&cluster);
}
