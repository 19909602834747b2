//! What a stranger may send, as tables; a row's name says which number of the bad-input list it is.

use bytes::{BufMut, Bytes, BytesMut};
use protocol::{
    EXT_FIELDS_MAX, FRAME_BYTES_MAX, Frame, FrameError, HEADER_BYTES_MAX, HeaderEncoding, Language,
    Request, code, has_header, header_ahead, split,
};

/// A frame of `kind` whose lengths are true.
fn framed(kind: u8, header: &[u8], body: &[u8]) -> BytesMut {
    let size = |bytes: usize| u32::try_from(bytes).expect("small");
    let mut out = BytesMut::new();
    out.put_u32(size(4 + header.len() + body.len()));
    out.put_u32(size(header.len()) | u32::from(kind) << 24);
    out.put_slice(header);
    out.put_slice(body);
    out
}

fn json(header: &str) -> Result<Frame, FrameError> {
    Frame::decode(framed(0, header.as_bytes(), b"").freeze())
}

/// A binary header with these bytes as `remark` and `extFields`, lengths included.
fn binary(remark: &[u8], ext: &[u8]) -> Result<Frame, FrameError> {
    let mut header = BytesMut::new();
    header.put_slice(&[0x03, 0x88, 0, 1, 0xdf]);
    header.put_slice(&[0, 0, 0, 43, 0, 0, 0, 2]);
    header.put_slice(remark);
    header.put_slice(ext);
    Frame::decode(framed(1, &header, b"the body must never be read as header").freeze())
}

#[test]
fn b1_to_b6_frames_are_refused_at_the_byte_that_is_wrong() {
    let max = u32::try_from(FRAME_BYTES_MAX).unwrap();
    let at_4: &[(u32, Option<FrameError>)] = &[
        (0, Some(FrameError::TooShort(0))),
        (3, Some(FrameError::TooShort(3))),
        (4, None),
        (u32::MAX, Some(FrameError::TooLong(u32::MAX))),
        (0x8000_0000, Some(FrameError::TooLong(0x8000_0000))),
        (max, Some(FrameError::TooLong(max))),
        (max - 3, Some(FrameError::TooLong(max - 3))),
        (max - 4, None),
    ];
    for (length, expected) in at_4 {
        let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
        let capacity = buffer.capacity();
        assert_eq!(split(&mut buffer).err(), *expected, "{length}");
        assert_eq!((buffer.len(), buffer.capacity()), (4, capacity), "nothing taken or reserved");
    }
    let limit = u32::try_from(HEADER_BYTES_MAX).unwrap();
    let at_8: &[(u32, u8, u32, Option<FrameError>)] = &[
        (4, 0, 1, Some(FrameError::HeaderBeyondFrame(1))),
        (100, 0, 97, Some(FrameError::HeaderBeyondFrame(97))),
        (100, 0, 96, None),
        (100, 0, 0x00ff_ffff, Some(FrameError::HeaderBeyondFrame(0x00ff_ffff))),
        (100, 2, 10, Some(FrameError::UnknownHeaderType(2))),
        (100, 255, 10, Some(FrameError::UnknownHeaderType(255))),
        (100, 0, 0, Some(FrameError::HeaderEmpty)),
        (100, 1, 0, Some(FrameError::HeaderEmpty)),
        (limit + 5, 0, limit + 1, Some(FrameError::HeaderTooLong(HEADER_BYTES_MAX + 1))),
        (limit + 5, 0, limit, None),
    ];
    for (length, kind, header, expected) in at_8 {
        let mut buffer = BytesMut::new();
        buffer.put_u32(*length);
        buffer.put_u32(header | u32::from(*kind) << 24);
        assert_eq!(split(&mut buffer).err(), *expected, "{length} {kind} {header}");
    }
}

