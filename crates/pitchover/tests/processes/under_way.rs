//! The program at work while the test does something else.

use std::process::{Child, Command, Stdio};

use super::scene::Scene;

/// Starts the program in the folder of a scene; nobody hears what it says.
pub(crate) fn started(scene: &Scene, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pitchover"))
        .args(words)
        .current_dir(scene.folder())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started")
}
