//! Tables that somebody computed beside the runs: written by whoever compares, drawn by whoever shows.
//!
//! Whoever computes a table writes its figures as people read them, with their units, so that all forms
//! of a report say the same.

use serde::{Deserialize, Serialize};

/// One table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Table {
    /// Its heading.
    pub title: String,
    /// The question it answers.
    pub question: String,
    /// What must be known to read it; a paragraph each, below the table.
    pub notes: Vec<String>,
    /// Heads of the columns.
    pub columns: Vec<String>,
    /// So many columns from the left are words; the others are figures.
    pub words: usize,
    /// Rows of as many cells as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// How it is meant.
    pub mood: Mood,
}

/// How a cell is meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mood {
    /// As it is.
    #[default]
    Plain,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Neither can be said.
    Open,
}
