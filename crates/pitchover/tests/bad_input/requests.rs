//! B22, B23, B25-B37, B39: requests that are well framed and wrong.
//!
//! The broker set has the brokers 1, 2 and 3, all alive and in sync; 1 is its master, master epoch 1, set epoch 2.
//! No row changes the state, whether it never becomes an entry of the log or is refused when it is applied.

use protocol::{code, response_code};

use crate::broker_set::{CLUSTER, SET, alter};
use crate::ground::{Ground, encoded};
use crate::wire::{Fields, request};

/// Name, code, fields, body, code of the answer, and what its remark must hold.
type Row<'a> = (&'a str, i32, Fields<'a>, &'a str, i32, &'a str);

const ALTER: i32 = code::CONTROLLER_ALTER_SYNC_STATE_SET;
const ELECT: i32 = code::CONTROLLER_ELECT_MASTER;
const REGISTER: i32 = code::CONTROLLER_REGISTER_BROKER;
const INFO: i32 = code::CONTROLLER_GET_REPLICA_INFO;
const DATA: i32 = code::CONTROLLER_GET_SYNC_STATE_DATA;
const CLEAN: i32 = code::CLEAN_BROKER_DATA;
const NEXT: i32 = code::CONTROLLER_GET_NEXT_BROKER_ID;
const APPLY: i32 = code::CONTROLLER_APPLY_BROKER_ID;
const BEAT: i32 = code::BROKER_HEARTBEAT;

const MASTER: (&str, &str) = ("masterBrokerId", "1");
const EPOCH: (&str, &str) = ("masterEpoch", "1");
const NAME: (&str, &str) = ("brokerName", SET);
const OTHER: (&str, &str) = ("brokerName", "other");
const IN: (&str, &str) = ("clusterName", CLUSTER);
const CODE: (&str, &str) = ("registerCheckCode", "x;1");
const SAME: &str = "{\"syncStateSet\":[1,2,3],\"syncStateSetEpoch\":2}";
const FEWER: &str = "{\"syncStateSet\":[1,2],\"syncStateSetEpoch\":2}";

/// Sends each row to a leader and a follower.
fn check(rows: &[Row<'_>]) {
    let mut ground = Ground::new("");
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for (name, code, fields, body, expected, remark) in rows {
            let answer = wire.decided(&request(*code, fields, body));
            assert_eq!(answer.code, *expected, "{name}: {answer:?}");
            let got = answer.remark.as_deref().unwrap_or_default();
            assert!(got.contains(remark), "{name}: {got}");
            ground.check(name);
        }
    }
}

/// The request that stopped a Java controller for good: a master's id that is no number. It is answered, and
/// everything goes on, on this connection too.
#[test]
fn b23_alter_with_a_master_that_is_no_number() {
    let mut ground = Ground::new("");
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for round in 0..50 {
            let answer = wire.decided(&alter("abc", FEWER));
            assert_eq!(answer.code, response_code::CONTROLLER_INVALID_MASTER, "{round}");
            let remark = "Rejecting alter syncStateSet request because the current leader is:{1}, not {null}";
            assert_eq!(answer.remark.as_deref(), Some(remark));
        }
        ground.check("masterBrokerId=abc");
        let answer = wire.decided(&alter("1", SAME));
        assert_eq!(answer.code, response_code::CONTROLLER_ALTER_SYNC_STATE_SET_FAILED);
    }
}

