//! What controllers say of themselves: their status, and the counters of their metrics page.
//!
//! Only ours have either; whoever asks Java's gets nothing, and reports less.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use client::{Connection, Deadline};
use protocol::{ExtFields, Frame, Header, HeaderEncoding, private, response_code};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a controller may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Longest metrics page that is read: a series or two for each of ten thousand broker sets.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What one controller says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Status(Value);

impl Status {
    /// Asks the controller at `address`; `None` if it does not answer, or is not one of ours.
    pub(crate) async fn of(address: &str) -> Option<Self> {
        let deadline = Deadline::after(ANSWER);
        let connection = Connection::connect(address, deadline).await.ok()?;
        let encoding = HeaderEncoding::Json;
        let header = Header::request(private::STATUS, 0, 0, ExtFields::new(), encoding);
        let frame = Frame { header, body: Bytes::new() };
        let answer = connection.exchange(frame, deadline).await.ok()?;
        let is_good = answer.header.code == response_code::SUCCESS;
        is_good.then(|| serde_json::from_slice(&answer.body).ok().map(Self))?
    }

    /// A number, 0 if it is not there.
    pub(crate) fn number(&self, member: &str) -> u64 {
        self.0.get(member).and_then(Value::as_u64).unwrap_or_default()
    }

    /// A text, empty if it is not there.
    pub(crate) fn text(&self, member: &str) -> &str {
        self.0.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether it follows a leader and serves.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.get("ready").and_then(Value::as_bool) == Some(true)
            && !self.text("leader").is_empty()
    }
}

/// Brokers that a controller has taken for dead since it began, by the reason it gives. Empty if it
/// has no metrics page, or no broker died.
pub(crate) async fn expired(status: &Status) -> BTreeMap<String, u64> {
    let page = page(status.text("adminAddress")).await.unwrap_or_default();
    expired_in(&page)
}

/// The metrics page of a controller; `None` if it has none.
pub(crate) async fn metrics(status: &Status) -> Option<String> {
    page(status.text("adminAddress")).await
}

/// Syncs of a controller's journal since it began, as its metrics page counts them.
pub(crate) fn syncs_in(page: &str) -> Option<u64> {
    counter_in(page, "pitchover_journal_sync_seconds_count")
}

/// A counter of a metrics page, all its labels added up; `None` if the page has no such series.
pub(crate) fn counter_in(page: &str, name: &str) -> Option<u64> {
    let is_it =
        |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    let mut counts = page.lines().filter(is_it).peekable();
    counts.peek()?;
    counts.map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

async fn page(address: &str) -> Option<String> {
    let fetch = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut page = String::new();
        let limit = u64::try_from(PAGE_BYTES_MAX).unwrap_or(u64::MAX);
        stream.take(limit).read_to_string(&mut page).await.ok()?;
        Some(page)
    };
    timeout(ANSWER, fetch).await.ok()?
}

/// The same in the text of a page.
pub(crate) fn expired_in(page: &str) -> BTreeMap<String, u64> {
    let series = |line: &str| {
        let rest = line.strip_prefix("pitchover_brokers_expired_total{")?;
        let (labels, count) = rest.split_once("} ")?;
        let (_, reason) = labels.split_once("reason=\"")?;
        let (reason, _) = reason.split_once('"')?;
        Some((reason.to_owned(), count.trim().parse().ok()?))
    };
    page.lines().filter_map(series).collect()
}

#[cfg(test)]
mod tests {
    use super::{counter_in, expired_in, syncs_in};

    #[test]
    fn expiries_are_read_from_the_page() {
        let page = "# TYPE pitchover_brokers_expired counter\n\
                    pitchover_brokers_expired_total{peer=\"n0\",reason=\"silent\"} 3\n\
                    pitchover_brokers_expired_total{reason=\"refused\"} 12\n\
                    pitchover_journal_sync_seconds_count{peer=\"n0\"} 77\n\
                    pitchover_requests_total{type=\"x\"} 9\n";
        assert_eq!((syncs_in(page), syncs_in("")), (Some(77), None));
        assert_eq!(counter_in(page, "pitchover_brokers_expired_total"), Some(15));
        assert_eq!(counter_in(page, "pitchover_brokers_expired"), None, "another name");
        let expired = expired_in(page);
        assert_eq!(
            expired.into_iter().collect::<Vec<_>>(),
            [("refused".to_owned(), 12), ("silent".to_owned(), 3)]
        );
    }
}
