//! Properties: no input panics, what is written is read, and pieces make no difference.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol::{
    AlterBody, AlterSyncStateSet, ApplyBrokerId, BrokerHeartbeat, CleanBrokerData, ElectMaster,
    ElectMasterBody, ExtFields, Frame, GetNextBrokerId, GetReplicaInfo, GetSyncStateData, Header,
    HeaderEncoding, Language, MemberGroup, RegisterBroker, ReplicaState, ReplicasInfo,
    ReplicasOfSet, Request, Response, RoleNotice, SyncStateSetBody, Text, UpdateControllerConfig,
    split,
};

/// Names as they are, and as nobody would choose them.
fn text() -> impl Strategy<Value = Text> {
    prop_oneof![
        "[a-z0-9.:-]{1,40}",
        "\\PC{1,8}",
        any::<String>().prop_filter("", |s| !s.is_empty())
    ]
    .prop_map(Text::from)
}

fn encoding() -> impl Strategy<Value = HeaderEncoding> {
    prop_oneof![Just(HeaderEncoding::Json), Just(HeaderEncoding::Binary)]
}

fn frame() -> impl Strategy<Value = Frame> {
    let numbers = (any::<i16>(), any::<i16>(), any::<i32>(), any::<i32>(), 0_u8..14);
    let fields = vec((text(), text()), 0..12);
    (numbers, option::of(text()), fields, encoding(), vec(any::<u8>(), 0..64)).prop_map(
        |((code, version, opaque, flag, language), remark, fields, encoding, body)| {
            let mut ext = ExtFields::new();
            for (key, value) in fields {
                ext.push(&key, value);
            }
            let (code, version) = (code.into(), version.into());
            let language = Language(language);
            let header = Header { code, language, version, opaque, flag, remark, ext, encoding };
            Frame { header, body: body.into() }
        },
    )
}

/// Ids without repetitions, in the order in which upstream's set would yield them.
fn ids() -> impl Strategy<Value = Vec<i64>> {
    proptest::collection::btree_set(0_i64..12, 0..8).prop_map(|ids| ids.into_iter().collect())
}

fn broker() -> impl Strategy<Value = Request> {
    let name = || option::of(text());
    prop_oneof![
        ((name(), name(), name()), option::of(any::<i64>()), any::<(i32, i64, i64, i32)>())
            .prop_map(|((cluster_name, broker_address, broker_name), broker_id, numbers)| {
                let (epoch, max_offset, confirm_offset, election_priority) = numbers;
                Request::Heartbeat(BrokerHeartbeat {
                    cluster_name,
                    broker_address,
                    broker_name,
                    broker_id,
                    epoch,
                    max_offset,
                    confirm_offset,
                    heartbeat_timeout_ms: broker_id,
                    election_priority,
                })
            }),
        (name(), any::<Option<i64>>(), any::<Option<i32>>(), option::of(option::of(ids())))
            .prop_map(|(broker_name, master_broker_id, master_epoch, set)| {
                let sync_state_set_epoch = master_epoch.unwrap_or(0);
                let body =
                    set.map(|sync_state_set| AlterBody { sync_state_set, sync_state_set_epoch });
                Request::AlterSyncStateSet(AlterSyncStateSet {
                    broker_name,
                    master_broker_id,
                    master_epoch,
                    invoke_time_ms: master_broker_id,
                    body,
                })
            }),
        (text(), text(), any::<i64>(), any::<bool>(), any::<Option<i64>>()).prop_map(
            |(cluster_name, broker_name, broker_id, designate_elect, invoke_time_ms)| {
                Request::ElectMaster(ElectMaster {
                    cluster_name,
                    broker_name,
                    broker_id,
                    designate_elect,
                    invoke_time_ms,
                })
            }
        ),
        (name(), name(), any::<Option<i64>>(), name(), any::<i64>()).prop_map(
            |(cluster_name, broker_name, broker_id, broker_address, invoke_time_ms)| {
                Request::RegisterBroker(RegisterBroker {
                    cluster_name,
                    broker_name,
                    broker_id,
                    broker_address,
                    invoke_time_ms,
                })
            }
        ),
        name().prop_map(|broker_name| Request::GetReplicaInfo(GetReplicaInfo { broker_name })),
    ]
}

