//! What leaves an exporter, as a collector reads it; and what a collector that does not answer costs.

#[path = "support/receiver.rs"]
mod receiver;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point};
use receiver::Receiver;
use telemetry::{
    Counts, Distribution, Exporter, Metric, MetricsPlan, MetricsWay, Plan, Points, Resource,
    SPANS_WAITING_MAX, Scope, Series, Signal, Span, Target, Value,
};

/// No test waits so long: what must come comes at the exporter's end at the latest.
const NEVER: Duration = Duration::from_secs(3_600);

fn target(address: &str) -> Target {
    Target::read(address, "key:v", Duration::from_secs(3)).expect("a target")
}

fn scope(count: u64) -> Scope {
    let attributes = || vec![("kind", "a".to_owned())];
    let metric = |name: &str, points| Metric {
        name: name.to_owned(),
        help: "h".to_owned(),
        unit: "s",
        points,
    };
    let value = Distribution { buckets: vec![count, 1], sum: 2.5 };
    let histogram = Points::Histogram {
        bounds: vec![0.5],
        series: vec![Series { attributes: attributes(), value }],
    };
    Scope {
        name: "controller",
        attributes: vec![("peer_id".to_owned(), "n0".to_owned())],
        metrics: vec![
            metric("gauge", Points::Gauge(vec![Series { attributes: vec![], value: -2.0 }])),
            metric("sum", Points::Sum(vec![Series { attributes: attributes(), value: count }])),
            metric("times", histogram),
        ],
    }
}

fn plan(metrics: Option<MetricsWay>, spans: Option<Target>, is_delta: bool) -> Plan {
    let resource = Resource(vec![("service.name", "pitchover".to_owned())]);
    let metrics = metrics.map(|way| MetricsPlan { way, interval: NEVER, is_delta });
    Plan { resource, metrics, spans }
}

fn span(id: u64) -> Span {
    Span {
        trace: 7,
        id,
        parent: (id > 1).then_some(1),
        name: "CONTROLLER_ELECT_MASTER",
        is_server: id == 1,
        began_nanos: 1_000,
        ended_nanos: 5_000,
        is_error: id == 1,
        attributes: vec![("code", Value::Number(1002)), ("peer", Value::Text("n0".to_owned()))],
    }
}

fn pairs(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    attributes
        .iter()
        .map(|pair| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Any::StringValue(text)) => (pair.key.as_str(), text.as_str()),
            other => panic!("not a text: {other:?}"),
        })
        .collect()
}

#[test]
fn a_collector_reads_metrics_as_they_were_meant() {
    let receiver = Receiver::start("0");
    let counts = Arc::new(Counts::default());
    let plan = plan(Some(MetricsWay::Otlp(target(&receiver.target()))), None, false);
    drop(Exporter::start(plan, Arc::clone(&counts), || vec![scope(4)]).expect("a thread"));
    assert_eq!(counts.messages(Signal::Metrics), (1, 0));
    receiver.look(|got| {
        assert_eq!(got.headers["key"], "v");
        let [message] = &got.metrics[..] else { panic!("one message: {got:?}") };
        let [from] = &message.resource_metrics[..] else { panic!("one resource") };
        let resource = from.resource.as_ref().expect("a resource");
        assert_eq!(pairs(&resource.attributes), [("service.name", "pitchover")]);
        let [scope] = &from.scope_metrics[..] else { panic!("one scope") };
        assert_eq!(scope.scope.as_ref().expect("named").name, "controller");
        let [gauge, sum, times] = &scope.metrics[..] else { panic!("three metrics") };
        let Some(Data::Gauge(gauge)) = &gauge.data else { panic!("{gauge:?}") };
        assert_eq!(gauge.data_points[0].value, Some(number_data_point::Value::AsDouble(-2.0)));
        assert_eq!((&*sum.unit, &*sum.description), ("s", "h"));
        let Some(Data::Sum(sum)) = &sum.data else { panic!("{sum:?}") };
        assert_eq!((sum.is_monotonic, sum.aggregation_temporality), (true, 2), "cumulative");
        let point = &sum.data_points[0];
        assert_eq!(point.value, Some(number_data_point::Value::AsInt(4)));
        assert_eq!(pairs(&point.attributes), [("peer_id", "n0"), ("kind", "a")]);
        assert!(point.start_time_unix_nano > 0);
        assert!(point.start_time_unix_nano <= point.time_unix_nano);
        let Some(Data::Histogram(times)) = &times.data else { panic!("{times:?}") };
        let point = &times.data_points[0];
        assert_eq!((point.count, point.sum), (5, Some(2.5)));
        assert_eq!((&*point.bucket_counts, &*point.explicit_bounds), (&[4, 1][..], &[0.5][..]));
    });
}

