//! What a crew makes of the words of its processes, which a test says here.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Crew, EVENTS_MAX, Hand, Tally, Voice, Word};
use crate::fleet::{Fleet, link};
use crate::generator::plan::{Event, Plan, Report};

/// A crew of so many, and by what each of them is heard. All take every order.
fn crew(processes: usize) -> (Crew, Vec<SyncSender<Event>>) {
    let (mut hands, mut mouths) = (Vec::new(), Vec::new());
    for _process in 0..processes {
        let mut listener = std::process::Command::new("cat");
        listener.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = listener.spawn().unwrap();
        let orders = child.stdin.take();
        let (mouth, events) = sync_channel(EVENTS_MAX);
        hands.push(Hand { voice: Voice::Own { child, orders }, events, word: Word::Unasked });
        mouths.push(mouth);
    }
    let parts = Plan::as_java(vec!["x:1".to_owned()], "p".to_owned(), processes);
    let parts = vec![parts; processes];
    let mut crew = Crew::of(parts);
    crew.hands = hands;
    (crew, mouths)
}

/// A report of so many wrong answers.
fn wrong(violations: u64) -> Event {
    Event::Report(Box::new(Report { violations, ..Report::default() }))
}

#[test]
fn a_part_that_lives_and_dies_is_heard_while_another_is_awaited() {
    let (mut crew, mouths) = crew(2);
    mouths[0].send(Event::Founded(Vec::new())).unwrap();
    mouths[0].send(Event::Failed("no memory".to_owned())).unwrap();
    let error = crew.found(&AtomicBool::new(false), &mut |_text: &str| {}).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
}

#[test]
fn wrong_answers_that_some_have_told_stay_when_another_one_fails() {
    let (mut crew, mouths) = crew(3);
    let mut all = Report::default();
    mouths[0].send(wrong(1)).unwrap();
    mouths[1].send(Event::Failed("no memory".to_owned())).unwrap();
    let error = crew.report(&mut all).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
    assert_eq!(all.violations, 1);
    // Only the third is still asked.
    mouths[0].send(wrong(10)).unwrap();
    mouths[1].send(wrong(100)).unwrap();
    mouths[2].send(wrong(1_000)).unwrap();
    crew.rest(&mut all);
    assert_eq!(all.violations, 1_001);
}

#[test]
fn windows_of_all_are_whole_though_one_process_is_gone_by_now() {
    let (mut crew, mouths) = crew(3);
    let window = |number| Event::Window(number, Box::default());
    for mouth in &mouths {
        mouth.send(window(4)).unwrap();
    }
    mouths[2].send(window(5)).unwrap();
    mouths[0].send(Event::Failed("no memory".to_owned())).unwrap();
    let (mut half_done, mut whole) = (BTreeMap::new(), Vec::new());
    let error = crew.windows(&mut half_done, &mut whole).unwrap_err();
    assert!(error.to_string().contains("no memory"), "{error}");
    let numbers = |windows: &[(u64, Tally)]| windows.iter().map(|it| it.0).collect::<Vec<_>>();
    assert_eq!(numbers(&whole), [4]);
    assert_eq!(half_done.keys().collect::<Vec<_>>(), [&5]);
}

#[test]
fn patience_is_for_the_whole_wait_whatever_is_said_meanwhile() {
    let (mut crew, mut mouths) = crew(1);
    let mouth = mouths.remove(0);
    let talk = move || while mouth.send(Event::Window(0, Box::default())).is_ok() {};
    let talking = thread::Builder::new().spawn(talk).unwrap();
    let are_told = crew.kill(0, &[0], Duration::from_millis(50)).unwrap();
    assert!(!are_told);
    drop(crew);
    talking.join().unwrap();
}

#[test]
fn who_has_told_all_is_asked_again_for_what_comes_next() {
    let (mut crew, mouths) = crew(2);
    for violations in [1, 2] {
        mouths.iter().for_each(|mouth| mouth.send(wrong(violations)).unwrap());
        assert_eq!(crew.whole_report().unwrap().violations, 2 * violations);
    }
}

/// A worker that welcomes whoever comes and takes all it is told. When it is over it needs a moment, or does not end at all.
/// Its address, and whether it has ended.
fn worker(ends: bool) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let has_ended = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&has_ended);
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        // One byte, the kind of a welcome.
        stream.write_all(&[0, 0, 0, 1, 2]).unwrap();
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
        if !ends {
            loop {
                thread::park();
            }
        }
        thread::park_timeout(Duration::from_millis(300));
        ended.store(true, Ordering::Release);
    };
    thread::Builder::new().spawn(serve).unwrap();
    (address, has_ended)
}

#[test]
fn workers_that_have_begun_are_waited_for_when_another_cannot_begin() {
    let ((slow, has_ended), (never, _), (broken, _)) = (worker(true), worker(false), worker(true));
    let workers = vec![slow.clone(), never.clone(), broken.clone()];
    let fleet = Fleet { workers, token: None, version: "1".to_owned() };
    let links = link::connect(&fleet, 3).unwrap();
    // It cannot be told its part.
    links[2].hang_up();
    let plan = Plan::as_java(vec!["127.0.0.1:1".to_owned()], "p".to_owned(), 3);
    let mut said = String::new();
    let begun = Crew::of_workers(links, &plan, &AtomicBool::new(false), |text| said += text);
    let error = begun.unwrap_err().to_string();
    assert!(error.contains(&format!("worker {broken}: ")), "{error}");
    assert!(has_ended.load(Ordering::Acquire), "its part is over");
    assert!(said.starts_with(&format!("worker {never}: not ended within 3 s")), "{said}");
    assert!(!said.contains(&slow), "{said}");
}