#[test]
fn b7_a_header_is_complete_with_its_last_byte() {
    let frame = framed(0, b"{\"code\":1005}", b"body").freeze();
    let header_end = frame.len() - 4;
    for length in 0..=frame.len() {
        assert_eq!(has_header(&frame[..length]), length >= header_end, "{length}");
        let ahead = header_ahead(&frame[..length]).unwrap();
        let ahead = ahead.map(|(header, body_bytes)| (header.code, body_bytes));
        assert_eq!(ahead, (length >= header_end).then_some((1005, 4)), "{length}");
    }
    assert!(!has_header(&[0, 0, 0, 1, 0, 0, 0, 1, 0]), "no frame at all");
}

#[test]
fn part_of_a_frame_or_two_are_no_frame() {
    let one = framed(0, b"{\"code\":1005}", b"").freeze();
    let two = [&one[..], &one[..]].concat();
    for bytes in [&one[..one.len() - 1], &two, &one[..7], b""] {
        let outcome = Frame::decode(Bytes::copy_from_slice(bytes));
        assert!(matches!(outcome, Err(FrameError::WrongLength { .. })), "{}", bytes.len());
    }
}

#[test]
fn b11_json_headers_that_end_the_connection() {
    let deep = format!("{{\"x\":{}}}", "[".repeat(10_000));
    let spaces = " ".repeat(100_000);
    let rows = [
        "null",
        "[]",
        "1",
        "\"code\"",
        "{",
        "{\"code\":1005",
        "{\"code\":1005}}",
        "{\"code\":1005} x",
        "{\"code\" 1005}",
        "{\"code\":1005,}",
        "{\"extFields\":[]}",
        "{\"extFields\":\"a\"}",
        "{\"extFields\":{\"a\"}}",
        "{\"remark\":\"open}",
        deep.as_str(),
        spaces.as_str(),
    ];
    for header in rows {
        assert!(matches!(json(header), Err(FrameError::Json(_))), "{header:.40}");
    }
    let not_utf8 = Frame::decode(framed(0, b"{\"remark\":\"\xff\"}", b"").freeze());
    assert_eq!(not_utf8, Err(FrameError::NotUtf8));
}

#[test]
fn b11_of_two_members_the_last_counts() {
    let frame = json(
        "{\"code\":1,\"extFields\":{\"x\":\"1\"},\"code\":1004,\
         \"extFields\":{\"a\":\"1\",\"b\":\"1\",\"a\":\"2\",\"b\":null}}",
    );
    let header = frame.unwrap().header;
    assert_eq!(header.code, 1004);
    assert_eq!(header.ext.get("a"), Some("2"));
    assert_eq!((header.ext.get("b"), header.ext.get("x")), (None, None));
}

#[test]
fn b12_codes_that_are_not_plain_numbers() {
    let rows: &[(&str, Option<i32>)] = &[
        ("{}", Some(0)),
        ("{\"code\":null}", Some(0)),
        ("{\"code\":\"904\"}", Some(904)),
        ("{\"code\":904.9}", Some(904)),
        ("{\"code\":-1}", Some(-1)),
        ("{\"code\":2147483648}", None),
        ("{\"code\":1e3}", None),
        ("{\"code\":\"\"}", None),
        ("{\"code\":\"x\"}", None),
        ("{\"code\":true}", None),
        ("{\"code\":[904]}", None),
    ];
    for &(header, expected) in rows {
        assert_eq!(json(header).ok().map(|frame| frame.header.code), expected, "{header}");
    }
}

