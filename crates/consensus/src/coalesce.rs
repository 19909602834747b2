//! Fewer messages with the same meaning, before they leave.
//!
//! - A follower answers the appends of a turn once: an acknowledgement covers all before it.
//! - A leader announces a commit once: an append without entries says nothing that the next
//!   append to the same peer does not say as well.

use raft::eraftpb::{Message as EngineMessage, MessageType};

/// Drops every message that a later one to the same peer makes needless; keeps the order.
pub(crate) fn coalesce(messages: &mut alloc::vec::Vec<EngineMessage>) {
    if messages.len() < 2 {
        return;
    }
    let mut kept = messages.len();
    // Backwards, so that the later one is known when the earlier one is judged.
    for index in (0..messages.len() - 1).rev() {
        let (earlier, later) = messages.split_at(index + 1);
        let earlier = &earlier[index];
        let is_covered = later.iter().any(|later| covers(later, earlier));
        if is_covered {
            messages[index].to = 0;
            kept -= 1;
        }
    }
    if kept < messages.len() {
        messages.retain(|message| message.to != 0);
    }
}

fn covers(later: &EngineMessage, earlier: &EngineMessage) -> bool {
    let kind = earlier.get_msg_type();
    let is_pair = later.to == earlier.to
        && later.get_msg_type() == kind
        && later.term == earlier.term
        && later.index >= earlier.index;
    is_pair
        && match kind {
            MessageType::MsgAppendResponse => !earlier.reject && !later.reject,
            MessageType::MsgAppend => earlier.entries.is_empty(),
            MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgPropose
            | MessageType::MsgRequestVote
            | MessageType::MsgRequestVoteResponse
            | MessageType::MsgSnapshot
            | MessageType::MsgHeartbeat
            | MessageType::MsgHeartbeatResponse
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
            | MessageType::MsgTransferLeader
            | MessageType::MsgTimeoutNow
            | MessageType::MsgReadIndex
            | MessageType::MsgReadIndexResp
            | MessageType::MsgRequestPreVote
            | MessageType::MsgRequestPreVoteResponse => false,
        }
}

#[cfg(test)]
mod tests {
    use super::coalesce;
    use raft::eraftpb::{Entry, Message, MessageType};
    use std::vec::Vec;

    fn message(kind: MessageType, to: u64, index: u64, entries: usize) -> Message {
        let mut message = Message::default();
        message.set_msg_type(kind);
        (message.to, message.index) = (to, index);
        message.set_entries(std::vec![Entry::default(); entries].into());
        message
    }

    /// Kind, receiver, index, entries in; the same out.
    fn check(what: &str, before: &[(MessageType, u64, u64, usize)], kept: &[usize]) {
        let make = |row: &(MessageType, u64, u64, usize)| message(row.0, row.1, row.2, row.3);
        let mut messages: Vec<_> = before.iter().map(make).collect();
        coalesce(&mut messages);
        let expected: Vec<_> = kept.iter().map(|index| make(&before[*index])).collect();
        assert_eq!(messages, expected, "{what}");
    }

    #[test]
    fn only_what_is_covered_goes() {
        use MessageType::{MsgAppend as Append, MsgAppendResponse as Answer, MsgHeartbeat as Beat};
        check("answers of one follower", &[(Answer, 1, 5, 0), (Answer, 1, 7, 0)], &[1]);
        check("answers to two leaders", &[(Answer, 1, 5, 0), (Answer, 2, 7, 0)], &[0, 1]);
        check("an older answer later", &[(Answer, 1, 7, 0), (Answer, 1, 5, 0)], &[0, 1]);
        check("commit, then entries", &[(Append, 2, 5, 0), (Append, 2, 5, 1)], &[1]);
        check("entries, then commit", &[(Append, 2, 5, 1), (Append, 2, 6, 0)], &[0, 1]);
        check("three commits", &[(Append, 2, 5, 0), (Append, 2, 5, 0), (Append, 2, 5, 0)], &[2]);
        check("keepalives", &[(Beat, 2, 0, 0), (Beat, 2, 0, 0)], &[0, 1]);
    }

    #[test]
    fn a_refusal_stays() {
        let mut refusal = message(MessageType::MsgAppendResponse, 1, 5, 0);
        refusal.reject = true;
        let later = message(MessageType::MsgAppendResponse, 1, 7, 0);
        let mut messages = std::vec![refusal.clone(), later.clone()];
        coalesce(&mut messages);
        assert_eq!(messages, [refusal, later]);
    }
}
