//! Where the fleet's brokers listen, and the role notices (1008) that come in there.
//!
//! A two-way notice is answered with code 0, as a broker answers it; a one-way one, as upstream's
//! controllers send it, is not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};

use bytes::{Bytes, BytesMut};
use protocol::{Frame, Response, RoleNotice, response_code};
use socket2::{Domain, Protocol, Socket, Type};

use super::line::read_answers;
use crate::workload::Wire;

/// Connections that may wait for being accepted. More than a controller's probes and notices to one
/// broker; for a shared listener, those to a whole fleet.
const BACKLOG: i32 = 4_096;

/// A connection over which controllers speak to one broker.
#[derive(Debug)]
struct Heard {
    stream: TcpStream,
    broker: SocketAddrV4,
    partial: Vec<u8>,
}

/// A notice, and to whom.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) broker: SocketAddrV4,
    pub(crate) notice: RoleNotice,
}

/// All connections that controllers have opened to brokers of this process.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    open: BTreeMap<u64, Heard>,
    next: u64,
}

/// A listener on `address`, or on all of this host's.
///
/// # Errors
/// If the port is taken or no descriptor is left.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

impl Notices {
    /// Accepts one connection: its number, and the stream to be watched under that number. `None` if
    /// nobody waits.
    ///
    /// # Errors
    /// If the listener is broken or no descriptor is left.
    pub(crate) fn accept(
        &mut self,
        listener: &TcpListener,
    ) -> io::Result<Option<(u64, &TcpStream)>> {
        let stream = match listener.accept() {
            Ok((stream, _from)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            // It was reset before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Ok(None),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let SocketAddr::V4(broker) = stream.local_addr()? else { return Ok(None) };
        let number = self.next;
        self.next += 1;
        let heard = Heard { stream, broker, partial: Vec::new() };
        let heard = self.open.entry(number).or_insert(heard);
        Ok(Some((number, &heard.stream)))
    }

    /// Reads a connection, answers what is to be answered and returns the notices. A connection that
    /// ended is closed.
    pub(crate) fn read(&mut self, number: u64, scratch: &mut [u8]) -> Vec<Notice> {
        let mut notices = Vec::new();
        let Some(heard) = self.open.get_mut(&number) else { return notices };
        let broker = heard.broker;
        let mut answers = BytesMut::new();
        let Heard { stream, partial, .. } = heard;
        let read = read_answers(Wire::Controller, stream, partial, scratch, |bytes| {
            let Ok(frame) = Frame::decode(Bytes::copy_from_slice(bytes)) else { return };
            if !frame.header.is_one_way() {
                let (opaque, encoding) = (frame.header.opaque, frame.header.encoding);
                Response::new(response_code::SUCCESS).encode(opaque, encoding, &mut answers);
            }
            notices.extend(RoleNotice::decode(&frame).map(|notice| Notice { broker, notice }));
        });
        // A few answers always fit into a socket that is empty.
        let answered = heard.stream.write_all(&answers);
        if read.is_err() || answered.is_err() {
            self.open.remove(&number);
        }
        notices
    }

    /// Closes every connection to brokers that die.
    pub(crate) fn close(&mut self, dead: &BTreeSet<SocketAddrV4>) {
        self.open.retain(|_, heard| !dead.contains(&heard.broker));
    }
}
