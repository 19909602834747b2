//! Bars move to hopes that were kept, and nowhere else.
//!
//! A hope is kept if the last `promote_after` runs of its workload, on `days` days or more, were all valid and each
//! alone kept it with its whole interval. The new bar is the farthest hope that was kept, or the worst end of an
//! interval times `headroom`, whichever is looser; it is never looser than the old one. The file keeps its layout.

use std::collections::BTreeSet;

use measure::folder::Found;
use measure::judged::Better;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value};

use crate::file::{Aspire, Objective, Objectives};
use crate::judge::hope_in_force;
use crate::sli::measured;

/// One bar that moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Of which objective.
    pub id: String,
    /// The hope that was kept.
    pub hope: String,
    /// The bar before.
    pub from: f64,
    /// The bar from now on.
    pub to: f64,
    /// Factor of the floor from now on, if the bar has one.
    pub times: Option<f64>,
    /// The runs that showed it.
    pub runs: Vec<String>,
}

/// Why a file could not be changed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RatchetError {
    /// The text is not the one that was read.
    #[error("the file cannot be edited: {0}")]
    NotEditable(String),
}

/// The text with all bars moved that may move, and what moved. `text` is what `objectives` were read from, `today` a day
/// such as `2026-12-01`.
///
/// # Errors
/// - [`RatchetError::NotEditable`]: `text` is another one.
pub fn ratchet(
    text: &str,
    objectives: &Objectives,
    runs: &[Found],
    today: &str,
) -> Result<(String, Vec<Move>), RatchetError> {
    let moves: Vec<(Move, String)> = objectives
        .all()
        .filter_map(|objective| of_objective(objective, objectives, runs))
        .collect();
    let mut document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| RatchetError::NotEditable(error.to_string()))?;
    for (moved, commit) in &moves {
        edit(&mut document, moved, commit, today).ok_or_else(|| {
            RatchetError::NotEditable(format!("objective {:?} is not as it was read", moved.id))
        })?;
    }
    Ok((document.to_string(), moves.into_iter().map(|(moved, _)| moved).collect()))
}

/// How the bar of an objective moves, and the commit that was measured last.
fn of_objective(
    objective: &Objective,
    objectives: &Objectives,
    runs: &[Found],
) -> Option<(Move, String)> {
    let rules = &objectives.ratchet;
    let mut own: Vec<&Found> =
        runs.iter().filter(|found| found.run.name == objective.workload).collect();
    own.sort_by_key(|found| found.run.started_unix_ms);
    let recent = own.get(own.len().checked_sub(rules.promote_after)?..)?;
    let day = |found: &&Found| {
        report::draw::numbers::date(found.run.started_unix_ms).chars().take(10).collect()
    };
    let days: BTreeSet<String> = recent.iter().map(day).collect();
    let is_valid = |found: &&Found| found.run.finished && found.run.validity.valid;
    let is_one_arm = recent.iter().all(|found| found.run.arm == recent[0].run.arm);
    if days.len() < rules.days || !recent.iter().all(is_valid) || !is_one_arm {
        return None;
    }
    let intervals: Option<Vec<(f64, f64)>> =
        recent.iter().map(|found| measured(&objective.sli, &[*found]).interval).collect();
    let intervals = intervals?;
    let is_lower = objective.sli.of.better() == Better::Lower;
    let keeps = |hope: &&Aspire| {
        recent.iter().zip(&intervals).all(|(found, (low, high))| {
            let hope = hope_in_force(objective.minimum.floor, (hope.value, hope.times), &[*found]);
            if is_lower { *high <= hope } else { *low >= hope }
        })
    };
    let hope = objective.aspire.iter().take_while(keeps).last()?;
    let old = objective.minimum.value;
    let to = if is_lower {
        let worst = intervals.iter().map(|(_, high)| *high).fold(0.0, f64::max);
        rounded(hope.value.max(worst * rules.headroom)).min(old)
    } else {
        let worst = intervals.iter().map(|(low, _)| *low).fold(f64::MAX, f64::min);
        rounded(hope.value.min(worst / rules.headroom)).max(old)
    };
    let times = objective.minimum.times.map(|times| hope.times.unwrap_or(times).min(times));
    let is_tighter =
        (to - old).abs() > f64::EPSILON * old.abs() || times != objective.minimum.times;
    let commit = recent.iter().rev().find_map(|found| found.run.commit.clone()).unwrap_or_default();
    let runs = recent.iter().map(|found| found.run.id.clone()).collect();
    let (id, hope) = (objective.id.clone(), hope.name.clone());
    is_tighter.then_some((Move { id, hope, from: old, to, times, runs }, commit))
}

/// Three digits are enough for a bar.
fn rounded(value: f64) -> f64 {
    let digits = 10_f64.powf(2.0 - value.abs().max(1e-9).log10().floor());
    (value * digits).round() / digits
}

/// Nothing if the document has no such objective.
fn edit(document: &mut DocumentMut, moved: &Move, commit: &str, today: &str) -> Option<()> {
    let all = document.get_mut("slo")?.as_array_of_tables_mut()?;
    let table =
        all.iter_mut().find(|table| table.get("id").and_then(Item::as_str) == Some(&moved.id))?;
    let minimum = table.get_mut("minimum")?.as_inline_table_mut()?;
    set(minimum, "value", moved.to)?;
    if let Some(times) = moved.times {
        set(minimum, "times", times)?;
    }
    drop_kept(table, &moved.hope)?;
    let mut line = InlineTable::new();
    line.insert("at", today.into());
    line.insert("commit", commit.into());
    line.insert("minimum", format!("{} -> {}", moved.from, moved.to).into());
    line.insert("runs", Value::Array(moved.runs.iter().map(String::as_str).collect()));
    let history = table.entry("history").or_insert_with(|| Item::Value(Value::Array(Array::new())));
    history.as_array_mut()?.push(line);
    Some(())
}

/// Another number in the same place, with the blanks that were around the old one.
fn set(table: &mut InlineTable, key: &str, number: f64) -> Option<()> {
    let place = table.get_mut(key)?;
    let decor = place.decor().clone();
    *place = Value::from(number);
    *place.decor_mut() = decor;
    Some(())
}

/// The hope that became the bar goes, with those before it.
fn drop_kept(table: &mut Table, hope: &str) -> Option<()> {
    let hopes = table.get_mut("aspire")?.as_array_mut()?;
    let name = |value: &Value| value.as_inline_table()?.get("name")?.as_str().map(str::to_owned);
    let kept = hopes.iter().position(|value| name(value).as_deref() == Some(hope))?;
    for _ in 0..=kept {
        hopes.remove(0);
    }
    Some(())
}
