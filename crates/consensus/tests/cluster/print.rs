//! Effects in one line each, as scripts show them.

use consensus::{
    CommittedCommand, Content, Effect, Entry, EntryKind, Membership, MembershipChange, Message,
    Note, PeerId, Persist,
};

pub(crate) fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Send { to, message } => format!("send {to}: {}", self::message(message)),
        Effect::Persist(group) => persist(group),
        Effect::Committed { term, index, commands } => {
            let commands: String = commands.iter().map(command).collect();
            format!("committed {index}/{term}{commands}")
        }
        Effect::Lost { ticket, why } => format!("lost #{ticket}: {why:?}"),
        Effect::Readable { barrier } => format!("readable barrier {barrier}"),
        Effect::BarrierFailed { barrier, why } => format!("failed barrier {barrier}: {why:?}"),
        Effect::FetchSnapshot { from, descriptor } => {
            format!("fetch snapshot {}/{} from {from}", descriptor.index, descriptor.term)
        }
        Effect::InstallSnapshot { descriptor } => {
            format!("install snapshot {}/{}", descriptor.index, descriptor.term)
        }
        Effect::Note(Note::Leadership { term, role, leader }) => {
            let leader = leader.map_or("nobody".to_owned(), |leader| leader.to_string());
            format!("note: {role:?} in term {term}, leader {leader}")
        }
        Effect::Note(Note::Membership { index, membership }) => {
            let Membership { voters, outgoing, learners, .. } = membership;
            let list = |name: &str, peers: &[PeerId]| {
                let peers: Vec<_> = peers.iter().map(ToString::to_string).collect();
                if peers.is_empty() {
                    String::new()
                } else {
                    format!(" {name} {}", peers.join(" "))
                }
            };
            let lists =
                [list("voters", voters), list("outgoing", outgoing), list("learners", learners)];
            format!("note: membership from {index}:{}", lists.concat())
        }
        Effect::Note(note) => format!("note: {note:?}"),
    }
}

fn command(command: &CommittedCommand) -> String {
    let text = String::from_utf8_lossy(&command.bytes);
    command.ticket.map_or(format!(" {text}"), |ticket| format!(" {text}#{ticket}"))
}

fn persist(group: &Persist) -> String {
    let mut text = format!("persist {}:", group.number);
    if let Some(state) = group.hard_state {
        let vote = state.vote.map_or(0, |vote| vote.0);
        text += &format!(" term {} vote {vote} commit {}", state.term, state.commit);
    }
    if let Some(snapshot) = &group.snapshot {
        text += &format!(" snapshot {}/{}", snapshot.index, snapshot.term);
    }
    text += &entries(&group.entries);
    if !group.must_sync {
        text += " (no sync)";
    }
    text
}

fn entries(entries: &[Entry]) -> String {
    let payload = |entry: &Entry| match entry.kind {
        EntryKind::Empty => "empty".to_owned(),
        EntryKind::Membership => match MembershipChange::decode(&entry.bytes) {
            Ok(change) if change.steps.is_empty() => "leave".to_owned(),
            Ok(change) => {
                let steps = change.steps.iter().map(|step| format!("{step:?}"));
                steps.collect::<Vec<_>>().join("+")
            }
            Err(error) => panic!("{error}: {entry:?}"),
        },
        EntryKind::Commands => {
            let commands = consensus::frame::split(&entry.bytes);
            let texts = commands.iter().map(|text| String::from_utf8_lossy(text).into_owned());
            texts.collect::<Vec<_>>().join("+")
        }
    };
    let show = |entry: &Entry| format!(" {}/{}={}", entry.index, entry.term, payload(entry));
    entries.iter().map(show).collect()
}

pub(crate) fn message(message: &Message) -> String {
    let term = message.term;
    let about = match &message.content {
        Content::Append { index, log_term, commit, entries } => {
            let entries = self::entries(entries);
            format!("append after {index}/{log_term} commit {commit}{entries}")
        }
        Content::AppendAnswer { index, reject: false, commit, .. } => {
            format!("accepted {index} commit {commit}")
        }
        Content::AppendAnswer { index, reject_hint, log_term, .. } => {
            format!("rejected {index} hint {reject_hint}/{log_term}")
        }
        Content::Vote { is_pre, index, log_term, is_transfer, .. } => {
            let kind = if *is_pre { "pre-vote" } else { "vote" };
            let transfer = if *is_transfer { " (transfer)" } else { "" };
            format!("{kind} with {index}/{log_term}{transfer}")
        }
        Content::VoteAnswer { is_pre, reject, .. } => {
            let kind = if *is_pre { "pre-vote" } else { "vote" };
            format!("{kind} {}", if *reject { "refused" } else { "granted" })
        }
        Content::Keepalive { commit, context } => match context {
            Some(context) => format!("keepalive commit {commit} read {}", context.sequence),
            None => format!("keepalive commit {commit}"),
        },
        Content::KeepaliveAnswer { commit, context } => match context {
            Some(context) => format!("alive commit {commit} read {}", context.sequence),
            None => format!("alive commit {commit}"),
        },
        Content::Snapshot { descriptor } => {
            format!("snapshot {}/{}", descriptor.index, descriptor.term)
        }
        Content::TimeoutNow => "time-out now".to_owned(),
        Content::ReadIndex { context } => {
            format!("read index {}:{}", context.peer, context.sequence)
        }
        Content::ReadIndexAnswer { index, context } => {
            format!("read index {}:{} is {index}", context.peer, context.sequence)
        }
    };
    format!("[{term}] {about}")
}
