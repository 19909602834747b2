//! What mqadmin printed with the Java controllers (`vectors/mqadmin/`), made comparable.
//!
//! The first line of a file is the command; addresses in it and in the output stand for roles and are replaced by
//! this round's. Dropped on both sides: stack frames and empty lines. Masked on both sides: what names a place on
//! the recording machine. Everything else has to be equal.

use super::report::{Failure, Outcome};
use super::setup::Setup;
use std::path::Path;

/// The recorded addresses: controllers n0 to n2 (n0 led), name server, brokers 1 to 3.
const CONTROLLERS: [&str; 3] = ["9878", "9868", "9858"];
const NAMESRV: &str = "9876";
const BROKERS: [&str; 3] = ["30911", "30921", "30931"];

/// Configuration values that differ from machine to machine, or by the choice of this suite (`bindAddress`).
const PLACES: [&str; 5] =
    ["bindAddress", "configStorePath", "controllerStorePath", "jraftConfig", "rocketmqHome"];

/// One recorded command.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recorded {
    /// Without `mqadmin`.
    pub(super) words: Vec<String>,
    pub(super) output: String,
}

impl Recorded {
    /// Reads a file and puts this round's addresses in.
    ///
    /// # Errors
    /// It is not there, or does not begin with `$ mqadmin `.
    pub(super) fn read(file: &Path, setup: &Setup) -> Outcome<Self> {
        let text = std::fs::read_to_string(file).map_err(Failure::while_doing(file.display()))?;
        let text = replace_addresses(&text, setup);
        let (command, output) = text.split_once('\n').unwrap_or((&text, ""));
        let words = command.strip_prefix("$ mqadmin ");
        let words = words.ok_or_else(|| Failure(format!("{} has no command", file.display())))?;
        let words = words.split(' ').map(str::to_owned).collect();
        Ok(Self { words, output: output.to_owned() })
    }
}

fn replace_addresses(text: &str, setup: &Setup) -> String {
    let ports = &setup.ports;
    let controllers = CONTROLLERS.into_iter().zip(ports.controllers);
    let brokers = BROKERS.into_iter().zip(ports.brokers);
    let all = controllers.chain(brokers).chain([(NAMESRV, ports.namesrv)]);
    // This round's ports are not among the recorded ones, so nothing is replaced twice.
    all.fold(text.to_owned(), |text, (recorded, port)| {
        let text = text.replace(&format!("127.0.0.1:{recorded}"), &format!("127.0.0.1:{port}"));
        // `listenPort` stands alone.
        text.replace(&format!("=  {recorded}\n"), &format!("=  {port}\n"))
    })
}

/// Which differences a comparison looks past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mask {
    /// None.
    Exact,
    /// Order of entries (a hash order) and the values of [`PLACES`].
    Configuration,
    /// Which controller leads.
    Leader,
    /// Epochs, and whether broker 3 is alive: the recording caught a set in the middle of a change.
    Moment,
}

/// Compares two outputs.
///
/// # Errors
/// They differ; the text shows the lines that only one has.
pub(super) fn compare(recorded: &str, printed: &str, mask: Mask) -> Outcome<()> {
    let recorded = comparable(recorded, mask);
    let printed = comparable(printed, mask);
    if recorded == printed {
        return Ok(());
    }
    let only = |these: &[String], those: &[String], sign: &str| {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.map(|line| format!("\n         {sign} {line}")).collect::<String>()
    };
    let missing = only(&recorded, &printed, "-");
    let added = only(&printed, &recorded, "+");
    let what =
        if missing.is_empty() && added.is_empty() { "\n         order or number" } else { "" };
    Err(Failure(format!("differs from the recorded output{missing}{added}{what}")))
}

fn comparable(text: &str, mask: Mask) -> Vec<String> {
    let lines = text.lines().map(str::trim_end);
    let lines = lines.filter(|line| !line.is_empty() && !is_stack_frame(line));
    match mask {
        Mask::Exact => lines.map(str::to_owned).collect(),
        Mask::Leader => lines.map(mask_leader).collect(),
        Mask::Moment => lines.map(mask_moment).collect(),
        Mask::Configuration => configuration(lines),
    }
}

fn is_stack_frame(line: &str) -> bool {
    let indented = line.strip_prefix('\t');
    indented.is_some_and(|line| line.starts_with("at ") || line.starts_with("... "))
}

fn mask_leader(line: &str) -> String {
    match line.split_once('\t') {
        Some((key @ ("#ControllerLeaderId" | "#ControllerLeaderAddress"), _)) => key.to_owned(),
        Some(_) | None => line.to_owned(),
    }
}

fn mask_moment(line: &str) -> String {
    match line.split_once('\t') {
        Some((key @ ("#MasterEpoch" | "#SyncStateSetEpoch"), _)) => key.to_owned(),
        Some((_, replica)) if replica.contains("brokerId=3,") => {
            line.replace("alive=false", "alive=*").replace("alive=true", "alive=*")
        }
        Some(_) | None => line.to_owned(),
    }
}

/// Every entry with the address of its section in front, sorted.
fn configuration<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut section = "";
    let mut entries = Vec::new();
    for line in lines {
        if let Some(address) = line.strip_prefix("============") {
            section = address.trim_end_matches('=');
        }
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        let (key, value) = (key.trim(), value.trim());
        let value = if PLACES.contains(&key) { "*" } else { value };
        entries.push(format!("{section} {key} = {value}"));
    }
    entries.sort();
    entries
}

#[cfg(test)]
mod tests {
    use super::{Mask, compare};

    const FAILED: &str = "E: x\n\tat a.b(C.java:1)\n\nCaused by: y\n\t... 2 more\n";

    #[test]
    fn frames_and_empty_lines_do_not_count() {
        assert!(compare("E: x\nCaused by: y", FAILED, Mask::Exact).is_ok());
        let failure = compare("E: x\nCaused by: z", FAILED, Mask::Exact).expect_err("z is not y");
        let failure = failure.to_string();
        assert!(
            failure.ends_with("\n         - Caused by: z\n         + Caused by: y"),
            "{failure}"
        );
    }

    #[test]
    fn order_counts_but_in_configurations() {
        assert!(compare("a\nb", "b\na", Mask::Exact).is_err());
        let recorded = "============x============\na   =  1\njraftConfig =  J@1\n";
        let printed = "============x============\njraftConfig =  J@2\na =  1\n";
        assert!(compare(recorded, printed, Mask::Configuration).is_ok());
        let moved = "============y============\njraftConfig =  J@2\na =  1\n";
        assert!(compare(recorded, moved, Mask::Configuration).is_err());
        let shorter = "============x============\na =  1\n";
        assert!(compare(recorded, shorter, Mask::Configuration).is_err());
    }

    #[test]
    fn each_mask_hides_its_own_lines_only() {
        let recorded = "#ControllerGroup\tg\n#ControllerLeaderId\tn0";
        let printed = "#ControllerGroup\tg\n#ControllerLeaderId\tn2";
        assert!(compare(recorded, printed, Mask::Leader).is_ok());
        assert!(compare(recorded, printed, Mask::Moment).is_err());
        let recorded = "#MasterEpoch\t6\nNotInSyncReplica:\t{brokerId=3, alive=true}";
        let printed = "#MasterEpoch\t2\nNotInSyncReplica:\t{brokerId=3, alive=false}";
        assert!(compare(recorded, printed, Mask::Moment).is_ok());
        let other = "#MasterEpoch\t2\nNotInSyncReplica:\t{brokerId=2, alive=false}";
        assert!(compare(recorded, other, Mask::Moment).is_err());
    }
}
