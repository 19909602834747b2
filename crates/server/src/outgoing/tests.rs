//! Connections to brokers: shared, kept, and no more of them than there is room for.

use super::{Event, HeaderEncoding, NoticeResult, Outgoing, ProbeResult, RoleNotice, exchange};
use crate::descriptors::Shares;
use bytes::BytesMut;
use controller::AttemptId;
use protocol::{Frame, Response, response_code};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

/// A broker that acknowledges what it is told; counts its open connections in `open`.
async fn broker(open: Rc<Cell<usize>>) -> Box<str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            open.update(|open| open + 1);
            let open = Rc::clone(&open);
            tokio::task::spawn_local(async move {
                acknowledge(stream).await;
                open.update(|open| open - 1);
            });
        }
    });
    address.into()
}

async fn acknowledge(mut stream: TcpStream) {
    let mut buffer = BytesMut::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|count| count > 0) {
        while let Ok(Some(bytes)) = protocol::split(&mut buffer) {
            let asked = Frame::decode(bytes).unwrap().header;
            let mut out = BytesMut::new();
            let answer = Response::new(response_code::SUCCESS);
            answer.encode(asked.opaque, HeaderEncoding::Json, &mut out);
            if stream.write_all(&out).await.is_err() {
                return;
            }
        }
    }
}

fn with_shares(notices: usize, probes: usize) -> (Outgoing, Rc<RefCell<Vec<Event>>>) {
    let events: Rc<RefCell<Vec<Event>>> = Rc::default();
    let told = Rc::clone(&events);
    let shares = Shares { accepted: 0, notices, probes };
    let tell = Rc::new(move |event| told.borrow_mut().push(event));
    (Outgoing::new(Duration::from_secs(3), shares, tell), events)
}

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// Ten brokers, and room for two connections: all are told, and never more than two connections are open.
#[test]
fn notices_share_what_room_there_is() {
    run(async {
        let (outgoing, events) = with_shares(2, 1);
        let open = Rc::new(Cell::new(0));
        let mut addresses = Vec::new();
        for _ in 0..10 {
            addresses.push(broker(Rc::clone(&open)).await);
        }
        for round in 0..3 {
            for (at, address) in (0_u64..).zip(&addresses) {
                let attempt = AttemptId(round * 10 + at);
                outgoing.notify(attempt, address.clone(), RoleNotice::default());
            }
            let expected = usize::try_from(round + 1).unwrap() * addresses.len();
            let most = Cell::new(0);
            until(|| {
                most.set(most.get().max(open.get()));
                events.borrow().len() == expected
            })
            .await;
            // The end of one may be seen by the broker after the next has begun.
            assert!(most.get() <= 4, "{} open at once", most.get());
        }
        let is_told = |event: &Event| {
            matches!(event, Event::Noticed { result: NoticeResult::Acknowledged, .. })
        };
        assert!(events.borrow().iter().all(is_told), "{events:?}");
    });
}

/// One connection for all notices to one address, and it is kept.
#[test]
fn notices_to_one_address_share_a_connection() {
    run(async {
        let (outgoing, events) = with_shares(8, 1);
        let open = Rc::new(Cell::new(0));
        let address = broker(Rc::clone(&open)).await;
        for attempt in 0..20 {
            outgoing.notify(AttemptId(attempt), address.clone(), RoleNotice::default());
        }
        until(|| events.borrow().len() == 20).await;
        assert_eq!(open.get(), 1);
        outgoing.notify(AttemptId(20), address.clone(), RoleNotice::default());
        until(|| events.borrow().len() == 21).await;
        assert_eq!(open.get(), 1);
    });
}

#[test]
fn probes_take_turns() {
    run(async {
        let (outgoing, events) = with_shares(1, 1);
        let address = broker(Rc::default()).await;
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        for attempt in 0..5 {
            outgoing.probe(AttemptId(attempt), address.clone());
        }
        outgoing.probe(AttemptId(5), nobody.to_string().into());
        until(|| events.borrow().len() == 6).await;
        let accepted =
            |event: &Event| matches!(event, Event::Probed { result: ProbeResult::Accepted, .. });
        assert_eq!(events.borrow().iter().filter(|event| accepted(event)).count(), 5);
    });
}

#[test]
fn an_answer_with_another_number_is_no_acknowledgement() {
    run(async {
        let address = broker(Rc::default()).await;
        let mut stream = TcpStream::connect(&*address).await.unwrap();
        let mut out = BytesMut::new();
        let notice = RoleNotice::default();
        notice.encode(7, 0, HeaderEncoding::Json, &mut out);
        notice.encode(8, 0, HeaderEncoding::Json, &mut out);
        assert_eq!(exchange(&mut stream, out.freeze(), 8).await, Some(()));
    });
}
