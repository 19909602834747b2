//! B38: settings changed by a stranger. Nobody is asked who he is in `compat`, as upstream does; what he may not
//! change is on the black list, and whatever he sends is cheap.

use protocol::{code, response_code};

use std::fs::File;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::ground::{Ground, encoded};
use crate::patience::until;
use crate::wire::request;

const UPDATE: i32 = code::UPDATE_CONTROLLER_CONFIG;

#[test]
fn b38_settings() {
    let mut ground = Ground::new("");
    let keys = |count: usize| -> String { (0..count).map(|at| format!("key{at}=1\n")).collect() };
    let long_key = format!("{}=1", "k".repeat(60_000));
    let forbidden = [
        "configStorePath=/etc/passwd",
        "configBlackList=",
        "rocketmqHome=/tmp",
        "controllerDLegerPeers=n0-evil:1",
        "controllerDLegerSelfId=n1",
        "controllerDLegerGroup=other",
        "controllerType=jRaft",
        "pitchover.advertisedAddr=evil:1",
        "electMasterMaxRetryCount=1\nconfigStorePath=../../etc/passwd",
        " configStorePath : /etc/passwd",
        "config\\\nStorePath=/etc/passwd",
        "\\u0063onfigStorePath=/etc/passwd",
    ];
    let accepted: [&[u8]; 10] = [
        b"",
        b"no separator",
        b"unknown=1",
        b"=",
        b"\xff\xfe=\xfd",
        b"scanInactiveMasterInterval=abc",
        b"scanInactiveMasterInterval=9223372036854775808",
        b"# nothing\n\n!nothing",
        long_key.as_bytes(),
        b"controllerStorePath=/nonexistent",
    ];
    for node in ground.two_kinds() {
        let before = listing(&ground, node);
        let mut wire = ground.connect(node);
        let mut ask = |ground: &mut Ground, body: &[u8], expected: i32| {
            let row = String::from_utf8_lossy(body).chars().take(60).collect::<String>();
            let answer = wire.decided(&request(UPDATE, &[], body));
            assert_eq!(answer.code, expected, "{row}: {answer:?}");
            ground.check(&row);
        };
        for body in forbidden {
            ask(&mut ground, body.as_bytes(), response_code::NO_PERMISSION);
        }
        ask(&mut ground, b"a=\\u12", response_code::SYSTEM_ERROR);
        assert_eq!(listing(&ground, node), before, "a refused change changes nothing");
        for body in accepted {
            ask(&mut ground, body, response_code::SUCCESS);
        }
        // More keys than there are: one request must not keep a controller from its heartbeats.
        ask(&mut ground, keys(1_000).as_bytes(), response_code::SUCCESS);
        ask(&mut ground, keys(60_000).as_bytes(), response_code::SYSTEM_ERROR);
    }
}

/// The disk that keeps the settings hangs: whoever changes one waits, a flood of changes is refused, and everybody
/// else is served.
#[test]
fn b38_settings_on_a_disk_that_hangs() {
    // One write takes what waits, and as many may wait behind it (CHANGES_WAITING_MAX, 256): more than both together.
    const CHANGES: usize = 250;
    const FLOODS: usize = 3;
    let mut ground = Ground::new("");
    let node = ground.leader;
    // Whoever opens a pipe that nobody writes waits.
    let stored = ground.cluster.folder.path().join(format!("n{node}.stored.properties"));
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &stored, FileType::Fifo, mode, 0).expect("a pipe can be made");
    let change = request(UPDATE, &[], "metricsLabel=a:b\n");
    let mut floods: Vec<_> = (0..FLOODS).map(|_| ground.connect(node)).collect();
    for flood in &mut floods {
        flood.send(&encoded(std::iter::repeat_n(&change, CHANGES)));
    }
    until("the changes count", || {
        listing(&ground, node).contains(&"metricsLabel=a:b".to_owned()).then_some(())
    });
    until("a flood of changes is refused", || {
        (ground.refused(node, "CHANGES_WAITING_MAX") > 0).then_some(())
    });
    ground.check("a hanging disk");
    // The disk comes back, and everybody hears what became of his change.
    drop(File::options().write(true).open(&stored).expect("the pipe is waited at"));
    let mut answers = Vec::new();
    for flood in &mut floods {
        answers.extend((0..CHANGES).map(|_| flood.must_receive("a change").header.code));
    }
    let done = answers.iter().filter(|code| **code == response_code::SUCCESS).count();
    let busy = answers.iter().filter(|code| **code == response_code::SYSTEM_BUSY).count();
    assert_eq!(
        (done + busy, busy > 0, done > 200),
        (FLOODS * CHANGES, true, true),
        "{done} {busy}"
    );
    let kept = std::fs::read_to_string(&stored).expect("a file took the pipe's place");
    assert!(kept.contains("metricsLabel=a"), "{kept}");
}

/// What 1010 lists, without the one setting that the rows may change.
fn listing(ground: &Ground, node: usize) -> Vec<String> {
    let answer = ground.connect(node).decided(&request(code::GET_CONTROLLER_CONFIG, &[], ""));
    let text = String::from_utf8(answer.body.to_vec()).expect("the listing is text");
    text.lines().map(str::to_owned).collect()
}
