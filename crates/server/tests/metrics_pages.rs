//! The admin address over real sockets: what each path answers, and which port is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use server::admin::{Admin, Probe, Source, metrics_router, router};
use server::config::{AdminAddress, Config, ConfigFile, Sources};
use server::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

fn metrics() -> Metrics {
    let bytes = b"controllerDLegerGroup=g\ncontrollerDLegerPeers=n0-127.0.0.1:9878\n\
        controllerDLegerSelfId=n0\n";
    let file = Some(ConfigFile { path: "c.conf".to_owned(), bytes: bytes.to_vec() });
    Metrics::new(&Config::load(&Sources { file, ..Sources::default() }).expect("works"))
}

/// Status line and headers, and the body.
async fn get(admin: std::net::SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(admin).await.expect("works");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("works");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("works");
    let (head, body) = answer.split_once("\r\n\r\n").expect("works");
    (head.to_owned(), body.to_owned())
}

fn any_port(is_explicit: bool) -> AdminAddress {
    AdminAddress { address: ([127, 0, 0, 1], 0).into(), is_explicit }
}

fn run(test: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("works");
    runtime.block_on(test);
}

#[test]
fn every_path_answers() {
    run(async {
        let is_ready = Arc::new(AtomicBool::new(false));
        let probed = Arc::clone(&is_ready);
        let probe = move |probe| match probe {
            Probe::Live | Probe::Started => Ok(()),
            Probe::Ready if probed.load(Ordering::Relaxed) => Ok(()),
            Probe::Ready => Err("no quorum".to_owned()),
        };
        let status = || json!({ "group": "<g>", "peers": [{ "name": "n0" }] });
        let source =
            Source { metrics: metrics(), probe: Arc::new(probe), status: Arc::new(status) };
        let admin = Admin::bind(any_port(true)).unwrap();
        let address = admin.address();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(admin.serve(router(source), async { drop(stopped.await) }));

        for path in ["/livez", "/startupz"] {
            let (head, body) = get(address, path).await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert_eq!(body, "ok\n");
        }
        let (head, body) = get(address, "/readyz").await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        assert_eq!(body, "no quorum\n");
        let (_, page) = get(address, "/").await;
        assert!(page.contains("not ready: no quorum"));
        is_ready.store(true, Ordering::Relaxed);
        assert!(get(address, "/readyz").await.0.starts_with("HTTP/1.1 200"));

        let (head, page) = get(address, "/metrics").await;
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"));
        assert!(page.contains("target_info 1\n"));
        let (head, status) = get(address, "/api/v1/status").await;
        assert!(head.contains("content-type: application/json"));
        assert_eq!(status, r#"{"group":"<g>","peers":[{"name":"n0"}]}"#);
        let (head, page) = get(address, "/").await;
        assert!(head.contains("content-security-policy: default-src 'none'"));
        assert!(page.contains("&lt;g&gt;") && page.contains(">ready</small>"));
        assert!(get(address, "/nothing").await.0.starts_with("HTTP/1.1 404"));

        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
    });
}

#[test]
fn a_busy_default_port_gives_way_to_a_free_one() {
    run(async {
        let taken = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = taken.local_addr().unwrap();
        let free = Admin::bind(AdminAddress { address, is_explicit: false }).unwrap();
        assert_ne!(free.address().port(), address.port());
        let asked = Admin::bind(AdminAddress { address, is_explicit: true });
        assert_eq!(asked.unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    });
}

#[test]
fn the_exporters_page_has_metrics_only() {
    run(async {
        let page = Admin::bind_host("127.0.0.1", 0).unwrap();
        let address = page.address();
        let served = tokio::spawn(page.serve(metrics_router(metrics()), std::future::pending()));
        assert!(get(address, "/metrics").await.0.starts_with("HTTP/1.1 200"));
        assert!(get(address, "/livez").await.0.starts_with("HTTP/1.1 404"));
        served.abort();
    });
}
