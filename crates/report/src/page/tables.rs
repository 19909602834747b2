//! Tables that came with the runs: drawn as they are, before everything that is computed here.

use maud::{Markup, html};
use measure::tables::{Cell, Mood, Table};

pub(super) fn draw(table: &Table) -> Markup {
    let class = |place: usize| if place < table.words { "" } else { "n" };
    html! {
        @if !table.columns.is_empty() {
            div.card.scroll {
                table {
                    tr { @for (place, name) in table.columns.iter().enumerate() { th class=(class(place)) { (name) } } }
                    @for row in &table.rows {
                        tr { @for (place, cell) in row.iter().enumerate() { (draw_cell(cell, class(place))) } }
                    }
                }
            }
        }
        @for note in &table.notes { p.note { (note) } }
    }
}

fn draw_cell(cell: &Cell, class: &str) -> Markup {
    let mood = match cell.mood {
        Mood::Plain => return html! { td class=(class) { (cell.text) } },
        Mood::Good => "good",
        Mood::Bad => "bad",
        Mood::Open => "warn",
    };
    html! { td class=(class) { span.word.(mood) { (cell.text) } } }
}
