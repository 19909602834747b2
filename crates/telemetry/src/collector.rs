//! One collector: a connection over which one message at a time goes, as a unary call of gRPC over HTTP/2 without TLS.
//!
//! ```text
//! POST /opentelemetry.proto.collector.metrics.v1.MetricsService/Export     content-type: application/grpc, te: trailers
//! u8 0 (not compressed) · u32 length · message                       ──►
//!                                       ◄── message, if any; then the trailers: grpc-status, grpc-message
//! ```
//!
//! Forty lines of gRPC instead of the library: it would bring seventeen crates for two calls without streams
//! (`docs/DEPENDENCIES.md`). What the answer's message says (how many points were turned away) is not read.
//!
//! Source: gRPC over HTTP/2, "Requests" and "Responses"; OTLP specification, "OTLP/gRPC".

use std::io;
use std::mem::Discriminant;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE};
use hyper::http::{HeaderMap, uri::Authority};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use thiserror::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinHandle};

/// Longest answer that is read, in bytes; beyond it the answer counts as none.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// Longest message that is sent, in bytes: what collectors take by default.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Bytes before a message: compressed or not, and its length.
const PREFIX_BYTES: usize = 5;

/// The port of OTLP over gRPC, where none is named.
const PORT: u16 = 4317;

/// Where a collector listens, and what it wants to be told with each call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    authority: Authority,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// One call, the connecting included, ends after so long.
    timeout: Duration,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// There is none.
    #[error("no collector is named by metricsGrpcExporterTarget")]
    Missing,
    /// It would need TLS.
    #[error(
        "{0} asks for TLS, which this version does not speak; a target without http:// counts as one with https://, \
         as with Java"
    )]
    Tls(String),
    /// Not `http://host:port`.
    #[error("{0} is not http://host:port")]
    Address(String),
    /// Not `key:value,key:value`: which name, or which part if that has none. Never the text of a part, which may be
    /// a secret.
    #[error("{0} is not key:value, or no header can be called so")]
    Header(String),
}

impl Target {
    /// Reads `http://host:port` and headers as `key:value,key:value`; either may have blanks around its parts.
    ///
    /// # Errors
    /// Any [`TargetError`], with the part that is wrong, but without what is before an `@`, and without values.
    ///
    /// Source: upstream `ControllerMetricsManager#init`, which puts `https://` before a target without a scheme.
    pub fn read(address: &str, headers: &str, timeout: Duration) -> Result<Self, TargetError> {
        let address = address.trim();
        if address.is_empty() {
            return Err(TargetError::Missing);
        }
        let Some(rest) = address.strip_prefix("http://") else {
            return Err(TargetError::Tls(without_user(address)));
        };
        let wrong = || TargetError::Address(without_user(address));
        let authority: Authority = rest.trim_end_matches('/').parse().map_err(|_odd| wrong())?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(wrong());
        }
        // The library takes a port that is none for no port.
        if authority.as_str() != authority.host() && authority.port_u16().is_none() {
            return Err(wrong());
        }
        let pairs = (1..).zip(headers.split(',').map(str::trim));
        let pairs = pairs.filter(|(_, pair)| !pair.is_empty());
        let headers = pairs.map(|(part, pair): (u32, _)| {
            // The value may be a secret: only the name is repeated. Who wrote `name=value` has no name.
            let named = pair.split_once(':').filter(|(name, _)| !name.contains('='));
            let (name, value) = named.ok_or_else(|| TargetError::Header(format!("part {part}")))?;
            let wrong = || TargetError::Header(name.to_owned());
            let key = name.trim().to_ascii_lowercase().parse().map_err(|_odd| wrong())?;
            let mut value: HeaderValue = value.trim().parse().map_err(|_odd| wrong())?;
            value.set_sensitive(true);
            Ok((key, value))
        });
        Ok(Self { authority, headers: headers.collect::<Result<_, _>>()?, timeout })
    }

    /// `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.authority.host(), self.authority.port_u16().unwrap_or(PORT))
    }
}

/// What errors repeat of an address: nothing that may be a password.
fn without_user(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((_user, host)) => format!("…@{host}"),
        None => address.to_owned(),
    }
}

/// Why a collector did not take a message.
#[derive(Debug, Error)]
pub enum SendError {
    /// It cannot be reached, or the connection broke.
    #[error("{0}")]
    Connection(#[from] io::Error),
    /// HTTP/2 failed.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// Not in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It answered something else than success.
    #[error("refused with {0}")]
    Refused(String),
    /// The message is too long to be sent.
    #[error("a message of {0} bytes is longer than MESSAGE_BYTES_MAX ({MESSAGE_BYTES_MAX})")]
    TooLong(usize),
}

impl SendError {
    /// What is the same for errors that need the same remedy, as far as that can be told.
    pub(crate) fn kind(&self) -> ErrorKind {
        let io = match self {
            Self::Connection(error) => Some(error.kind()),
            Self::Http(_) | Self::Late(_) | Self::Refused(_) | Self::TooLong(_) => None,
        };
        (std::mem::discriminant(self), io)
    }
}

/// Which variant, and which error of the system.
pub(crate) type ErrorKind = (Discriminant<SendError>, Option<io::ErrorKind>);

/// Where a name leads.
type Addresses = io::Result<Vec<SocketAddr>>;

/// See the module.
#[derive(Debug)]
pub struct Collector {
    target: Target,
    open: Option<Open>,
    /// Nobody can interrupt it: a call that ended before it leaves it to the next one, so that there is one at most.
    lookup: Option<JoinHandle<Addresses>>,
}

#[derive(Debug)]
struct Open {
    sender: SendRequest<Full<Bytes>>,
    connection: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        // A connection whose other end hangs would linger with its socket.
        self.connection.abort();
    }
}

