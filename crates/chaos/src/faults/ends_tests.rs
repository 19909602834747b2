//! Who runs when a fault is over, whatever became of its deeds.

use super::{END, Injection, Signal};
use crate::ground::controller::{Controller, Plan};
use crate::ground::namespace::{Namespaces, name};
use crate::target::Kind;
use std::io::Write as _;
use std::path::PathBuf;

#[tokio::test(flavor = "current_thread")]
async fn whom_a_doubtful_deed_ended_is_started_again() {
    if !rustix::process::geteuid().is_root() {
        std::io::stderr().write_all(b"SKIPPED: nobody was ended: not root\n").unwrap();
        return;
    }
    let namespace = name(std::process::id(), "ended");
    let mut namespaces = Namespaces::default();
    namespaces.add(&namespace).unwrap();
    let home = std::env::temp_dir();
    let plan = |node: usize| Plan {
        name: format!("n{node}"),
        namespace: namespace.clone(),
        kind: Kind::Pitchover,
        program: PathBuf::from("/bin/sleep").canonicalize().unwrap(),
        arguments: vec!["600".into()],
        home: home.clone(),
        log: home.join(format!("{namespace}-{node}.log")),
    };
    let mut controllers: Vec<_> = (0..3).map(plan).map(Controller::new).collect();
    for controller in &mut controllers {
        controller.start().await.unwrap();
    }
    let before: Vec<_> = controllers.iter().map(Controller::pid).collect();
    // One ended, one that was stopped and hears no TERM, one to which nothing was done.
    controllers[0].signal(Signal::KILL).unwrap();
    controllers[0].await_end(END).await.unwrap();
    controllers[1].signal(Signal::STOP).unwrap();
    let mut injection = Injection::default();
    injection.overdue.insert(1);
    injection.start_the_rest(&mut controllers).await;
    let after: Vec<_> = controllers.iter().map(Controller::pid).collect();
    for controller in &controllers {
        std::fs::remove_file(&controller.plan.log).unwrap();
    }
    assert!(after.iter().all(Option::is_some), "{after:?}");
    let is_new = [0, 1, 2].map(|node: usize| before[node] != after[node]);
    assert_eq!((is_new, injection.doubts.len()), ([true, true, false], 2), "{injection:?}");
}