#[test]
fn differences_say_that_they_are_some() {
    let receiver = Receiver::start("0");
    let plan = plan(Some(MetricsWay::Otlp(target(&receiver.target()))), None, true);
    drop(Exporter::start(plan, Arc::default(), || vec![scope(4)]).expect("a thread"));
    receiver.look(|got| {
        let metric = &got.metrics[0].resource_metrics[0].scope_metrics[0].metrics[1];
        let Some(Data::Sum(sum)) = &metric.data else { panic!("{metric:?}") };
        assert_eq!(sum.aggregation_temporality, 1, "delta");
    });
}

#[test]
fn a_collector_reads_spans_as_they_were_meant() {
    let receiver = Receiver::start("0");
    let counts = Arc::new(Counts::default());
    let plan = plan(None, Some(target(&receiver.target())), false);
    let exporter = Exporter::start(plan, Arc::clone(&counts), Vec::new).expect("a thread");
    exporter.spans().expect("spans are exported").offer(vec![span(1), span(2)]);
    drop(exporter);
    assert_eq!((counts.messages(Signal::Spans), counts.spans_dropped()), ((1, 0), 0));
    receiver.look(|got| {
        let scope = &got.spans[0].resource_spans[0].scope_spans[0];
        let [root, child] = &scope.spans[..] else { panic!("two spans: {scope:?}") };
        assert_eq!(root.trace_id, 7_u128.to_be_bytes());
        assert_eq!((&root.trace_id, &root.span_id), (&child.trace_id, &child.parent_span_id));
        assert_eq!((root.parent_span_id.len(), root.kind, child.kind), (0, 2, 1));
        assert_eq!((root.start_time_unix_nano, root.end_time_unix_nano), (1_000, 5_000));
        assert_eq!(
            (root.status.as_ref().map(|status| status.code), &child.status),
            (Some(2), &None)
        );
        assert_eq!(root.attributes[0].key, "code");
    });
}

#[test]
fn a_refusal_is_counted_and_its_spans_are_dropped() {
    let receiver = Receiver::start("8");
    let counts = Arc::new(Counts::default());
    let to = target(&receiver.target());
    let plan = plan(Some(MetricsWay::Otlp(to.clone())), Some(to), false);
    let exporter = Exporter::start(plan, Arc::clone(&counts), || vec![scope(1)]).expect("a thread");
    exporter.spans().expect("spans are exported").offer(vec![span(1)]);
    drop(exporter);
    let both = (counts.messages(Signal::Metrics), counts.messages(Signal::Spans));
    assert_eq!((both, counts.spans_dropped()), (((0, 1), (0, 1)), 1));
}

/// It accepts, reads, and never answers. Whoever offers does not notice; what is too much is dropped and counted.
#[test]
fn a_collector_that_hangs_costs_a_full_queue_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let socket = listener.local_addr().expect("bound");
    let address = format!("http://{socket}");
    let thread = std::thread::Builder::new().name("hung".to_owned());
    let hung = thread.spawn(move || {
        let mut connections = 0;
        let mut kept = Vec::new();
        // Until somebody says that it is enough.
        while let Ok((mut stream, _from)) = listener.accept() {
            let mut first = [0; 1];
            if matches!(stream.read(&mut first), Ok(1)) && first == *b"." {
                break;
            }
            connections += 1;
            kept.push(stream);
        }
        connections
    });
    let hung = hung.expect("a thread can be had");
    let counts = Arc::new(Counts::default());
    let to = target(&address);
    let plan = plan(Some(MetricsWay::Otlp(to.clone())), Some(to), false);
    let exporter = Exporter::start(plan, Arc::clone(&counts), || vec![scope(1)]).expect("a thread");
    let spans = exporter.spans().expect("spans are exported");
    let offered = 4 * SPANS_WAITING_MAX as u64;
    for id in 1..=offered {
        spans.offer(vec![span(id)]);
    }
    let batch = offered - counts.spans_dropped();
    assert!(batch <= SPANS_WAITING_MAX as u64 + 512, "{batch} spans wait or are on their way");
    assert!(counts.spans_dropped() > 0);
    // Its end does not wait for it either, and nothing that was offered is unaccounted for.
    drop(exporter);
    assert_eq!(counts.spans_dropped(), offered);
    assert_eq!(counts.messages(Signal::Metrics), (0, 1));
    let mut enough = TcpStream::connect(socket).expect("it listens");
    enough.write_all(b".").expect("it reads");
    let connections: u32 = hung.join().expect("it ends");
    assert!(connections <= 3, "one for metrics, one or two for spans, not {connections}");
}