/// B22, B23: a field that is absent or does not parse is upstream's default, or an error that names it.
#[test]
fn b22_b23_absent_and_unreadable_fields() {
    let unreadable =
        ["", "abc", "1e3", " 1", "1 ", "0x1", "9223372036854775808", "-9223372036854775809"];
    let unreadable = unreadable.map(|text| {
        let epoch = [NAME, MASTER, ("masterEpoch", text)];
        (
            text,
            [NAME, ("masterBrokerId", text), EPOCH],
            epoch,
            [NAME, ("appliedBrokerId", text), CODE],
        )
    });
    let mut rows: Vec<Row<'_>> = vec![
        ("B22", ALTER, &[], FEWER, 1, "brokerName"),
        ("B22", ALTER, &[MASTER, EPOCH], FEWER, 1, "brokerName"),
        ("B22", ALTER, &[NAME, MASTER], FEWER, 1, "masterEpoch"),
        // The equal set is looked at first, then the master, and only then its epoch is missed.
        ("B22", ALTER, &[NAME], SAME, 2013, "equal"),
        ("B22", ALTER, &[NAME], FEWER, 2002, "{null}"),
        ("B22", ALTER, &[OTHER], FEWER, 2013, "not existed"),
        ("B22", ELECT, &[], "", 2010, "hasn't been registered"),
        ("B22", REGISTER, &[], "", 1, "brokerName"),
        ("B22", REGISTER, &[NAME, ("brokerAddress", "x:1")], "", 1, "brokerId"),
        ("B22", REGISTER, &[NAME, ("brokerId", "1")], "", 1, "brokerAddress"),
        ("B22", REGISTER, &[OTHER], "", 2010, "other"),
        ("B22", INFO, &[], "", 1, "brokerName"),
        ("B22", NEXT, &[], "", 1, "brokerName"),
        ("B22", CLEAN, &[], "", 1, "brokerName"),
        ("B22", APPLY, &[], "", 1, "brokerName"),
        ("B22", APPLY, &[NAME, CODE], "", 1, "appliedBrokerId"),
        ("B22", APPLY, &[NAME, ("appliedBrokerId", "1")], "", 1, "registerCheckCode"),
        ("B22", BEAT, &[], "", 2005, "empty brokerId"),
        (
            "B23 epoch above 32 bits",
            ALTER,
            &[NAME, MASTER, ("masterEpoch", "2147483648")],
            FEWER,
            1,
            "masterEpoch",
        ),
        // A sign in front is a number to Java, and so it is here: the next check answers.
        (
            "B23",
            ALTER,
            &[NAME, ("masterBrokerId", "+1"), ("masterEpoch", "+9")],
            FEWER,
            2000,
            "{9}",
        ),
        ("B23", BEAT, &[NAME, ("brokerId", "x")], "", 2005, "empty brokerId"),
        ("B23", ELECT, &[NAME, ("brokerId", "x")], "", 2011, "still alive"),
    ];
    for (text, master, epoch, applied) in &unreadable {
        rows.push((text, ALTER, master, FEWER, 2002, "{null}"));
        rows.push((text, ALTER, epoch, FEWER, 1, "masterEpoch"));
        rows.push((text, APPLY, applied, "", 1, "appliedBrokerId"));
    }
    check(&rows);
}

/// B25-B28: a master that asks for a strange set, or with a strange view.
#[test]
fn b25_to_b28_alter() {
    let ids: Vec<String> = (1..=10_000).map(|id| id.to_string()).collect();
    let thousands = format!("{{\"syncStateSet\":[{}],\"syncStateSetEpoch\":2}}", ids.join(","));
    let deep = format!("{{\"syncStateSet\":{}", "[".repeat(20_000));
    let current: Fields<'_> = &[NAME, MASTER, EPOCH];
    let set = |ids: &str| format!("{{\"syncStateSet\":[{ids}],\"syncStateSetEpoch\":2}}");
    let sets = [
        "",
        "1,2,3,3,2",
        "2,3",
        "1,9",
        "1,-1",
        "1,9223372036854775807",
        "1,null",
        "1,9223372036854775808",
    ];
    let [none, repeated, masterless, unknown, negative, largest, null, beyond] = sets.map(set);
    let mut rows: Vec<Row<'_>> = vec![
        ("B26 equal", ALTER, current, SAME, 2013, "equal"),
        ("B26 equal, repeated ids", ALTER, current, &repeated, 2013, "equal"),
        ("B26 without the master", ALTER, current, &masterless, 2013, "origin leader {1}"),
        ("B26 nobody", ALTER, current, &none, 2013, "origin leader {1}"),
        ("B26 not registered", ALTER, current, &unknown, 2003, "{9}"),
        ("B26 -1", ALTER, current, &negative, 2003, "{-1}"),
        ("B26 the largest id", ALTER, current, &largest, 2003, "9223372036854775807"),
        ("B26 null among the ids", ALTER, current, &null, 1, "body"),
        ("B26 an id beyond 64 bits", ALTER, current, &beyond, 1, "body"),
        ("B26 no set", ALTER, current, "{\"syncStateSetEpoch\":2}", 1, "syncStateSet"),
        ("B26 10,000 ids", ALTER, current, &thousands, 1, "body"),
        ("B26 unknown broker set", ALTER, &[OTHER, MASTER, EPOCH], FEWER, 2013, "not existed"),
        (
            "B28 not the master",
            ALTER,
            &[NAME, ("masterBrokerId", "2"), EPOCH],
            FEWER,
            2002,
            "not {2}",
        ),
        (
            "B28 equal set first",
            ALTER,
            &[NAME, ("masterBrokerId", "2"), EPOCH],
            SAME,
            2013,
            "equal",
        ),
    ];
    for body in ["", "null", "{}", "[]", "so?", "{", "\u{0}", "{\"syncStateSet\":7}", &deep] {
        let remark = if body == "{}" { "syncStateSet" } else { "body" };
        rows.push(("B25", ALTER, current, body, 1, remark));
    }
    let views = ["-1", "0", "2", "2147483647", "-2147483648"].map(|epoch| {
        let body =
            format!("{{\"syncStateSet\":[1],\"syncStateSetEpoch\":{}}}", epoch.replace('2', "9"));
        ([NAME, MASTER, ("masterEpoch", epoch)], body)
    });
    for (fields, body) in &views {
        rows.push(("B27 master epoch", ALTER, fields, FEWER, 2000, "master epoch"));
        let code =
            if body.contains("9147483647") || body.contains("-9147483648") { 1 } else { 2001 };
        rows.push(("B27 set epoch", ALTER, current, body, code, ""));
    }
    check(&rows);
}

