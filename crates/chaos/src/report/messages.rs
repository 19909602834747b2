//! With Java brokers: what became of the messages, and which master took them.

use super::{FELT, LINES_MAX, recovery};
use crate::brokers::messages::Judged;
use crate::clock::MILLISECOND;
use crate::course::Course;
use maud::{Markup, html};
use report::draw::{numbers, page};

/// The section of the page.
pub(super) fn draw(course: &Course, all: &Judged) -> Markup {
    let body = html! {
        p { (all.sum()) "." }
        div.card.scroll {
            table {
                tr {
                    th.n { "Epoch" } th { "Master" } th.n { "Seen at, s" } th.n { "Acknowledged" }
                    th.n { "After the next was seen" }
                }
                @for reign in &all.reigns {
                    tr {
                        td.n { (reign.epoch) }
                        td { (reign.broker) }
                        td.n { (seconds(reign.at.saturating_sub(course.began))) }
                        td.n { (numbers::count(reign.acknowledged as u64)) }
                        td.n { (reign.afterwards) }
                    }
                }
            }
        }
        @for note in all.notes.iter().take(LINES_MAX) { pre { (note) } }
        h3 { "How long the producer felt faults" }
        (recovery(&all.recovery))
        p { (FELT) }
    };
    let question = "Unmodified Java brokers, producer and consumer. SEND_OK promises that every member of the sync-state \
                    set has the message (allAckInSyncStateSet, minInSyncReplicas=2); at the end the topic is read again \
                    from its start, and what is not there is lost.";
    page::section("messages", "What became of the messages", question, &body)
}

fn seconds(ns: u64) -> String {
    format!("{:.1}", (ns / MILLISECOND) as f64 / 1e3)
}
