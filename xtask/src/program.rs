//! Which program a measurement is of.

use std::path::Path;
use std::process::Command;

/// Digits of a commit or a digest that are shown.
const DIGITS: usize = 12;

/// What it is built from.
const SOURCES: [&str; 3] = ["crates", "Cargo.toml", "Cargo.lock"];

/// What reports call our program: the last commit that changed it, with a mark if files differ from that. Nobody knows
/// the commit of a file that was named, so that is called by its digest.
pub(crate) fn name(root: &Path, file: Option<&Path>) -> String {
    if let Some(file) = file {
        let digest = said(Command::new("sha256sum").arg(file));
        return format!("sha256-{}", digest.get(..DIGITS).unwrap_or("unknown"));
    }
    let git = |arguments: &[&str]| said(Command::new("git").current_dir(root).args(arguments));
    let of_sources = |words: &[&str]| git(&[words, &["--"], &SOURCES].concat());
    let commit = of_sources(&["log", "-1", "--format=%h", &format!("--abbrev={DIGITS}")]);
    let changed = of_sources(&["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit}-changed") }
}

/// What a command printed; nothing if there is no such command.
fn said(command: &mut Command) -> String {
    let output = command.output();
    output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::name;
    use std::path::Path;

    #[test]
    fn a_named_file_is_not_called_by_a_commit() {
        let file = std::env::temp_dir().join(format!("program-{}", std::process::id()));
        std::fs::write(&file, "abc").expect("it can be written");
        assert_eq!(name(Path::new("."), Some(&file)), "sha256-ba7816bf8f01");
        std::fs::remove_file(&file).expect("it was made");
        assert_eq!(name(Path::new("."), Some(&file)), "sha256-unknown");
    }
}
