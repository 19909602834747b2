//! What a controller and the kernel below it say about connections. Read by a thread inside the controller's network
//! namespace; what cannot be read counts as nothing.

use crate::actors::PORT;
use crate::clock;
use std::fs;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where a controller of ours shows its series: the default of `pitchover.adminAddr`.
const PAGE: &str = "127.0.0.1:9557";

/// How long the page may take; its thread competes with all others of the host.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection that is open, as `/proc/net/tcp` writes it.
const ESTABLISHED: &str = "01";

/// Counts that only grow while a controller runs, and when they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// When the page had come, or was given up, in ns of the run's clock.
    pub(super) at: u64,
    /// Requests that it answered, of whatever code; none if it shows no such page.
    pub(super) answers: Option<u64>,
    /// Requests that it refused since too many waited.
    pub(super) busy: u64,
    /// Connections that it closed since their other ends read nothing.
    pub(super) unread: u64,
    /// Connections that it closed since their headers took too long.
    pub(super) late: u64,
    /// Connections to any port of its namespace, as the kernel counts them.
    pub(super) accepted: u64,
}

impl Seen {
    pub(super) async fn read() -> Self {
        let asked = timeout(PATIENCE, page()).await;
        let page = asked.ok().and_then(std::io::Result::ok);
        let at = clock::now();
        // Of this thread, whose namespace is another than the process'.
        let snmp = fs::read_to_string("/proc/thread-self/net/snmp").unwrap_or_default();
        Self { at, accepted: accepted(&snmp), ..page.as_deref().map(of_page).unwrap_or_default() }
    }
}

async fn page() -> std::io::Result<String> {
    let mut stream = TcpStream::connect(PAGE).await?;
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn of_page(page: &str) -> Seen {
    let sum = |start: &str| {
        let lines = page.lines().filter(|line| line.starts_with(start));
        let number = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        lines.map(number).sum::<Option<u64>>().unwrap_or_default()
    };
    let answers = sum("pitchover_requests_total{");
    Seen {
        answers: page.contains("pitchover_requests_total").then_some(answers),
        busy: sum("pitchover_refused_total{limit=\"INBOX_"),
        // For what they held, or for how long.
        unread: sum("pitchover_refused_total{limit=\"outbound"),
        late: sum("pitchover_refused_total{limit=\"headerDeadlineMs\""),
        ..Seen::default()
    }
}

/// `PassiveOpens` of the table `Tcp`, whose first line names the columns of the second.
fn accepted(snmp: &str) -> u64 {
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (names, numbers) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut columns = names.split(' ').zip(numbers.split(' '));
    let found = columns.find(|(name, _)| *name == "PassiveOpens");
    found.and_then(|(_, number)| number.parse().ok()).unwrap_or_default()
}

/// Open connections of the controller with bytes that the other end does not take.
pub(super) fn stuck() -> usize {
    let tables = ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"];
    tables.iter().map(|table| stuck_in(&fs::read_to_string(table).unwrap_or_default())).sum()
}

fn stuck_in(table: &str) -> usize {
    let port = format!(":{PORT:04X}");
    let is_stuck = |line: &&str| {
        // Number, own address, other address, state, bytes that wait to be sent : to be read.
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, own, _, state, queues, ..] = words[..] else { return false };
        let to_send =
            queues.split(':').next().and_then(|bytes| u64::from_str_radix(bytes, 16).ok());
        own.ends_with(&port) && state == ESTABLISHED && to_send.is_some_and(|bytes| bytes > 0)
    };
    table.lines().skip(1).filter(is_stuck).count()
}

#[cfg(test)]
mod tests {
    use super::{Seen, accepted, of_page, stuck_in};

    #[test]
    fn the_page_of_a_controller_is_read() {
        let page = "# TYPE pitchover_requests_total counter\n\
            pitchover_requests_total{type=\"a\",code=\"0\"} 40\n\
            pitchover_requests_total{type=\"b\",code=\"2\"} 2\n\
            pitchover_refused_total{limit=\"INBOX_POLLS_MAX\"} 4\n\
            pitchover_refused_total{limit=\"INBOX_WRITES_MAX\"} 3\n\
            pitchover_refused_total{limit=\"outboundBytesMax\"} 1\n\
            pitchover_refused_total{limit=\"outboundStallMs\"} 2\n\
            pitchover_refused_total{limit=\"headerDeadlineMs\"} 6\n\
            pitchover_refused_total{limit=\"unknown code\"} 9\n";
        let expected = Seen { answers: Some(42), busy: 7, unread: 3, late: 6, ..Seen::default() };
        assert_eq!(of_page(page), expected);
        assert_eq!(of_page("HTTP/1.1 404 Not Found"), Seen::default());
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoMin ActiveOpens PassiveOpens\nTcp: 200 3 41\n";
        assert_eq!((accepted(snmp), accepted("")), (41, 0));
        // Port 9878 is 2696: open and stuck, open and empty, stuck and closing, and of another port.
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
            0: 0100007F:2696 0100007F:A000 01 00000010:00000000 00:0 0 0\n\
            1: 0100007F:2696 0100007F:A001 01 00000000:00000020 00:0 0 0\n\
            2: 0100007F:2696 0100007F:A002 04 00000010:00000000 00:0 0 0\n\
            3: 0100007F:A000 0100007F:2696 01 00000010:00000000 00:0 0 0\n";
        assert_eq!(stuck_in(table), 1);
    }
}
