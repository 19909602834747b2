//! The client against a peer that follows a script, over real loopback sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::BytesMut;
use client::{CallError, Cluster, Connection, Deadline, Metadata};
use protocol::{
    ExtFields, Frame, GetReplicaInfo, Header, HeaderEncoding, Request, Response, code,
    response_code, split,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(20);

/// One side of a connection, spoken by the test.
struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Peer {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self { stream, buffer: BytesMut::new() }
    }

    async fn read(&mut self) -> Frame {
        loop {
            if let Some(frame) = split(&mut self.buffer).unwrap() {
                return Frame::decode(frame).unwrap();
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "closed");
        }
    }

    async fn answer(&mut self, request: &Frame, response: Response) {
        let mut out = BytesMut::new();
        response.encode(request.header.opaque, request.header.encoding, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }
}

fn check(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

async fn connected() -> (Connection, Peer) {
    let (listener, address) = listen().await;
    let deadline = Deadline::after(LONG);
    let (connection, peer) =
        tokio::join!(Connection::connect(&address, deadline), Peer::accept(&listener));
    (connection.unwrap(), peer)
}

fn read_of(set: &str) -> Request {
    let broker_name = Some(set.to_owned().into());
    Request::GetReplicaInfo(GetReplicaInfo { broker_name })
}

fn long() -> Deadline {
    Deadline::after(LONG)
}

#[test]
fn answers_find_their_calls_in_any_order() {
    check(async {
        let (connection, mut peer) = connected().await;
        let (a, b) = (read_of("a"), read_of("b"));
        let calls =
            async { tokio::join!(connection.call(&a, long()), connection.call(&b, long())) };
        let served = async {
            let requests = [peer.read().await, peer.read().await];
            for request in requests.iter().rev() {
                let set = request.header.ext.get("brokerName").unwrap().to_owned();
                peer.answer(request, Response::new(0).with_remark(set)).await;
            }
        };
        let ((a, b), ()) = tokio::join!(calls, served);
        assert_eq!(a.unwrap().remark.unwrap(), "a");
        assert_eq!(b.unwrap().remark.unwrap(), "b");
    });
}

#[test]
fn a_frame_keeps_its_encoding_and_gets_its_opaque_back() {
    check(async {
        let (connection, mut peer) = connected().await;
        let header = Header::request(
            code::GET_CONTROLLER_CONFIG,
            -7,
            0,
            ExtFields::new(),
            HeaderEncoding::Binary,
        );
        let call = connection.exchange(Frame { header, body: "x".into() }, long());
        let served = async {
            let request = peer.read().await;
            assert_eq!(request.header.encoding, HeaderEncoding::Binary);
            assert_eq!(request.body, "x");
            peer.answer(&request, Response::new(3)).await;
        };
        let (answer, ()) = tokio::join!(call, served);
        let answer = answer.unwrap();
        assert_eq!((answer.header.code, answer.header.opaque), (3, -7));
    });
}

#[test]
fn a_one_way_request_waits_for_nothing() {
    check(async {
        let (connection, mut peer) = connected().await;
        connection.send_one_way(&read_of("a"), long()).await.unwrap();
        assert!(peer.read().await.header.is_one_way());
    });
}

#[test]
fn a_late_answer_is_dropped_and_its_call_unknown() {
    check(async {
        let (connection, mut peer) = connected().await;
        let error = connection.call(&read_of("late"), Deadline::after(Duration::ZERO)).await;
        let error = error.unwrap_err();
        assert!(matches!(error, CallError::Timeout { .. }) && error.is_unknown(), "{error}");
        let late = peer.read().await;
        peer.answer(&late, Response::new(9)).await;
        let next = read_of("next");
        let served = async {
            let request = peer.read().await;
            peer.answer(&request, Response::new(0)).await;
        };
        let (answer, ()) = tokio::join!(connection.call(&next, long()), served);
        assert_eq!(answer.unwrap().code, 0);
    });
}

#[test]
fn a_lost_connection_is_unknown_and_a_closed_one_is_not() {
    check(async {
        let (connection, mut peer) = connected().await;
        let request = read_of("a");
        let served = async {
            peer.read().await;
            drop(peer);
        };
        let (lost, ()) = tokio::join!(connection.call(&request, long()), served);
        let lost = lost.unwrap_err();
        assert!(matches!(lost, CallError::ConnectionLost { .. }) && lost.is_unknown(), "{lost}");
        assert!(connection.is_closed());
        let closed = connection.call(&request, long()).await.unwrap_err();
        assert!(matches!(closed, CallError::Closed { .. }) && !closed.is_unknown(), "{closed}");
    });
}

#[test]
fn bytes_that_are_no_frame_end_the_connection() {
    check(async {
        let (connection, mut peer) = connected().await;
        let request = read_of("a");
        let served = async { peer.stream.write_all(&[0, 0, 0, 1]).await.unwrap() };
        let (error, ()) = tokio::join!(connection.call(&request, long()), served);
        let error = error.unwrap_err();
        assert!(matches!(error, CallError::Unreadable { .. }) && error.is_unknown(), "{error}");
    });
}

#[test]
fn nobody_listens() {
    check(async {
        let (listener, address) = listen().await;
        drop(listener);
        let error = Connection::connect(&address, long()).await.unwrap_err();
        assert!(matches!(error, CallError::Unreachable { .. }) && !error.is_unknown(), "{error}");
    });
}

fn metadata(leader: &str, is_leader: bool) -> Response {
    let mut response = Response::new(0);
    response.ext.push("group", "g");
    response.ext.push("controllerLeaderAddress", leader.to_owned());
    response.ext.push("isLeader", is_leader);
    response.ext.push("peers", "n0:h:1;n1:h:2;");
    response
}

/// A controller that names `leader`, and refuses everything else until it is the leader itself.
async fn controller(listener: TcpListener, own: String, leader: String) {
    loop {
        let mut peer = Peer::accept(&listener).await;
        let (is_leader, leader) = (own == leader, leader.clone());
        tokio::spawn(async move {
            loop {
                let request = peer.read().await;
                let response = match (request.header.code, is_leader) {
                    (code::CONTROLLER_GET_METADATA_INFO, _) => metadata(&leader, is_leader),
                    (_, true) => Response::new(0).with_remark("led"),
                    (_, false) => Response::new(response_code::CONTROLLER_NOT_LEADER),
                };
                peer.answer(&request, response).await;
            }
        });
    }
}

#[test]
fn the_leader_is_found_behind_a_wrong_and_a_dead_address() {
    check(async {
        let (dead, dead_address) = listen().await;
        drop(dead);
        let (follower, follower_address) = listen().await;
        let (leader, leader_address) = listen().await;
        tokio::spawn(controller(follower, follower_address.clone(), leader_address.clone()));
        tokio::spawn(controller(leader, leader_address.clone(), leader_address.clone()));
        let cluster = Cluster::new([dead_address, follower_address]);
        let answer = cluster.call(&read_of("a"), long()).await.unwrap();
        assert_eq!(answer.remark.unwrap(), "led");
        assert_eq!(cluster.leader(long()).await.unwrap().address(), leader_address);
        let said = cluster.metadata(long()).await;
        assert!(matches!(&said[0], Err(CallError::Unreachable { .. })), "{said:?}");
        let peers = vec![("n0".to_owned(), "h:1".to_owned()), ("n1".to_owned(), "h:2".to_owned())];
        let expected = Metadata {
            group: "g".to_owned(),
            leader_id: None,
            leader_address: Some(leader_address),
            is_leader: false,
            peers,
        };
        assert_eq!(said[1].as_ref().unwrap(), &expected);
    });
}

#[test]
fn no_leader_says_why_for_each_address() {
    check(async {
        let (alone, address) = listen().await;
        tokio::spawn(controller(alone, address.clone(), String::new()));
        let cluster = Cluster::new([address.clone()]);
        let error = cluster.leader(Deadline::after(Duration::from_millis(200))).await.unwrap_err();
        assert!(error.to_string().contains(&address), "{error}");
        assert!(!error.is_unknown());
    });
}