fn admin() -> impl Strategy<Value = Request> {
    let name = || option::of(text());
    prop_oneof![
        Just(Request::GetMetadataInfo),
        Just(Request::GetControllerConfig),
        option::of(vec(text(), 0..5)).prop_map(|broker_names| {
            Request::GetSyncStateData(GetSyncStateData { broker_names })
        }),
        vec(any::<u8>(), 0..40).prop_map(|body| {
            Request::UpdateControllerConfig(UpdateControllerConfig { body: body.into() })
        }),
        (name(), name(), name(), any::<bool>(), any::<Option<i64>>()).prop_map(
            |(cluster_name, broker_name, broker_ids_to_clean, clean_living_broker, time)| {
                Request::CleanBrokerData(CleanBrokerData {
                    cluster_name,
                    broker_name,
                    broker_ids_to_clean,
                    clean_living_broker,
                    invoke_time_ms: time,
                })
            }
        ),
        (name(), name()).prop_map(|(cluster_name, broker_name)| {
            Request::GetNextBrokerId(GetNextBrokerId { cluster_name, broker_name })
        }),
        (name(), name(), any::<Option<i64>>(), name()).prop_map(
            |(cluster_name, broker_name, applied_broker_id, register_check_code)| {
                Request::ApplyBrokerId(ApplyBrokerId {
                    cluster_name,
                    broker_name,
                    applied_broker_id,
                    register_check_code,
                })
            }
        ),
    ]
}

fn replicas() -> impl Strategy<Value = Vec<ReplicaState>> {
    let replica = (any::<bool>(), text(), any::<i64>(), text()).prop_map(
        |(alive, broker_address, broker_id, broker_name)| ReplicaState {
            alive,
            broker_address,
            broker_id,
            broker_name,
        },
    );
    vec(replica, 0..4)
}

/// Everything that reads bytes of a stranger.
fn read_all(frame: &Frame) {
    let _request = Request::decode(frame);
    let _notice = RoleNotice::decode(frame);
    let _bodies = (
        AlterBody::decode(&frame.body),
        SyncStateSetBody::decode(&frame.body),
        ElectMasterBody::decode(&frame.body),
        ReplicasInfo::decode(&frame.body),
    );
    let _again = Response::from_frame(frame.clone());
}

fn framed(kind: u8, header: &[u8], body: &[u8]) -> Bytes {
    let size = |bytes: usize| u32::try_from(bytes).expect("small");
    let mut out = BytesMut::new();
    out.put_u32(size(4 + header.len() + body.len()));
    out.put_u32(size(header.len()) | u32::from(kind) << 24);
    out.put_slice(header);
    out.put_slice(body);
    out.freeze()
}