/// B29, B30.
#[test]
fn b29_b30_elect() {
    const DESIGNATE: (&str, &str) = ("designateElect", "true");
    let asked_by = |id: &'static str| [NAME, IN, ("brokerId", id)];
    let designating = |id: &'static str| [NAME, IN, ("brokerId", id), DESIGNATE];
    check(&[
        ("B29 unknown set", ELECT, &[OTHER, ("brokerId", "1")], "", 2010, ""),
        ("B29 nobody named", ELECT, &[NAME, IN], "", 2011, "still alive"),
        ("B29 -1", ELECT, &asked_by("-1"), "", 2011, "still alive"),
        ("B29 0", ELECT, &asked_by("0"), "", 2011, "still alive"),
        ("B29 not registered", ELECT, &asked_by("9"), "", 2011, "still alive"),
        ("B29 the largest id", ELECT, &asked_by("9223372036854775807"), "", 2011, "still alive"),
        ("B29 designated nobody", ELECT, &designating("-1"), "", 2004, ""),
        ("B30 designated 0", ELECT, &designating("0"), "", 2012, ""),
        ("B30 designated stranger", ELECT, &designating("9"), "", 2012, ""),
        ("B30 designated master", ELECT, &designating("1"), "", 2011, "still alive"),
    ]);
}

