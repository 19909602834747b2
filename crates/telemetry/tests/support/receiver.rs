//! A collector of our own for tests: OTLP over gRPC on loopback, read by the protocol's generated code.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::http::{HeaderMap, HeaderValue};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::net::TcpListener;

/// What came.
#[derive(Debug, Default)]
pub(crate) struct Got {
    pub(crate) metrics: Vec<ExportMetricsServiceRequest>,
    pub(crate) spans: Vec<ExportTraceServiceRequest>,
    /// Of the newest call.
    pub(crate) headers: HeaderMap,
}

/// Receives until the process ends; tests are short.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) got: Arc<Mutex<Got>>,
}

impl Receiver {
    /// `status` is what every call is answered with, "0" for success.
    pub(crate) fn start(status: &'static str) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("sockets can be polled");
        let got = Arc::new(Mutex::new(Got::default()));
        let store = Arc::clone(&got);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let thread = std::thread::Builder::new().name("receiver".to_owned());
        let thread = thread.spawn(move || runtime.block_on(serve(listener, store, status)));
        thread.expect("a thread can be had");
        Self { address, got }
    }

    pub(crate) fn target(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Looks at what came.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Got) -> T) -> T {
        look(&self.got.lock().expect("nobody panics with it"))
    }
}

async fn serve(listener: std::net::TcpListener, store: Arc<Mutex<Got>>, status: &'static str) {
    let listener = TcpListener::from_std(listener).expect("it is a listener");
    loop {
        let (stream, _from) = listener.accept().await.expect("a connection comes");
        let store = Arc::clone(&store);
        let answer = service_fn(move |request| receive(request, Arc::clone(&store), status));
        let connection = http2::Builder::new(TokioExecutor::new());
        // How a connection ends is the other end's affair.
        let serving = connection.serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async { drop(serving.await) });
    }
}

async fn receive(
    request: Request<Incoming>,
    store: Arc<Mutex<Got>>,
    status: &'static str,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.expect("the whole message comes").to_bytes();
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(body[0], 0, "not compressed");
    let length = u32::from_be_bytes(body[1..5].try_into().expect("four bytes"));
    let message = body.slice(5..);
    assert_eq!(message.len(), length as usize, "one message");
    {
        let mut got = store.lock().expect("nobody panics with it");
        match head.uri.path() {
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => {
                got.metrics.push(ExportMetricsServiceRequest::decode(message).expect("metrics"));
            }
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => {
                got.spans.push(ExportTraceServiceRequest::decode(message).expect("spans"));
            }
            other => panic!("nobody serves {other}"),
        }
        got.headers = head.headers;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    trailers.insert("grpc-message", HeaderValue::from_static("said by a test"));
    // An empty message: everything was taken.
    let body = Full::new(Bytes::from_static(&[0; 5]));
    let body = body.with_trailers(async move { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(body.boxed()).expect("a response"))
}