proptest! {
    // Together a few seconds without optimization; the fuzzers look further.
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), kind in 0_u8..2, code in 1001_i32..1014) {
        let mut buffer = BytesMut::from(&bytes[..]);
        let _frame = split(&mut buffer);
        let _frame = Frame::decode(Bytes::copy_from_slice(&bytes));
        let _frame = Frame::decode(framed(kind, &bytes, &bytes));
        let header = Header::request(code, 1, 0, ExtFields::new(), HeaderEncoding::Json);
        read_all(&Frame { header, body: bytes.into() });
    }

    #[test]
    fn no_change_of_a_frame_panics(
        frame in frame(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        let header = out.len() - frame.body.len();
        for (at, byte) in changes {
            // Behind the lengths, which have their own tests and would hide the rest.
            let at = 8 + at.index(header - 8);
            out[at] = byte;
        }
        if let Ok(frame) = Frame::decode(out.clone().freeze()) {
            read_all(&frame);
        }
        out.truncate(cut.index(out.len()));
        prop_assert!(Frame::decode(out.freeze()).is_err());
    }

    #[test]
    fn no_json_like_body_panics(body in "[{}\\[\\]:,\"\\\\0-9a-z .+eu-]{0,60}", list in ".{0,20}") {
        for body in [body.clone(), format!("{{\"syncStateSet\":[{body}]}}"), format!("[{list}]")] {
            let header = Header::request(1006, 1, 0, ExtFields::new(), HeaderEncoding::Json);
            read_all(&Frame { header, body: body.clone().into() });
            // Where the library reads it, we do too, but for depth.
            let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok();
            let header = format!("{{\"x\":{body}}}");
            prop_assert!(!is_json || Frame::decode(framed(0, header.as_bytes(), b"")).is_ok());
        }
    }

    #[test]
    fn frames_are_read_as_written(frame in frame()) {
        let mut out = BytesMut::from(&b"before"[..]);
        frame.encode(&mut out);
        let _before = out.split_to(6);
        let whole = split(&mut out).unwrap().unwrap();
        prop_assert!(out.is_empty());
        prop_assert_eq!(Frame::decode(whole).unwrap(), frame);
    }

    #[test]
    fn binary_falls_back_to_json_where_it_lacks_the_room(code in any::<i32>(), long in 0_usize..2) {
        let mut ext = ExtFields::new();
        ext.push(&"k".repeat(1 + long * 40_000), 1_i64);
        let header = Header::request(code, 1, 0, ext, HeaderEncoding::Binary);
        let mut out = BytesMut::new();
        Frame { header: header.clone(), body: Bytes::new() }.encode(&mut out);
        let mut read = Frame::decode(out.freeze()).unwrap().header;
        let fits = i16::try_from(code).is_ok() && long == 0;
        prop_assert_eq!(read.encoding == HeaderEncoding::Binary, fits);
        read.encoding = HeaderEncoding::Binary;
        prop_assert_eq!(read, header);
    }

    #[test]
    fn pieces_make_no_difference(frames in vec(frame(), 1..5), cuts in vec(1_usize..40, 1..40)) {
        let mut stream = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut stream);
        }
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        let mut cuts = cuts.into_iter().cycle();
        while !stream.is_empty() {
            let size = cuts.next().unwrap().min(stream.len());
            buffer.extend_from_slice(&stream.split_to(size));
            while let Some(frame) = split(&mut buffer).unwrap() {
                read.push(Frame::decode(frame).unwrap());
            }
        }
        prop_assert_eq!(read, frames);
    }

    #[test]
    fn requests_are_read_as_written(
        request in prop_oneof![broker(), admin()],
        opaque in any::<i32>(),
        flag in 0_i32..4,
        encoding in encoding(),
    ) {
        let mut out = BytesMut::new();
        request.encode(opaque, flag, encoding, &mut out);
        let frame = Frame::decode(out.freeze()).unwrap();
        prop_assert_eq!(Request::decode(&frame), Some(request));
        let header = frame.header;
        prop_assert_eq!((header.opaque, header.flag, header.encoding), (opaque, flag, encoding));
        prop_assert_eq!((header.is_response(), header.is_one_way()), (flag & 1 != 0, flag & 2 != 0));
    }

    #[test]
    fn notices_and_answers_are_read_as_written(
        address in text(),
        numbers in any::<(i32, i32, i64)>(),
        set in vec(any::<i64>(), 0..20),
        remark in option::of(text()),
        encoding in encoding(),
    ) {
        let notice = RoleNotice {
            master_address: address,
            master_epoch: numbers.0,
            sync_state_set_epoch: numbers.1,
            master_broker_id: numbers.2,
            sync_state_set: set,
        };
        let mut out = BytesMut::new();
        notice.encode(7, 0, encoding, &mut out);
        let frame = Frame::decode(out.split().freeze()).unwrap();
        prop_assert_eq!(RoleNotice::decode(&frame), Some(notice));
        let mut response = Response::new(2013);
        response.remark = remark;
        response.ext = frame.header.ext;
        response.body = frame.body;
        response.encode(-7, encoding, &mut out);
        let frame = Frame::decode(out.freeze()).unwrap();
        prop_assert_eq!((frame.header.opaque, frame.header.flag), (-7, 1));
        prop_assert_eq!(Response::from_frame(frame), response);
    }

    #[test]
    fn bodies_are_read_as_written_and_are_json(
        set in vec(any::<i64>(), 0..20),
        epoch in any::<i32>(),
        group in option::of((option::of(text()), text(), vec((any::<i64>(), text()), 0..5))),
        master in option::of((text(), any::<i64>())),
        replicas in (replicas(), replicas()),
        name in text(),
    ) {
        let body = SyncStateSetBody { sync_state_set: set.clone(), epoch };
        prop_assert_eq!(SyncStateSetBody::decode(&body.to_bytes()), Some(body));
        let broker_member_group = group.map(|(cluster, broker_name, broker_addrs)| {
            MemberGroup { cluster, broker_name, broker_addrs }
        });
        let body = ElectMasterBody { broker_member_group, sync_state_set: set };
        let bytes = body.to_bytes();
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        prop_assert_eq!(ElectMasterBody::decode(&bytes), Some(body));
        let (master_address, master_broker_id) = master.unzip();
        let set = ReplicasOfSet {
            in_sync_replicas: replicas.0,
            master_address,
            master_broker_id,
            master_epoch: epoch,
            not_in_sync_replicas: replicas.1,
            sync_state_set_epoch: epoch,
        };
        let body = ReplicasInfo { table: vec![(name, set)] };
        let bytes = body.to_bytes();
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        prop_assert_eq!(ReplicasInfo::decode(&bytes), Some(body));
    }
}