/// B31-B34.
#[test]
fn b31_to_b34_ids_and_registrations() {
    let [name, huge, most] = [256, 65_536, 1_025].map(|bytes| "x".repeat(bytes));
    let (long_name, huge_name) = (("brokerName", &*name), ("brokerName", &*huge));
    let (long_code, huge_address) = (("registerCheckCode", &*most), ("brokerAddress", &*most));
    let long_cluster = ("clusterName", &*name);
    const FIRST: (&str, &str) = ("appliedBrokerId", "1");
    let applied = |id: &'static str| [NAME, IN, ("appliedBrokerId", id), CODE];
    let registered = |id: &'static str| [NAME, IN, ("brokerId", id), ("brokerAddress", "x:1")];
    check(&[
        ("B31 empty", NEXT, &[("brokerName", "")], "", 0, ""),
        ("B31 unicode", NEXT, &[("brokerName", "经纪人-\u{1f680}")], "", 0, ""),
        ("B31 separators and paths", NEXT, &[("brokerName", "a;b@c../../etc")], "", 0, ""),
        ("B31 over its limit", APPLY, &[long_name, FIRST, CODE], "", 1, "NAME_BYTES_MAX"),
        ("B31 64 KiB", APPLY, &[huge_name, FIRST, CODE], "", 1, "NAME_BYTES_MAX"),
        ("B31 line break", APPLY, &[("brokerName", "a\nb"), FIRST, CODE], "", 1, "brokerName"),
        ("B31 zero byte", APPLY, &[("brokerName", "a\0"), FIRST, CODE], "", 1, "brokerName"),
        ("B31 cluster", APPLY, &[OTHER, long_cluster, FIRST, CODE], "", 1, "CLUSTER_BYTES_MAX"),
        ("B32 first id not 1", APPLY, &[OTHER, ("appliedBrokerId", "2"), CODE], "", 2014, ""),
        ("B32 taken", APPLY, &applied("1"), "", 2014, ""),
        ("B32 0", APPLY, &applied("0"), "", 2014, ""),
        ("B32 negative", APPLY, &applied("-1"), "", 2014, ""),
        ("B32 smallest", APPLY, &applied("-9223372036854775808"), "", 2014, ""),
        ("B32 largest", APPLY, &applied("9223372036854775807"), "", 2014, ""),
        (
            "B32 nothing but separators",
            APPLY,
            &[OTHER, FIRST, ("registerCheckCode", ";;")],
            "",
            1,
            "registerCheckCode",
        ),
        ("B32 over its limit", APPLY, &[OTHER, FIRST, long_code], "", 1, "CHECK_CODE_BYTES_MAX"),
        (
            "B33 repeated",
            APPLY,
            &[NAME, IN, FIRST, ("registerCheckCode", "127.0.0.1:1;1")],
            "",
            0,
            "",
        ),
        ("B34 unknown id", REGISTER, &registered("9"), "", 2010, ""),
        ("B34 negative id", REGISTER, &registered("-1"), "", 2010, ""),
        (
            "B34 unknown set",
            REGISTER,
            &[OTHER, ("brokerId", "1"), ("brokerAddress", "x:1")],
            "",
            2010,
            "",
        ),
        (
            "B34 empty address",
            REGISTER,
            &[NAME, ("brokerId", "1"), ("brokerAddress", "")],
            "",
            1,
            "brokerAddress",
        ),
        (
            "B34 over its limit",
            REGISTER,
            &[NAME, ("brokerId", "1"), huge_address],
            "",
            1,
            "ADDRESS_BYTES_MAX",
        ),
    ]);
}

/// B35, B36: heartbeats are no entries of the log, whatever they say.
#[test]
fn b35_b36_heartbeats() {
    let huge = "x".repeat(65_536);
    let beat =
        |key: &'static str, value: &'static str| [OTHER, IN, ("brokerId", "7"), (key, value)];
    check(&[
        ("B35 no id", BEAT, &[NAME, IN], "", 2005, "empty brokerId"),
        ("B35 id beyond 64 bits", BEAT, &[NAME, ("brokerId", "9223372036854775808")], "", 2005, ""),
        ("B35 nothing but an id", BEAT, &[("brokerId", "7")], "", 0, ""),
        ("B35 negative id", BEAT, &[OTHER, IN, ("brokerId", "-9223372036854775808")], "", 0, ""),
        ("B35 epoch", BEAT, &beat("epoch", "-2147483648"), "", 0, ""),
        ("B35 offset", BEAT, &beat("maxOffset", "-9223372036854775808"), "", 0, ""),
        ("B35 dead at once", BEAT, &beat("heartbeatTimeoutMills", "0"), "", 0, ""),
        ("B35 dead before", BEAT, &beat("heartbeatTimeoutMills", "-1"), "", 0, ""),
        (
            "B35 lives for ever",
            BEAT,
            &beat("heartbeatTimeoutMills", "9223372036854775807"),
            "",
            0,
            "",
        ),
        ("B35 priority", BEAT, &beat("electionPriority", "-2147483648"), "", 0, ""),
        ("B35 name", BEAT, &[("brokerName", &huge), ("brokerId", "7")], "", 1, "NAME_BYTES_MAX"),
        (
            "B35 cluster",
            BEAT,
            &[("clusterName", &huge), ("brokerId", "7")],
            "",
            1,
            "CLUSTER_BYTES_MAX",
        ),
        (
            "B35 address",
            BEAT,
            &[("brokerAddr", &huge), ("brokerId", "7")],
            "",
            1,
            "ADDRESS_BYTES_MAX",
        ),
        ("B36 not a set", BEAT, &[OTHER, IN, ("brokerId", "1")], "", 0, ""),
    ]);
}

