//! What happened beside the runs, in a file that is written anew after every step: so an interrupted run can be
//! reported, and a finished one again.

use super::arms::Arm;
use super::cluster::Cluster;
use super::plan::{Size, Workload};
use super::tables::Facts;
use crate::interop::report::{Failure, Outcome};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Its name in the folder of results.
const FILE: &str = "versus.json";

/// The record of one run of the comparison.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    /// Paths of this machine, which mean nothing elsewhere.
    hidden: Vec<String>,
    value: Value,
}

impl Record {
    /// Whether a folder holds results of an earlier run.
    pub(super) fn is_in(folder: &Path) -> bool {
        folder.join(FILE).exists()
    }

    /// A new one; `setting` are names and values of the conditions.
    pub(super) fn begin(
        folder: &Path,
        hidden: &[&Path],
        arms: &[Arm],
        setting: &[(&str, String)],
    ) -> Outcome<Self> {
        let names: Vec<&str> = arms.iter().map(|arm| arm.name()).collect();
        let hidden = self::hidden(hidden);
        let setting: Vec<[String; 2]> = setting
            .iter()
            .map(|(name, value)| [(*name).to_owned(), without(&hidden, value)])
            .collect();
        let value = json!({
            "arms": names, "setting": setting, "gaps": [], "refusals": [], "warm_ups": [],
            "rates": [], "workloads": [], "interrupted": false, "java_log": "",
        });
        let record = Self { path: folder.join(FILE), hidden, value };
        record.save()?;
        Ok(record)
    }

    /// That of an earlier run.
    pub(super) fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(Failure::while_doing(path.display()))?;
        let value = serde_json::from_str(&text).map_err(Failure::while_doing(path.display()))?;
        Ok(Self { path, hidden: Vec::new(), value })
    }

    pub(super) fn arms(&self) -> Vec<Arm> {
        let names: Vec<&str> =
            self.value["arms"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        Arm::ALL.into_iter().filter(|arm| names.contains(&arm.name())).collect()
    }

    pub(super) fn java_log(&self) -> &str {
        self.value["java_log"].as_str().unwrap_or_default()
    }

    /// What ours is called.
    pub(super) fn program(&self) -> &str {
        self.value["program"].as_str().unwrap_or_default()
    }

    /// Texts of this process may hold these paths.
    pub(super) fn hide(&mut self, paths: &[&Path]) {
        self.hidden = hidden(paths);
    }

    /// A later run measures these workloads, again or for the first time: what failed of them before is forgotten.
    pub(super) fn go_on(&mut self, workloads: &[Workload], said: &str) -> Outcome<()> {
        let is_again = |gap: &Value| {
            let [arm, step] = [0, 1].map(|at| gap[at].as_str().unwrap_or_default());
            // Steps have the arm's name at their end.
            let name = step.strip_suffix(&format!("-{arm}")).unwrap_or(step);
            workloads.iter().any(|it| it.name() == name || it.has_run(name))
        };
        if let Some(gaps) = self.value["gaps"].as_array_mut() {
            gaps.retain(|gap| !is_again(gap));
        }
        // What was not measured to its end is not among the workloads that are recorded.
        self.value["interrupted"] = false.into();
        self.add("setting", json!(["measured later than the rest", said]))
    }

    /// These workloads were measured to their end.
    pub(super) fn add_workloads(&mut self, workloads: &[Workload]) -> Outcome<()> {
        for workload in workloads {
            let name = json!(workload.name());
            if self.value["workloads"].as_array().is_some_and(|all| !all.contains(&name)) {
                self.add("workloads", name)?;
            }
        }
        Ok(())
    }

    /// Whether the report is one that the repository keeps: all arms, and all that a quick run has or more.
    pub(super) fn is_whole(&self) -> bool {
        let mut wanted = Workload::of_size(Size::Quick).into_iter().map(|it| json!(it.name()));
        let has = |name| self.value["workloads"].as_array().is_some_and(|all| all.contains(&name));
        self.arms() == Arm::ALL && wanted.all(has) && !self.is_interrupted()
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.value["interrupted"] == true
    }

    pub(super) fn set(&mut self, key: &str, value: Value) -> Outcome<()> {
        self.value[key] = value;
        self.save()
    }

    /// A workload of an arm has no figures, or not all.
    pub(super) fn gap(&mut self, arm: Arm, workload: &str, why: &str) -> Outcome<()> {
        let why = without(&self.hidden, why);
        self.add("gaps", json!([arm.name(), workload, why]))
    }

    /// What an arm said instead of doing something.
    pub(super) fn refusal(&mut self, arm: Arm, why: &str) -> Outcome<()> {
        let one = json!([arm.name(), why]);
        let known = self.value["refusals"].as_array().is_some_and(|all| all.contains(&one));
        if known { Ok(()) } else { self.add("refusals", one) }
    }

    /// An arm was warmed up by so many requests.
    pub(super) fn warm_up(&mut self, arm: Arm, requests: u64) -> Outcome<()> {
        self.add("warm_ups", json!([arm.name(), requests]))
    }

    fn add(&mut self, list: &str, one: Value) -> Outcome<()> {
        if let Some(all) = self.value[list].as_array_mut() {
            all.push(one);
        }
        self.save()
    }

    fn save(&self) -> Outcome<()> {
        let written = std::fs::write(&self.path, format!("{:#}\n", self.value));
        written.map_err(Failure::while_doing(self.path.display()))
    }

    /// The same for the tables of the report.
    pub(super) fn facts(&self) -> Facts {
        let list = |key: &str| self.value[key].as_array().cloned().unwrap_or_default();
        let text = |row: &Value, place: usize| match &row[place] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let pair = |row: &Value| (text(row, 0), text(row, 1));
        let mut setting: Vec<(String, String)> = list("setting").iter().map(pair).collect();
        let warm_ups: Vec<String> = list("warm_ups")
            .iter()
            .map(|row| format!("{} {} requests", text(row, 0), text(row, 1)))
            .collect();
        if !warm_ups.is_empty() {
            let what = "warm-up of each further start of controllers, before its first workload";
            setting.push((what.to_owned(), warm_ups.join("; ")));
        }
        setting.extend(list("rates").iter().map(pair));
        if self.is_interrupted() {
            let what = "not all of it was run".to_owned();
            setting.push(("INTERRUPTED".to_owned(), what));
        }
        let java_log = self.java_log();
        let arm = |arm: Arm| {
            let command = Cluster::command_shown(arm, java_log);
            [arm.name(), arm.durability(), arm.reads(), &command].map(str::to_owned)
        };
        Facts {
            setting,
            arms: self.arms().into_iter().map(arm).collect(),
            gaps: list("gaps").iter().map(|row| [0, 1, 2].map(|place| text(row, place))).collect(),
            refusals: list("refusals").iter().map(pair).collect(),
        }
    }
}

