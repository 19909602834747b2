//! The page of a run that was made up, as a browser shows it.

use super::draw;
use crate::actors::recorder::{Mastership, Records};
use crate::clock::SECOND;
use crate::course::{Course, Event, Options};
use crate::judge::{Outcome, Verdict};

#[path = "../../report/tests/synthetic/browser.rs"]
mod browser;

/// A run of a minute with one fault that something did not survive.
fn page() -> String {
    let nowhere = std::path::Path::new("/nowhere");
    let options = Options { seed: 7, ..Options::for_tests(nowhere) };
    let event = Event {
        name: "leader-kill".into(),
        began: 10 * SECOND,
        healed: 20 * SECOND,
        recovered: Some(21 * SECOND),
        evidence: vec!["n0 is gone".into()],
        ..Event::default()
    };
    let course = Course { ended: 60 * SECOND, events: vec![event], ..Course::default() };
    let verdict = Verdict {
        outcome: Outcome::Failed,
        violations: vec!["broker-a: epoch 3 has <two> masters".into()],
        counts: [0; 5],
        doubts: Vec::new(),
        operations: [10, 2, 1],
        undecided: 0,
        asked: 1,
        not_injected: Vec::new(),
        recovery: Vec::new(),
        messages: None,
    };
    let mut records = Records::default();
    for set in ["broker-b", "op-0-0"] {
        records.masterships.push(Mastership { at: 0, set: set.into(), epoch: 1, master: 1 });
    }
    draw(&options, &course, &records, &verdict, "{}")
}

#[test]
fn the_page_says_what_did_not_hold_and_is_a_picture() {
    let page = page();
    for fact in
        ["FAILED", "broker-a: epoch 3 has &lt;two&gt; masters", "leader-kill", "seed 7", "<svg"]
    {
        assert!(page.contains(fact), "{fact}");
    }
    assert!(page.contains("broker-b"), "its masters are drawn");
    assert!(!page.contains("op-0-0"), "the operator's masters are not");
    for word in ["http:", "https:", "src=", "<link", "NaN"] {
        assert!(!page.contains(word), "{word} in the page");
    }
    browser::is_seen(&page, "chaos");
    // Its console is silent, too.
    let Some(dom) = browser::dump(&page, "chaos-dom") else { return };
    assert!(dom.contains("broker-a: epoch 3"), "{dom}");
}
