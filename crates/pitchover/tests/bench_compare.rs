//! `bench compare` against real processes: that both arms have their turns and that the file says what was done, not who
//! is faster. On a busy machine it is invalid, and on any machine so few blocks carry no verdict.

use measure::comparison::{Change, Comparison, SCHEMA};
use measure::folder::Durability;

#[path = "processes/scene.rs"]
mod scene;
use scene::{Scene, said};

const WORKLOAD: &str = "schema = \"pitchover.bench/v1\"\nname = \"turns\"\n\
                        time = { warmup = \"500ms\", measure = \"1s\", drain_timeout = \"1s\" }\n\
                        load = [{ op = \"get_replica_info\", rate = 400, conns = 4 }]\n\
                        [fleet]\nbroker_sets = 2\n";

const PROGRAM: &str = env!("CARGO_BIN_EXE_pitchover");

fn scene(name: &str) -> Scene {
    let scene = Scene::new(&format!("bench-compare-{name}"));
    scene.write("w.toml", WORKLOAD);
    scene
}

fn compare(scene: &Scene, words: &[&str]) -> (Option<i32>, String) {
    let workload: &[&str] = if words.contains(&"-f") { &[] } else { &["-f", "w.toml"] };
    said(&scene.run(&[&["bench", "compare"], workload, words].concat()))
}

#[test]
fn both_arms_and_a_copy_have_their_turns() {
    let scene = scene("turns");
    let (code, said) = compare(
        &scene,
        &[
            "--a",
            PROGRAM,
            "--b",
            PROGRAM,
            "--quads",
            "2",
            "--restarts",
            "2",
            "--aa",
            "1",
            "--block",
            "500ms",
            "--settle",
            "500ms",
            "--pressure",
            "100",
            "--one-look",
        ],
    );
    assert!(matches!(code, Some(2 | 3)), "so few quads are no verdict: {code:?} {said}");
    let text = std::fs::read_to_string(scene.folder().join("pitchover-comparison.json"))
        .expect("it was written");
    let found: Comparison = serde_json::from_str(&text).expect("as it is read by the report");
    assert_eq!((found.schema.as_str(), found.workload.as_str()), (SCHEMA, "turns"));
    assert!(
        found.a.arm.starts_with("A: pitchover-fsync") && found.b.arm.starts_with("B: "),
        "{said}"
    );
    assert_eq!([found.a.durability, found.b.durability], [Durability::Fsync; 2]);
    assert!(
        found.design.starts_with("2 restarts, ") && found.design.contains("carry no verdict"),
        "{}",
        found.design
    );
    assert_eq!(found.verdict(), Change::Inconclusive);
    // What the host spoilt is dropped and said; everything else has its figures.
    if found.design.contains(" 2 quads of A and B, 1 of A with itself, ") {
        let metrics: Vec<&str> =
            found.effects.iter().map(|effect| effect.metric.as_str()).collect();
        assert!(metrics.contains(&"p50") && metrics.contains(&"cpu_us_per_op"), "{said}");
        assert!(!found.same.is_empty(), "{said}");
    }
}

#[test]
fn what_cannot_take_turns_is_refused_with_a_remedy() {
    let scene = scene("refused");
    let own = ["--a", PROGRAM, "--b", PROGRAM];
    let rows: [(&[&str], &str); 6] = [
        (&["--block", "300ms"], "a multiple of 500ms (WINDOW_MS)"),
        (&["--block", "2"], "a time such as 500ms"),
        (&["--quads", "0"], "1 to 2000 (QUADS_MAX)"),
        (&["--restarts", "50"], "50 restarts of 40 quads"),
        (&["-f", "fleet-1k-steady"], "a fleet alone cannot take turns"),
        (&["-f", "mass-failover-10"], "a fleet alone cannot take turns"),
    ];
    for (words, says) in rows {
        let words: Vec<&str> = own.iter().chain(words).copied().collect();
        let (code, said) = compare(&scene, &words);
        assert!(matches!(code, Some(2 | 64)) && said.contains(says), "{words:?}: {code:?} {said}");
    }
    let (code, said) = compare(&scene, &["--a", "./nowhere", "--b", PROGRAM]);
    assert!(code == Some(64) && said.contains("neither a program's file nor addresses"), "{said}");
    let (code, said) = compare(&scene, &["--a", "127.0.0.1:1", "--b", "127.0.0.1:2"]);
    assert!(code == Some(64) && said.contains("--restarts 1"), "{said}");
}