fn hidden(paths: &[&Path]) -> Vec<String> {
    paths.iter().map(|path| format!("{}/", path.display())).collect()
}

fn without(hidden: &[String], text: &str) -> String {
    hidden.iter().fold(text.to_owned(), |text, path| text.replace(path, ""))
}

#[cfg(test)]
mod tests {
    use super::{Record, Size, Workload};
    use crate::versus::arms::Arm;
    use std::path::Path;

    #[test]
    fn a_whole_run_is_all_arms_and_workloads_and_may_be_made_in_parts() {
        let folder = std::env::temp_dir().join(format!("versus-whole-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        let mut record = Record::begin(&folder, &[], &Arm::ALL, &[]).expect("it can be written");
        let quick = Workload::of_size(Size::Quick);
        record.add_workloads(&quick[1..]).expect("it can be written");
        record.gap(Arm::JavaJraft, "capacity", "too slow").expect("it can be written");
        let step = "reads-saturated-java-jraft";
        record.gap(Arm::JavaJraft, step, "too slow").expect("it can be written");
        record.gap(Arm::JavaJraft, "leader-lost", "too slow").expect("it can be written");
        assert!(!record.is_whole());
        record.go_on(&quick[..1], "capacity").expect("it can be written");
        record.add_workloads(&quick[..1]).expect("it can be written");
        assert!(record.is_whole());
        let facts = record.facts();
        assert_eq!(facts.gaps, [["java-jraft", "leader-lost", "too slow"].map(str::to_owned)]);
        assert!(facts.setting.iter().any(|(_, said)| said == "capacity"));
        record.set("interrupted", true.into()).expect("it can be written");
        assert!(!record.is_whole());
        record.go_on(&quick[1..2], "the rest").expect("it can be written");
        assert!(record.is_whole());
        let mut part = Record::begin(&folder, &[], &Arm::ALL[1..], &[]).expect("it can be written");
        part.add_workloads(&quick).expect("it can be written");
        assert!(!part.is_whole());
        std::fs::remove_dir_all(&folder).expect("it was made");
    }

    #[test]
    fn what_is_recorded_can_be_read_again() {
        let folder = std::env::temp_dir().join(format!("versus-record-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("it can be made");
        let arms = [Arm::JavaJraft, Arm::OursFsync];
        let setting = [("RocketMQ", "5.5.0".to_owned())];
        let mut record = Record::begin(&folder, &[Path::new("/home/x")], &arms, &setting)
            .expect("it can be written");
        record.gap(Arm::JavaJraft, "leader", "see /home/x/logs/a.log").expect("it can be written");
        for _twice in 0..2 {
            record.refusal(Arm::JavaJraft, "code 2007").expect("it can be written");
        }
        record.warm_up(Arm::JavaJraft, 50_000).expect("it can be written");
        let read = Record::read(&folder).expect("it was written");
        let facts = read.facts();
        assert_eq!(read.arms(), arms);
        assert_eq!(facts.gaps, [["java-jraft", "leader", "see logs/a.log"].map(str::to_owned)]);
        assert_eq!(facts.refusals.len(), 1);
        assert!(facts.setting.iter().any(|(_, value)| value == "java-jraft 50000 requests"));
        assert!(facts.arms[0][3].starts_with("java -Xms512m"), "{:?}", facts.arms);
        std::fs::remove_dir_all(&folder).expect("it was made");
    }
}
