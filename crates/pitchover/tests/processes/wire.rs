//! One blocking connection to a controller, and requests made of loose parts.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use protocol::{ExtFields, Frame, Header, HeaderEncoding, Response, Text, response_code};

use crate::patience::until;

/// How long an answer or an end may take. Far above every deadline of the controller.
const PATIENCE: Duration = Duration::from_secs(40);

/// Fields of a request.
pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: BytesMut,
}

impl Wire {
    pub(crate) fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// The next frame; `None` if the controller ended the connection.
    ///
    /// # Errors
    /// If neither happens in time.
    pub(crate) fn receive(&mut self) -> io::Result<Option<Frame>> {
        loop {
            let bytes = protocol::split(&mut self.buffer).map_err(io::Error::other)?;
            if let Some(bytes) = bytes {
                return Frame::decode(bytes).map(Some).map_err(io::Error::other);
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                // What was in flight when the controller closed comes back as a reset.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a request and waits for its answer; `None` if the connection ended instead.
    ///
    /// # Errors
    /// If neither happens in time, or the answer is another request's.
    pub(crate) fn ask(&mut self, frame: &Frame) -> io::Result<Option<Response>> {
        let mut out = BytesMut::new();
        frame.encode(&mut out);
        match self.stream.write_all(&out) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(answer) = self.receive()? else { return Ok(None) };
        if answer.header.opaque != frame.header.opaque || !answer.header.is_response() {
            return Err(io::Error::other(format!("not the answer: {:?}", answer.header)));
        }
        Ok(Some(Response::from_frame(answer)))
    }

    /// As [`Wire::ask`], again and again while the cluster has no leader: an overloaded machine may take it away
    /// at any time, and that is not what is tested here.
    ///
    /// # Panics
    /// If the connection ends.
    pub(crate) fn decided(&mut self, frame: &Frame) -> Response {
        until("an answer of a leader", || {
            let answer = self.ask(frame).expect("an answer comes in time");
            let answer = answer.unwrap_or_else(|| panic!("closed instead of {:?}", frame.header));
            is_decided(&answer).then_some(answer)
        })
    }
}

/// The other end closed.
pub(crate) fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn is_decided(answer: &Response) -> bool {
    let remark = answer.remark.as_deref().unwrap_or_default();
    let is_unknown = remark.starts_with("outcome unknown");
    answer.code != response_code::CONTROLLER_NOT_LEADER && !is_unknown
}

/// A request of `code`, whatever its fields and its body say.
pub(crate) fn request(code: i32, fields: Fields<'_>, body: impl AsRef<[u8]>) -> Frame {
    let mut ext = ExtFields::new();
    for (key, value) in fields {
        ext.push(key, Text::copied(value));
    }
    let header = Header::request(code, 7, 0, ext, HeaderEncoding::Json);
    Frame { header, body: Bytes::copy_from_slice(body.as_ref()) }
}
