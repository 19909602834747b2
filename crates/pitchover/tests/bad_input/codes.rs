//! B16-B21: flags, correlation ids, and codes that nobody answers here.

use protocol::{FLAG_ONE_WAY, FLAG_RESPONSE, Frame, HeaderEncoding, code, private, response_code};

use crate::ground::{Ground, encoded};
use crate::wire::request;

/// Requests that a controller answers, each with nothing in it.
const ANSWERED: [i32; 12] = [
    code::BROKER_HEARTBEAT,
    code::CONTROLLER_ALTER_SYNC_STATE_SET,
    code::CONTROLLER_ELECT_MASTER,
    code::CONTROLLER_REGISTER_BROKER,
    code::CONTROLLER_GET_REPLICA_INFO,
    code::CONTROLLER_GET_METADATA_INFO,
    code::CONTROLLER_GET_SYNC_STATE_DATA,
    code::UPDATE_CONTROLLER_CONFIG,
    code::GET_CONTROLLER_CONFIG,
    code::CLEAN_BROKER_DATA,
    code::CONTROLLER_GET_NEXT_BROKER_ID,
    code::CONTROLLER_APPLY_BROKER_ID,
];

/// B17: an answer that nobody asked for is dropped; B18: one-way requests are not answered, not even with an error.
#[test]
fn b17_b18_no_answer_to_answers_and_one_way_requests() {
    let mut ground = Ground::new("");
    let private = [private::PEER_HELLO, private::PEER_BATCH, private::STATUS, private::DESCRIBE];
    let codes: Vec<i32> = ANSWERED.into_iter().chain(private).chain([0, -1, 32_767]).collect();
    for node in ground.two_kinds() {
        for flag in [FLAG_RESPONSE, FLAG_ONE_WAY, FLAG_RESPONSE | FLAG_ONE_WAY] {
            let before = ground.refused(node, "unexpected response");
            let mut wire = ground.connect(node);
            for code in &codes {
                let row = format!("code {code}, flag {flag}");
                let unanswered = Frame { header: flagged(*code, flag), body: "x".into() };
                let mut last = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
                last.header.opaque = 9;
                wire.send(&encoded([&unanswered, &last]));
                assert_eq!(wire.must_receive(&row).header.opaque, 9, "{row}");
            }
            let is_response = flag & FLAG_RESPONSE != 0;
            let expected = if is_response { u64::try_from(codes.len()).unwrap() } else { 0 };
            assert_eq!(ground.refused(node, "unexpected response") - before, expected);
            ground.check(&format!("flag {flag}"));
        }
    }
}

fn flagged(code: i32, flag: i32) -> protocol::Header {
    let mut header = request(code, &[], "").header;
    header.flag = flag;
    header
}

/// B19: the caller's number comes back as it is, how odd and how often it may be.
#[test]
fn b19_opaque_is_echoed() {
    let mut ground = Ground::new("");
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for encoding in [HeaderEncoding::Json, HeaderEncoding::Binary] {
            let frames: Vec<Frame> = [0, -1, i32::MIN, i32::MAX, 5, 5, 5]
                .map(|opaque| {
                    let mut frame = request(code::CONTROLLER_GET_METADATA_INFO, &[], "");
                    (frame.header.opaque, frame.header.encoding) = (opaque, encoding);
                    frame
                })
                .into();
            wire.send(&encoded(&frames));
            for frame in &frames {
                let answer = wire.must_receive("B19").header;
                assert_eq!((answer.opaque, answer.encoding), (frame.header.opaque, encoding));
            }
        }
    }
    ground.check("B19");
}

/// B20, B21: codes that are nobody's, a broker's, an inner one's of upstream, or a peer's without a hello.
#[test]
fn b20_b21_codes_that_are_not_for_strangers() {
    let mut ground = Ground::new("");
    let brokers = [code::GET_BROKER_EPOCH_CACHE, code::NOTIFY_BROKER_ROLE_CHANGED];
    let peers = [private::PEER_BATCH, 24_003, 24_013];
    let codes = [0, -1, 1, 10, 32_767, 32_768, i32::MIN, i32::MAX, 903, 905, 1000];
    let codes = codes.into_iter().chain(brokers).chain(peers);
    let inner = (1_014..=1_018).chain(50_000..=50_002).chain(51_001..=51_005);
    let codes: Vec<i32> = codes.chain(inner).collect();
    for node in ground.two_kinds() {
        let before = ground.refused(node, "unknown code");
        let mut wire = ground.connect(node);
        for &code in &codes {
            for body in [&b""[..], b"{}", &[0xff; 100]] {
                let answer = wire.ask(&request(code, &[("brokerName", "a")], body));
                let answer = answer.unwrap().expect("the connection stays");
                assert_eq!(answer.code, response_code::REQUEST_CODE_NOT_SUPPORTED, "{code}");
                let remark = format!(" request type {code} not supported");
                assert_eq!(answer.remark.as_deref(), Some(&*remark));
            }
        }
        let counted = ground.refused(node, "unknown code") - before;
        assert_eq!(counted, u64::try_from(codes.len() * 3).unwrap(), "each is counted");
        ground.check("B20, B21");
    }
}

/// Questions of our own tools, asked badly.
#[test]
fn questions_of_tools_asked_badly() {
    let mut ground = Ground::new("");
    let long = "x".repeat(256);
    let rows = [
        (&b""[..], response_code::CONTROLLER_BROKER_METADATA_NOT_EXIST),
        (b"none", response_code::CONTROLLER_BROKER_METADATA_NOT_EXIST),
        (b"\xff", response_code::REQUEST_CODE_NOT_SUPPORTED),
        (long.as_bytes(), response_code::REQUEST_CODE_NOT_SUPPORTED),
    ];
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for (body, expected) in rows {
            let answer = wire.ask(&request(private::DESCRIBE, &[], body)).unwrap().unwrap();
            assert_eq!(answer.code, expected, "{body:?}: {answer:?}");
        }
        let answer = wire.ask(&request(private::STATUS, &[("x", "y")], [0xff; 1_000]));
        assert_eq!(answer.unwrap().unwrap().code, 0);
    }
    ground.check("questions of tools");
}