/// B37.
#[test]
fn b37_reads() {
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("\"set-{at}\"")).collect();
        format!("[{}]", names.join(","))
    };
    let [most, too_many, far_too_many] = [10_000, 10_001, 100_000].map(list);
    let nested = format!("[{}", "[".repeat(20_000));
    let mut rows: Vec<Row<'_>> = vec![
        ("B37 unknown set", INFO, &[OTHER], "", 2008, "not existed"),
        ("B37 unknown names", DATA, &[], "[\"none\",\"\",\"\\u0000\"]", 0, ""),
        ("B37 10,000 names", DATA, &[], &most, 0, ""),
        ("B37 10,001 names", DATA, &[], &too_many, 1, ""),
        ("B37 100,000 names", DATA, &[], &far_too_many, 1, ""),
    ];
    for body in ["", "null", "[]", "[null]", "{", "{}", "7", "\"a\"", "[\"a\"", &nested] {
        rows.push(("B37 no names", DATA, &[], body, 1, ""));
    }
    check(&rows);
}

/// B39.
#[test]
fn b39_clean() {
    const LIVING: (&str, &str) = ("isCleanLivingBroker", "true");
    const IDS: &str = "brokerControllerIdsToClean";
    let long = "1;".repeat(9_000);
    check(&[
        ("B39 not a number", CLEAN, &[NAME, IN, (IDS, "1;x")], "", 2009, "\"x\""),
        ("B39 beyond 64 bits", CLEAN, &[NAME, IN, (IDS, "9223372036854775808")], "", 2009, ""),
        ("B39 unknown set", CLEAN, &[OTHER, LIVING], "", 2009, "not existed"),
        ("B39 unknown set, ids", CLEAN, &[OTHER, (IDS, "1")], "", 2009, "not existed"),
        ("B39 living", CLEAN, &[NAME, IN, (IDS, "2")], "", 2009, "still alive"),
        (
            "B39 living, wrong cluster",
            CLEAN,
            &[NAME, ("clusterName", "other"), (IDS, "2")],
            "",
            2009,
            "still alive",
        ),
        ("B39 a whole living set", CLEAN, &[NAME, IN], "", 2009, "still alive"),
        ("B39 blank ids are no ids", CLEAN, &[NAME, IN, (IDS, " ")], "", 2009, "still alive"),
        ("B39 nothing but separators", CLEAN, &[NAME, IN, (IDS, ";;")], "", 2009, "still alive"),
        ("B39 ids of nobody, living flag", CLEAN, &[NAME, IN, (IDS, "9"), LIVING], "", 0, ""),
        (
            "B39 over its limit",
            CLEAN,
            &[NAME, IN, (IDS, &long), LIVING],
            "",
            1,
            "ID_LIST_BYTES_MAX",
        ),
    ]);
}

/// A body longer than any honest one is refused by itself, and its neighbours on the connection are not: at a
/// follower, it must not take the link to the leader with it either.
#[test]
fn bodies_over_their_limit_are_refused_everywhere() {
    let mut ground = Ground::new("");
    let fields = &[NAME, MASTER, EPOCH];
    let empty = encoded([&request(ALTER, fields, "")]).len();
    let blanks = |bytes: usize| " ".repeat(bytes);
    let small = blanks(64 * 1_024 + 1);
    let large = blanks(1_024 * 1_024 + 1);
    // As large as a frame may be; the code 904 is one digit shorter.
    let largest = blanks(protocol::FRAME_BYTES_MAX - empty);
    for node in ground.two_kinds() {
        let mut wire = ground.connect(node);
        for code in [
            ALTER,
            ELECT,
            REGISTER,
            INFO,
            CLEAN,
            NEXT,
            APPLY,
            BEAT,
            DATA,
            code::UPDATE_CONTROLLER_CONFIG,
        ] {
            let is_list = matches!(code, DATA | code::UPDATE_CONTROLLER_CONFIG);
            let over = if is_list { &large } else { &small };
            for body in [over, &largest] {
                let row = format!("{code} with a body of {} bytes", body.len());
                let answer = wire.decided(&request(code, fields, body));
                assert_eq!(answer.code, response_code::SYSTEM_ERROR, "{row}: {answer:?}");
                let remark = answer.remark.unwrap_or_default();
                assert!(remark.contains("_BYTES_MAX"), "{row}: {remark}");
                ground.check(&row);
            }
        }
    }
}
