//! Every task says how it is used to whoever asks, and does nothing.

use std::process::Command;

#[test]
fn whoever_asks_for_help_is_told_the_usage_and_nothing_is_wrong() {
    let tasks = [
        "layers",
        "tidy",
        "interop",
        "openchaos",
        "chaos-release",
        "versus-java",
        "exam",
        "deploy-check",
    ];
    for (task, word) in tasks.into_iter().zip(["--help", "-h"].into_iter().cycle()) {
        let ran = Command::new(env!("CARGO_BIN_EXE_xtask")).args([task, word]).output().unwrap();
        let (out, errors) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert_eq!(ran.status.code(), Some(0), "{task}: {errors}");
        assert!(out.contains("usage") && out.contains(task), "{task}: {out}");
        assert_eq!(errors, "", "{task}");
    }
}
