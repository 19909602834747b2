//! What a controller counted (its page `/metrics`), and whom a broker's own log says it was named.

use super::report::{Failure, Outcome};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The end of a broker's log that is looked at; a broker writes much less between two metadata polls.
const LOG_BYTES: u64 = 512 * 1_024;

/// How a broker logs the answer to each of its metadata polls.
const NAMED: &str = "Update controller leader address to ";

/// What the requests of brokers are called on the page.
const POLL: &str = "CONTROLLER_GET_REPLICA_INFO";
const ALTER: &str = "CONTROLLER_ALTER_SYNC_STATE_SET";

/// What one controller did since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Brokers' polls (1004) that it answered with code 0.
    pub(super) polls: u64,
    /// Changes of sync-state sets (1001) that it answered with code 0.
    pub(super) alters: u64,
    /// Reads that it answered from its own state.
    pub(super) reads: u64,
    /// Writes that it sent on to the leader.
    pub(super) forwarded: u64,
}

impl Counts {
    /// Asks the admin pages: the metrics, and what `pitchover status --json` shows of this controller.
    pub(super) fn read(admin: u16) -> Outcome<Self> {
        let metrics = page(admin, "/metrics")?;
        let status = page(admin, "/api/v1/status")?;
        let number = |member: &str| {
            let found = member_of(&status, member);
            found.ok_or_else(|| Failure(format!("no {member} in the status: {status}")))
        };
        Ok(Self {
            polls: count(&metrics, POLL),
            alters: count(&metrics, ALTER),
            reads: number("readsServed")?,
            forwarded: number("forwarded")?,
        })
    }

    /// What was added since an earlier look at the same process.
    pub(super) fn since(self, before: &Self) -> Self {
        Self {
            polls: self.polls.saturating_sub(before.polls),
            alters: self.alters.saturating_sub(before.alters),
            reads: self.reads.saturating_sub(before.reads),
            forwarded: self.forwarded.saturating_sub(before.forwarded),
        }
    }
}

/// The controller that a broker was named last; none before its first answer.
pub(super) fn named(log: &Path) -> Outcome<Option<String>> {
    let failed = || Failure::while_doing(log.display());
    // The log appears when the broker gets so far.
    let Ok(mut file) = std::fs::File::open(log) else { return Ok(None) };
    let length = file.metadata().map_err(failed())?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES))).map_err(failed())?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed())?;
    Ok(last_named(&String::from_utf8_lossy(&bytes)))
}

fn last_named(log: &str) -> Option<String> {
    let line = log.lines().rev().find_map(|line| line.split_once(NAMED))?;
    Some(line.1.trim().to_owned())
}

/// The page's samples of one type of request with code 0, added.
fn count(page: &str, kind: &str) -> u64 {
    let (kind, code) = (format!("type=\"{kind}\""), "code=\"0\"");
    let lines = page.lines().filter(|line| {
        line.starts_with("pitchover_requests_total{") && line.contains(&kind) && line.contains(code)
    });
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    values.sum()
}

/// The first member of that name that is a number.
fn member_of(json: &str, member: &str) -> Option<u64> {
    let (_, after) = json.split_once(&format!("\"{member}\":"))?;
    let digits: String = after.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn page(port: u16, path: &str) -> Outcome<String> {
    let failed = || Failure::while_doing(format!("admin page {port}{path}"));
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(failed())?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).map_err(failed())?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed())?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let is_good = answer.starts_with("HTTP/1.1 200");
    is_good.then_some(answer).ok_or_else(|| Failure(format!("admin page {port}{path} is refused")))
}

#[cfg(test)]
mod tests {
    use super::{ALTER, POLL, count, last_named, member_of};

    #[test]
    fn samples_of_one_type_and_code_0_count() {
        let page = format!(
            "# TYPE pitchover_requests counter\n\
             pitchover_requests_total{{type=\"{POLL}\",code=\"0\"}} 41\n\
             pitchover_requests_total{{type=\"{POLL}\",code=\"2007\"}} 7\n\
             pitchover_requests_total{{type=\"{ALTER}\",code=\"0\"}} 3\n"
        );
        assert_eq!((count(&page, POLL), count(&page, ALTER)), (41, 3));
        assert_eq!(count("", POLL), 0);
    }

    #[test]
    fn numbers_are_found_in_a_status() {
        let json = "{\"name\":\"n0\",\"readsServed\":12,\"forwarded\": 3}";
        assert_eq!(
            (member_of(json, "readsServed"), member_of(json, "forwarded")),
            (Some(12), Some(3))
        );
        assert_eq!(member_of(json, "name"), None);
    }

    #[test]
    fn the_last_name_in_a_log_counts() {
        let log = "10:00 INFO x - Update controller leader address to a:1\n\
                   10:10 INFO x - Update controller leader address to b:2\n10:11 other\n";
        assert_eq!(last_named(log).as_deref(), Some("b:2"));
        assert_eq!(last_named("nothing"), None);
    }
}
