//! The answer to `GET_METADATA_INFO` (1005), read.
//!
//! Upstream leaves the leader's fields out when it knows none, we send them empty: both are `None`
//! here.

use protocol::Response;

/// What one controller says about its cluster.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Metadata {
    /// Name of the controller group.
    pub group: String,
    /// Id of the leader.
    pub leader_id: Option<String>,
    /// Address that brokers are to use.
    pub leader_address: Option<String>,
    /// Whether the node that answered takes itself for the leader.
    pub is_leader: bool,
    /// Id and address of each peer, as far as the entries are of the form `id:host:port`; the id
    /// is empty where an entry is `host:port`, as in upstream's jRaft mode.
    pub peers: Vec<(String, String)>,
}

impl Metadata {
    /// Reads the fields of an answer with code 0.
    #[must_use]
    pub fn read(response: &Response) -> Self {
        let field = |key: &str| response.ext.get(key).unwrap_or_default();
        let unless_empty = |key| Some(field(key).to_owned()).filter(|text| !text.is_empty());
        let peers = field("peers").split(';').filter(|entry| !entry.is_empty());
        Self {
            group: field("group").to_owned(),
            leader_id: unless_empty("controllerLeaderId"),
            leader_address: unless_empty("controllerLeaderAddress"),
            is_leader: field("isLeader").eq_ignore_ascii_case("true"),
            peers: peers.map(peer).collect(),
        }
    }
}

/// `n0:127.0.0.1:9878` or `127.0.0.1:9770`: an id holds no colon, a port and a host stand behind.
fn peer(entry: &str) -> (String, String) {
    match entry.split_once(':') {
        Some((id, address)) if address.contains(':') => (id.to_owned(), address.to_owned()),
        Some(_) | None => (String::new(), entry.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::peer;

    #[test]
    fn peers_are_read_in_both_forms() {
        let rows = [
            ("n0:127.0.0.1:9878", ("n0", "127.0.0.1:9878")),
            ("127.0.0.1:9770", ("", "127.0.0.1:9770")),
            ("odd", ("", "odd")),
        ];
        for (entry, (id, address)) in rows {
            assert_eq!(peer(entry), (id.to_owned(), address.to_owned()));
        }
    }
}
