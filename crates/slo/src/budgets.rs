//! `budgets.toml`: what one operation may cost at most, by counts that do not depend on the machine.
//!
//! ```toml
//! schema = "pitchover.budgets/v1"
//!
//! [[budget]]
//! figure = "write.syncs"
//! most = 3.1
//! why = "one on each of three nodes"
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::file::FileError;

/// What `schema` says.
pub const BUDGETS_SCHEMA: &str = "pitchover.budgets/v1";

/// Below this part of its budget a figure has so much room that the budget catches nothing.
const ROOMY: f64 = 0.7;

/// A whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    schema: Spanned<String>,
    #[serde(default)]
    budget: Vec<Spanned<Budget>>,
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What is counted: `write.syncs`, `decode.instructions`, …
    pub figure: String,
    /// The most that it may be.
    pub most: f64,
    /// What it is made of.
    pub why: String,
}

/// One figure beside its budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counted {
    /// What is counted.
    pub figure: String,
    /// What it was; absent where this machine could not count it.
    pub value: Option<f64>,
    /// The most that it may be.
    pub most: f64,
    /// What follows.
    pub verdict: BudgetVerdict,
}

/// What follows of a figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetVerdict {
    /// Within its budget.
    Within,
    /// Within, with so much room that the budget may be tightened.
    Roomy,
    /// More than it may be.
    Beyond,
    /// Nobody could count it.
    NotCounted,
}

impl Budgets {
    /// Reads the text of `file`. `known` are the figures that there are.
    ///
    /// # Errors
    /// - [`FileError`]: what is wrong, where, and what is allowed.
    pub fn read(file: &str, text: &str, known: &[&str]) -> Result<Self, FileError> {
        let failed = |at: usize, why: String| FileError::at(file, text, at, why);
        let read: Self = toml::from_str(text).map_err(|error| {
            failed(error.span().map_or(0, |span| span.start), error.message().to_owned())
        })?;
        if read.schema.get_ref() != BUDGETS_SCHEMA {
            let why = format!("schema {:?}: must be {BUDGETS_SCHEMA:?}", read.schema.get_ref());
            return Err(failed(read.schema.span().start, why));
        }
        let mut figures = BTreeSet::new();
        for budget in &read.budget {
            let (at, Budget { figure, most, .. }) = (budget.span().start, budget.get_ref());
            let why = match () {
                () if !known.contains(&figure.as_str()) => {
                    format!("no figure {figure:?}; there are {}", known.join(", "))
                }
                () if !figures.insert(figure) => format!("{figure:?} has two budgets"),
                () if !most.is_finite() || *most < 0.0 => {
                    format!("{figure:?}: `most` is 0 or more")
                }
                () => continue,
            };
            return Err(failed(at, why));
        }
        Ok(read)
    }

    /// Every budget beside its figure, in the order of the file.
    #[must_use]
    pub fn judge(&self, figures: &BTreeMap<String, f64>) -> Vec<Counted> {
        let judge = |budget: &Budget| {
            let value = figures.get(&budget.figure).copied();
            let verdict = match value {
                None => BudgetVerdict::NotCounted,
                Some(value) if value > budget.most => BudgetVerdict::Beyond,
                Some(value) if value < budget.most * ROOMY => BudgetVerdict::Roomy,
                Some(_) => BudgetVerdict::Within,
            };
            Counted { figure: budget.figure.clone(), value, most: budget.most, verdict }
        };
        self.budget.iter().map(|budget| judge(budget.get_ref())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{BudgetVerdict, Budgets};

    const GOOD: &str = "schema = \"pitchover.budgets/v1\"\n\n[[budget]]\nfigure = \"write.syncs\"\nmost = 3.1\n\
                        why = \"one on each node\"\n";
    const KNOWN: [&str; 2] = ["write.syncs", "write.frames"];

    #[test]
    fn a_figure_is_within_beyond_or_not_counted() {
        let budgets = Budgets::read("f", GOOD, &KNOWN).unwrap();
        let verdict = |value: Option<f64>| {
            let figures =
                value.map(|value| ("write.syncs".to_owned(), value)).into_iter().collect();
            budgets.judge(&figures)[0].verdict
        };
        assert_eq!(verdict(Some(3.1)), BudgetVerdict::Within);
        assert_eq!(verdict(Some(3.11)), BudgetVerdict::Beyond);
        assert_eq!(verdict(Some(2.0)), BudgetVerdict::Roomy);
        assert_eq!(verdict(None), BudgetVerdict::NotCounted);
    }

    #[test]
    fn mistakes_are_named_with_line_and_remedy() {
        let rows = [
            ("most =", "moist =", "f:5: unknown field `moist`, expected one of"),
            (
                "write.syncs",
                "write.sinks",
                "f:3: no figure \"write.sinks\"; there are write.syncs, write.frames",
            ),
            ("3.1", "-1.0", "`most` is 0 or more"),
            ("/v1", "/v2", "f:1: schema"),
        ];
        for (from, to, says) in rows {
            let error =
                Budgets::read("f", &GOOD.replace(from, to), &KNOWN).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let twice = format!("{GOOD}{}", GOOD.split_once("\n\n").unwrap().1);
        let error = Budgets::read("f", &twice, &KNOWN).unwrap_err().to_string();
        assert!(error.contains("f:7: \"write.syncs\" has two budgets"), "{error}");
    }
}
