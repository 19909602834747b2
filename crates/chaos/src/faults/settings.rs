//! The deed that changes a setting of running controllers and sets it back, by request 1009, as `mqadmin` does.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | reload | 1010 lists the new value, at each controller by itself, and the old one after healing |
//!
//! The setting is how long a silent connection may stay, which no client of a run comes near. It is asked from an address
//! that no rule of the network names.

use super::injection::{Done, Injection, text};
use crate::actors::crew;
use crate::actors::lines::Lines;
use crate::actors::observer;
use crate::stand::Stand;
use bytes::Bytes;
use protocol::{Request, UpdateControllerConfig, response_code};
use std::time::Duration;

/// Seconds, of controllers of ours and of upstream's. Source: upstream `NettyServerConfig`.
const KEY: &str = "serverChannelMaxIdleTimeSeconds";

/// How long one answer may take: a controller that is asked too much at the same moment answers late.
const PATIENCE: Duration = Duration::from_secs(10);

/// A change: what was set before, and what was afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    before: String,
    after: String,
}

impl Injection {
    pub(super) async fn reload(
        &mut self,
        stand: &Stand,
        (node, seconds): (usize, u64),
    ) -> Result<Done, String> {
        let Change { before, after } = change(stand, node, &seconds.to_string()).await?;
        self.evidence.push(format!("n{node} lists {KEY}={after} instead of {before}"));
        Ok(Done::Reloaded(node, before))
    }

    pub(super) async fn reload_back(
        &mut self,
        stand: &Stand,
        (node, before): (usize, &str),
    ) -> Result<(), String> {
        let Change { after, .. } = change(stand, node, before).await?;
        self.evidence.push(format!("n{node} lists {KEY}={after} again"));
        Ok(())
    }
}

/// Sets it at one controller, and asks what is set before and afterwards.
async fn change(stand: &Stand, node: usize, value: &str) -> Result<Change, String> {
    let (observer, controllers) = (stand.cast.observer, &stand.cast.controllers);
    let lines = Lines::new((u32::MAX, observer), controllers, PATIENCE, &stand.recorder);
    let body = Bytes::from(format!("{KEY}={value}\n"));
    let asking = async move {
        let before = listed(&lines, node).await?;
        let request = Request::UpdateControllerConfig(UpdateControllerConfig { body });
        let answer = observer::call(&lines, node, &request, PATIENCE).await;
        let answer = answer.ok_or_else(|| format!("n{node} did not answer 1009"))?;
        if answer.code != response_code::SUCCESS {
            return Err(format!("n{node} refused to set {KEY}: code {}", answer.code));
        }
        Ok(Change { before, after: listed(&lines, node).await? })
    };
    // Boxed: it is too much for the stack frame of whoever waits.
    let asked = crew::inside(&stand.cast.clients_namespace, Box::pin(asking)).await;
    let change = asked.map_err(text)??;
    confirm(node, &change, value).map(|()| change)
}

/// Whether it is set now, and was another before.
fn confirm(node: usize, Change { before, after }: &Change, wanted: &str) -> Result<(), String> {
    match (after == wanted, before != wanted) {
        (true, true) => Ok(()),
        (false, _) => Err(format!("n{node} lists {KEY}={after} and was told {wanted}")),
        (true, false) => Err(format!("n{node} listed {KEY}={wanted} before it was told")),
    }
}

async fn listed(lines: &Lines, node: usize) -> Result<String, String> {
    let answer = observer::call(lines, node, &Request::GetControllerConfig, PATIENCE).await;
    let answer = answer.ok_or_else(|| format!("n{node} did not answer 1010"))?;
    let listing = String::from_utf8_lossy(&answer.body);
    value_in(&listing).ok_or_else(|| format!("n{node} lists no {KEY}"))
}

/// The value in a listing of `key=value` lines.
fn value_in(listing: &str) -> Option<String> {
    let value = |line: &str| {
        line.strip_prefix(KEY)?.trim_start().strip_prefix('=').map(str::trim).map(str::to_owned)
    };
    listing.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::{Change, confirm, value_in};

    #[test]
    fn a_listing_is_read() {
        let check = |listing: &str, expected: Option<&str>| {
            assert_eq!(value_in(listing).as_deref(), expected, "{listing:?}");
        };
        check("a=1\nserverChannelMaxIdleTimeSeconds=120\nb=2\n", Some("120"));
        check("serverChannelMaxIdleTimeSeconds = 7\r\n", Some("7"));
        check("serverChannelMaxIdleTimeSecondsMore=1\n", None);
        check("", None);
    }

    #[test]
    fn only_what_is_listed_and_was_not_is_a_change() {
        let check = |before: &str, after: &str, expected: bool| {
            let change = Change { before: before.to_owned(), after: after.to_owned() };
            assert_eq!(confirm(0, &change, "90").is_ok(), expected, "{change:?}");
        };
        check("120", "90", true);
        check("120", "120", false);
        check("90", "90", false);
        check("90", "120", false);
    }
}