/// Looking up a name cannot be interrupted. A task that waits for the test takes the only place for it.
#[test]
#[expect(clippy::disallowed_methods, reason = "it stands for a resolver that hangs")]
fn a_resolver_that_hangs_keeps_no_exporter_from_ending() {
    let (release, hung) = std::sync::mpsc::channel::<()>();
    let hung = Arc::new(std::sync::Mutex::new(hung));
    let read = move || {
        let hung = Arc::clone(&hung);
        // An error means that the test is over, as does a message.
        tokio::task::spawn_blocking(move || {
            hung.lock().expect("nobody panics").recv_timeout(Duration::from_secs(40)).ok();
        });
        vec![scope(1)]
    };
    let receiver = Receiver::start("0");
    let named = format!("http://localhost:{}", receiver.address.port());
    let counts = Arc::new(Counts::default());
    let plan = plan(Some(MetricsWay::Otlp(target(&named))), None, false);
    let exporter = Exporter::start(plan, Arc::clone(&counts), read).expect("a thread");
    let (done, ended) = std::sync::mpsc::channel();
    let ending = std::thread::Builder::new().name("ending".to_owned());
    let ending = ending.spawn(move || {
        drop(exporter);
        done.send(()).ok();
    });
    let ended = ended.recv_timeout(Duration::from_secs(30));
    assert!(ended.is_ok(), "it waits for the lookup");
    ending.expect("a thread").join().expect("it ended");
    assert_eq!(counts.messages(Signal::Metrics), (0, 1), "the name was not looked up");
    drop(release);
}

#[test]
fn a_collector_is_found_by_its_name() {
    let receiver = Receiver::start("0");
    let named = format!("http://localhost:{}", receiver.address.port());
    let counts = Arc::new(Counts::default());
    let plan = plan(Some(MetricsWay::Otlp(target(&named))), None, false);
    drop(Exporter::start(plan, Arc::clone(&counts), || vec![scope(1)]).expect("a thread"));
    assert_eq!(counts.messages(Signal::Metrics), (1, 0));
}

/// More than collectors take in one message: 4,500 points of over 1,000 bytes.
#[test]
#[expect(clippy::disallowed_methods, reason = "it gives up after a while")]
fn what_is_too_long_for_one_message_goes_in_several() {
    const POINTS: u32 = 4_500;
    let receiver = Receiver::start("0");
    let counts = Arc::new(Counts::default());
    let mut plan = plan(Some(MetricsWay::Otlp(target(&receiver.target()))), None, false);
    if let Some(metrics) = &mut plan.metrics {
        metrics.interval = Duration::from_secs(1);
    }
    let read = || {
        let name = |at| format!("{at:01000}");
        let series = |at| Series { attributes: vec![("set", name(at))], value: f64::from(at) };
        let mut scope = scope(1);
        scope.metrics.truncate(1);
        scope.metrics[0].points = Points::Gauge((0..POINTS).map(series).collect());
        vec![scope]
    };
    let exporter = Exporter::start(plan, Arc::clone(&counts), read).expect("a thread");
    for _ in 0..3_000 {
        if counts.messages(Signal::Metrics).0 >= 3 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(counts.messages(Signal::Metrics).1, 0, "none is refused");
    receiver.look(|got| {
        let points = got.metrics.iter().take(3).map(|message| {
            let metric = &message.resource_metrics[0].scope_metrics[0].metrics[0];
            let Some(Data::Gauge(gauge)) = &metric.data else { panic!("a gauge") };
            gauge.data_points.iter().map(|point| point.value).collect::<Vec<_>>()
        });
        let points: Vec<_> = points.collect();
        assert_eq!(points.iter().map(Vec::len).collect::<Vec<_>>(), [2_000, 2_000, 500]);
        let values = (0..POINTS).map(|at| Some(number_data_point::Value::AsDouble(at.into())));
        assert_eq!(points.concat(), values.collect::<Vec<_>>());
    });
    drop(exporter);
}