impl Collector {
    /// Nothing is connected before the first message.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, open: None, lookup: None }
    }

    /// Sends one message to `service/Export`, and waits until the collector has taken it. After an error the next
    /// message gets a new connection.
    ///
    /// # Errors
    /// Any [`SendError`]; the collector may have taken the message all the same.
    pub async fn export(&mut self, service: &str, message: &[u8]) -> Result<(), SendError> {
        let timeout = self.target.timeout;
        let late = SendError::Late(timeout);
        let sent = tokio::time::timeout(timeout, self.call(service, message)).await;
        let result = sent.unwrap_or(Err(late));
        if result.is_err() {
            self.open = None;
        }
        result
    }

    async fn call(&mut self, service: &str, message: &[u8]) -> Result<(), SendError> {
        let request = request(&self.target, service, message)?;
        let open = match self.open.take() {
            Some(open) if !open.sender.is_closed() => open,
            Some(_) | None => connect(&self.addresses().await?).await?,
        };
        let open = self.open.insert(open);
        open.sender.ready().await?;
        let response = open.sender.send_request(request).await?;
        answered(response).await
    }

    async fn addresses(&mut self) -> Addresses {
        let address = self.target.address();
        let lookup = self.lookup.get_or_insert_with(|| {
            tokio::spawn(async move { Ok(lookup_host(address).await?.collect()) })
        });
        let found = lookup.await;
        self.lookup = None;
        found.map_err(io::Error::other)?
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<Open, SendError> {
    let stream = TcpStream::connect(addresses).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            // Whoever waits for an answer over it hears of it too.
            tracing::debug!(%error, "connection to a collector ended");
        }
    });
    Ok(Open { sender, connection: connection.abort_handle() })
}

fn request(
    target: &Target,
    service: &str,
    message: &[u8],
) -> Result<Request<Full<Bytes>>, SendError> {
    let too_long = || SendError::TooLong(message.len());
    let length = u32::try_from(message.len()).map_err(|_long| too_long())?;
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    let mut body = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    body.put_u8(0);
    body.put_u32(length);
    body.put_slice(message);
    let mut request = Request::post(format!("http://{}/{service}/Export", target.authority))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers");
    for (name, value) in &target.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body.freeze()));
    request.map_err(|error| SendError::Refused(error.to_string()))
}

async fn answered(response: Response<Incoming>) -> Result<(), SendError> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(SendError::Refused(format!("HTTP {}", head.status)));
    }
    // A refusal may come without a body: then the header says what the trailers would.
    if head.headers.contains_key("grpc-status") {
        return status(&head.headers);
    }
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| SendError::Refused(format!("an odd answer: {error}")))?;
    body.trailers().map_or_else(|| Err(SendError::Refused("no status".to_owned())), status)
}

fn status(headers: &HeaderMap) -> Result<(), SendError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("");
    match text("grpc-status") {
        "0" => Ok(()),
        code => {
            let message: String = text("grpc-message").chars().take(200).collect();
            Err(SendError::Refused(format!("gRPC status {code} {message}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Target, TargetError};
    use std::time::Duration;

    fn read(address: &str, headers: &str) -> Result<Target, TargetError> {
        Target::read(address, headers, Duration::from_secs(3))
    }

    #[test]
    fn targets_as_upstream_reads_them() {
        assert_eq!(read(" http://c:4000/ ", "").unwrap().address(), "c:4000");
        assert_eq!(read("http://10.0.0.1", "").unwrap().address(), "10.0.0.1:4317");
        assert_eq!(read("", ""), Err(TargetError::Missing));
        for text in ["collector:4317", "https://collector:4317"] {
            assert_eq!(read(text, ""), Err(TargetError::Tls(text.to_owned())));
        }
        for text in ["http://", "http://a b", "http://h:1/path"] {
            assert_eq!(read(text, ""), Err(TargetError::Address(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_refused() {
        assert_eq!(read("http://[::1]:65535", "").unwrap().address(), "[::1]:65535");
        assert_eq!(read("http://[::1]", "").unwrap().address(), "[::1]:4317");
        for text in ["http://127.0.0.1:99999", "http://[::1]:65536", "http://c:", "http://c:x"] {
            assert_eq!(read(text, ""), Err(TargetError::Address(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn errors_repeat_no_user_and_no_password() {
        let rows = [
            ("http://u:p@h:1", TargetError::Address("…@h:1".to_owned())),
            ("http://u:p@p@h 1", TargetError::Address("…@h 1".to_owned())),
            ("https://u:p@h:1", TargetError::Tls("…@h:1".to_owned())),
            ("u:p@h", TargetError::Tls("…@h".to_owned())),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text, ""), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_header_without_a_name_is_told_by_its_place() {
        let rows = [
            ("authorization=Bearer SECRET", "part 1"),
            ("SECRET", "part 1"),
            ("a:1,,authorization=Basic SEC:RET", "part 3"),
            // A value with a comma.
            ("key:first,SECRET", "part 2"),
        ];
        for (text, part) in rows {
            let error = read("http://c:1", text).unwrap_err();
            assert_eq!(error, TargetError::Header(part.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_wrong_header_is_named_without_its_value() {
        let target = read("http://c:1", " Api-Key : a:b , x:1,").unwrap();
        let pairs = target.headers.iter();
        let pairs: Vec<_> =
            pairs.map(|(key, value)| (key.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(pairs, [("api-key", "a:b"), ("x", "1")]);
        assert!(!format!("{target:?}").contains("a:b"), "secrets are not printed");
        let wrong = read("http://c:1", "two words:secret").unwrap_err();
        assert_eq!(wrong, TargetError::Header("two words".to_owned()));
    }
}