#[test]
fn json_headers_are_read_with_leniency() {
    let header = " { \"new\":{\"a\":[1,{}]}, \"version\" : 479, \"opaque\":-7 ,\"flag\":2,\r\n\
                  \"language\":\"COBOL\", \"c\\u006fde\":904, \"remark\":\"a\\tb\",\
                  \"extFields\":{\"n\":12,\"d\":1.5,\"t\":true,\"o\":{\"x\":1},\"e\":\"\",\
                  \"k\\\"\":\"\\u4e2d\",\"null\":null}}\n";
    let header = json(header).unwrap().header;
    assert_eq!((header.code, header.version, header.opaque, header.flag), (904, 479, -7, 2));
    assert_eq!(header.language, Language::UNKNOWN);
    assert_eq!(header.remark.as_deref(), Some("a\tb"));
    let fields: Vec<_> = header.ext.iter().collect();
    let expected = [
        ("n", "12"),
        ("d", "1.5"),
        ("t", "true"),
        ("o", "{\"x\":1}"),
        ("e", ""),
        ("k\"", "\u{4e2d}"),
    ];
    assert_eq!(fields, expected);
    assert!(json("{\"extFields\":null}").unwrap().header.ext.is_empty());
}

#[test]
fn b13_to_b15_binary_lengths_that_end_the_connection() {
    const NONE: &[u8] = &[0; 4];
    let good = b"\0\0\0\x0f\0\x08brokerId\0\0\0\x011";
    assert_eq!(binary(NONE, good).unwrap().header.ext.get("brokerId"), Some("1"));
    type Row = (&'static str, &'static [u8], &'static [u8]);
    let rows: &[Row] = &[
        ("no remark", b"", b""),
        ("no fields", NONE, b""),
        ("half a length", NONE, b"\0\0"),
        ("remark negative", b"\xff\xff\xff\xff", NONE),
        ("remark past the header, in the frame", b"\0\0\0\x0a", NONE),
        ("remark past everything", b"\x7f\xff\xff\xff", NONE),
        ("fields past the header", NONE, b"\0\0\0\x10\0\x08brokerId\0\0\0\x011"),
        ("key past the block", NONE, b"\0\0\0\x04\0\x09brokerId\0\0\0\x011"),
        ("key negative", NONE, b"\0\0\0\x0f\x80\x00brokerId\0\0\0\x011"),
        ("key without value", NONE, b"\0\0\0\x0a\0\x08brokerId\0\0\0\x011"),
        ("value past the block", NONE, b"\0\0\0\x0f\0\x08brokerId\0\0\0\x021"),
        ("value negative", NONE, b"\0\0\0\x0f\0\x08brokerId\xff\xff\xff\xff1"),
        ("not UTF-8", NONE, b"\0\0\0\x0f\0\x08brokerId\0\0\0\x01\xff"),
    ];
    for (name, remark, ext) in rows {
        let outcome = binary(remark, ext);
        assert!(matches!(outcome, Err(FrameError::Binary(_) | FrameError::NotUtf8)), "{name}");
    }
}

#[test]
fn binary_headers_are_read_with_leniency() {
    const NONE: &[u8] = &[0; 4];
    let absent = binary(NONE, b"\xff\xff\xff\xffafter").unwrap().header;
    assert!(absent.ext.is_empty());
    assert_eq!(absent.remark, None);
    let empty_value = b"\0\0\0\x0e\0\x08brokerId\0\0\0\0";
    assert!(binary(NONE, empty_value).unwrap().header.ext.is_empty());
    let empty_key = b"\0\0\0\x07\0\0\0\0\0\x011";
    assert!(binary(NONE, empty_key).unwrap().header.ext.is_empty());
    let remark = binary(b"\0\0\0\x02hi", NONE).unwrap().header.remark;
    assert_eq!(remark.as_deref(), Some("hi"));
}

#[test]
fn b16_unknown_language_is_kept_and_ignored() {
    let header = binary(&[0; 4], &[0; 4]).unwrap().header;
    assert_eq!(header.language, Language::JAVA);
    let mut header = header;
    header.language = Language(99);
    header.encoding = HeaderEncoding::Json;
    let mut out = BytesMut::new();
    Frame { header, body: Bytes::new() }.encode(&mut out);
    let again = Frame::decode(out.freeze()).unwrap().header;
    assert_eq!(again.language, Language::UNKNOWN);
}

#[test]
fn b20_unknown_codes_are_no_request() {
    for number in [0, -1, 7, 105, 903, 1000, 1007, 1008, 1014, 1018, 32767, 50_000, i32::MIN] {
        let frame = json(&format!("{{\"code\":{number}}}")).unwrap();
        assert_eq!(Request::decode(&frame), None, "{number}");
    }
}

#[test]
fn b22_fields_that_are_absent_keep_their_defaults() {
    let decode = |code: i32| {
        let frame = json(&format!("{{\"code\":{code},\"extFields\":{{}}}}")).unwrap();
        format!("{:?}", Request::decode(&frame).unwrap())
    };
    let rows = [
        (
            code::BROKER_HEARTBEAT,
            "Heartbeat(BrokerHeartbeat { cluster_name: None, broker_address: None, broker_name: None, \
             broker_id: None, epoch: -1, max_offset: -1, confirm_offset: -1, \
             heartbeat_timeout_ms: None, election_priority: 2147483647 })",
        ),
        (
            code::CONTROLLER_ALTER_SYNC_STATE_SET,
            "AlterSyncStateSet(AlterSyncStateSet { broker_name: None, master_broker_id: None, \
             master_epoch: None, invoke_time_ms: None, body: None })",
        ),
        (
            code::CONTROLLER_ELECT_MASTER,
            "ElectMaster(ElectMaster { cluster_name: \"\", broker_name: \"\", broker_id: -1, \
             designate_elect: false, invoke_time_ms: None })",
        ),
        (
            code::CONTROLLER_REGISTER_BROKER,
            "RegisterBroker(RegisterBroker { cluster_name: None, broker_name: None, \
             broker_id: None, broker_address: None, invoke_time_ms: 0 })",
        ),
        (code::CONTROLLER_GET_REPLICA_INFO, "GetReplicaInfo(GetReplicaInfo { broker_name: None })"),
        (code::CONTROLLER_GET_METADATA_INFO, "GetMetadataInfo"),
        (
            code::CONTROLLER_GET_SYNC_STATE_DATA,
            "GetSyncStateData(GetSyncStateData { broker_names: None })",
        ),
        (
            code::UPDATE_CONTROLLER_CONFIG,
            "UpdateControllerConfig(UpdateControllerConfig { body: b\"\" })",
        ),
        (code::GET_CONTROLLER_CONFIG, "GetControllerConfig"),
        (
            code::CLEAN_BROKER_DATA,
            "CleanBrokerData(CleanBrokerData { cluster_name: None, broker_name: None, \
             broker_ids_to_clean: None, clean_living_broker: false, invoke_time_ms: None })",
        ),
        (
            code::CONTROLLER_GET_NEXT_BROKER_ID,
            "GetNextBrokerId(GetNextBrokerId { cluster_name: None, broker_name: None })",
        ),
        (
            code::CONTROLLER_APPLY_BROKER_ID,
            "ApplyBrokerId(ApplyBrokerId { cluster_name: None, broker_name: None, \
             applied_broker_id: None, register_check_code: None })",
        ),
    ];
    for (code, expected) in rows {
        assert_eq!(decode(code), expected);
    }
}

#[test]
fn b23_numbers_that_do_not_parse_keep_their_defaults() {
    let rows: &[(&str, Option<i64>)] = &[
        ("\"\"", None),
        ("\"abc\"", None),
        ("\"1e3\"", None),
        ("\" 1\"", None),
        ("\"+1\"", Some(1)),
        ("1", Some(1)),
        ("1.0", None),
        ("true", None),
        ("\"9223372036854775807\"", Some(i64::MAX)),
        ("\"9223372036854775808\"", None),
        ("\"-9223372036854775809\"", None),
    ];
    for (value, expected) in rows {
        let keys = ["brokerId", "epoch", "maxOffset", "designateElect", "invokeTime"];
        let fields = keys.map(|key| format!("\"{key}\":{value}")).join(",");
        let request = |code: i32| {
            let frame = json(&format!("{{\"code\":{code},\"extFields\":{{{fields}}}}}"));
            Request::decode(&frame.unwrap()).unwrap()
        };
        let Request::Heartbeat(heartbeat) = request(code::BROKER_HEARTBEAT) else { panic!() };
        assert_eq!(heartbeat.broker_id, *expected, "{value}");
        assert_eq!(heartbeat.max_offset, expected.unwrap_or(-1), "{value}");
        let epoch = expected.and_then(|epoch| i32::try_from(epoch).ok()).unwrap_or(-1);
        assert_eq!(heartbeat.epoch, epoch, "{value}");
        let Request::ElectMaster(elect) = request(code::CONTROLLER_ELECT_MASTER) else { panic!() };
        assert_eq!(elect.broker_id, expected.unwrap_or(-1), "{value}");
        assert_eq!(elect.designate_elect, *value == "true", "{value}");
        let Request::RegisterBroker(register) = request(code::CONTROLLER_REGISTER_BROKER) else {
            panic!()
        };
        assert_eq!(register.invoke_time_ms, expected.unwrap_or(0), "{value}");
    }
}

#[test]
fn b24_too_many_fields_end_the_connection() {
    let with = |count: usize, value: &str| {
        let fields: Vec<_> = (0..count).map(|n| format!("\"{n}\":{value}")).collect();
        json(&format!("{{\"extFields\":{{{}}}}}", fields.join(",")))
    };
    assert_eq!(with(EXT_FIELDS_MAX, "\"\"").unwrap().header.ext.len(), EXT_FIELDS_MAX);
    assert_eq!(with(EXT_FIELDS_MAX + 1, "\"\""), Err(FrameError::TooManyExtFields));
    assert_eq!(with(100_000, "1"), Err(FrameError::TooManyExtFields));
    assert_eq!(with(EXT_FIELDS_MAX + 1, "null"), Err(FrameError::TooManyExtFields));
    let entry = [0, 1, b'k', 0, 0, 0, 1, b'v'];
    let block = entry.repeat(EXT_FIELDS_MAX + 1);
    let length = u32::try_from(block.len()).unwrap().to_be_bytes();
    let outcome = binary(&[0; 4], &[&length[..], &block].concat());
    assert_eq!(outcome, Err(FrameError::TooManyExtFields));
}

#[test]
fn b31_to_b34_overlong_fields_still_reach_the_rules() {
    let long = "x".repeat(1024 * 1024);
    let frame = json(&format!(
        "{{\"code\":1013,\"extFields\":{{\"brokerName\":\"a\",\"registerCheckCode\":\"{long}\"}}}}"
    ));
    let Some(Request::ApplyBrokerId(apply)) = Request::decode(&frame.unwrap()) else { panic!() };
    assert_eq!(apply.register_check_code.unwrap().len(), long.len());
}

#[test]
fn b37_lists_of_names() {
    let names = |body: &[u8]| {
        let frame = framed(0, b"{\"code\":1006}", body).freeze();
        match Request::decode(&Frame::decode(frame).unwrap()) {
            Some(Request::GetSyncStateData(request)) => request.broker_names.map(|names| {
                names.iter().map(|name| name.to_string()).collect::<Vec<_>>().join("|")
            }),
            other => panic!("{other:?}"),
        }
    };
    let rows: &[(&[u8], Option<&str>)] = &[
        (b"", None),
        (b"null", None),
        (b"{}", None),
        (b"\"a\"", None),
        (b"[\"a\"", None),
        (b"[\"\xff\"]", None),
        (b"[]", Some("")),
        (b"[null,\"a\"]", Some("a")),
        (b" [ \"a\" , \"b\\u0020c\",1 ] ", Some("a|b c|1")),
    ];
    for (body, expected) in rows {
        assert_eq!(names(body).as_deref(), *expected, "{body:?}");
    }
    let many = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
    assert!(names(many(10_000).as_bytes()).is_some());
    assert!(names(many(10_001).as_bytes()).is_none());
}
