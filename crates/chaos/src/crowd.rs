//! A crowd of strangers that ask too much of one controller, or what nobody may ask.
//!
//! | Manner | What they do | Confirmed by |
//! |---|---|---|
//! | overload | `ASKERS` connections send polls and heartbeats as fast as they are taken | answers that the controller counts: ten times as many a second as before, and `OVERLOAD_MIN` at least |
//! | storm | `STORMERS` connect and close in turn, and `SILENT` connect and say nothing | connections that the kernel counts in the controller's namespace |
//! | slow readers | `SLOW` connections with a small window ask on and on, half of them for listings of settings, and read nothing | sockets of the controller whose bytes nobody takes; connections that it closed for it |
//! | slow headers | `SLOW_HEADERS` connections send a header of one byte a second | connections that a controller of ours counts as closed at its header deadline, and an accident if it holds them instead; of one that has none: connections that are still open after `HELD_BYTES` bytes |
//! | malformed | requests that lack something, see `crowd/malformed.rs` | each of them, by an answer or the end of its connection |
//!
//! Each crowd is a thread in the network namespace of its controller, beside the fabric: through the fabric, its one
//! thread would be what is asked too much, and everybody's packets would wait. For the same reason the thread yields
//! (`nice`) to the fabric and the actors: what is tested is a controller, not the run around it. Where Linux shares out
//! processors among sessions first, `nice` counts within the run's alone; controllers have sessions of their own
//! (`ground/controller.rs`), each of which may have as much as the whole run, crowds included. To strangers on the same
//! host a crowd does not yield there.
//!
//! What is *absent*: connects that are never finished (a flood of SYN), which a kernel sees and no controller does.

mod malformed;
mod members;
mod seen;

use crate::actors::crew;
use crate::clock::{self, MILLISECOND, SECOND};
use malformed::Tally;
use members::Members;
use rustix::process::setpriority_process;
use seen::Seen;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Connections of an overload to one controller. Each may have 256 requests unanswered, so that together they have more
/// than the controller lets wait.
pub(crate) const ASKERS: usize = 192;

/// Of a storm to one controller: who connect and close in turn.
pub(crate) const STORMERS: usize = 32;

/// Of a storm to one controller: connections that say nothing.
pub(crate) const SILENT: usize = 400;

/// Connections to one controller that read nothing.
pub(crate) const SLOW: usize = 64;

/// Connections to one controller that send a header byte by byte.
pub(crate) const SLOW_HEADERS: usize = 300;

/// A connection that is still open after so many bytes, and seconds, is held: ours ends it after 5.
pub(crate) const HELD_BYTES: usize = 8;

/// How long a controller is watched before, to know what is usual; longer by the time that its page takes.
const WATCH: Duration = Duration::from_millis(500);

/// An overload is so many times what is usual.
const TIMES: u64 = 10;

/// And so many answers a second at least: ten times what a follower is asked that nobody asks is nothing. Debug builds of
/// three controllers that shared two processors with another such run answered 3,100 and more each.
const OVERLOAD_MIN: u64 = 2_000;

/// A storm is so many connections a second.
const CONNECTS_MIN: u64 = 200;

/// How much the threads of a crowd yield to the others of the run.
const NICE: i32 = 10;

/// Most connections to one controller: the two largest crowds at once, and who looks at its page.
pub(crate) const CONNECTIONS_MAX: usize = STORMERS + SILENT + SLOW_HEADERS + 8;

/// What a crowd does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// It asks more than can be answered.
    Overload,
    /// It connects and closes.
    Storm,
    /// It asks and reads nothing.
    SlowReaders,
    /// It says what it wants byte by byte.
    SlowHeaders,
    /// It asks for changes that lack something.
    Malformed,
}

impl Manner {
    /// Who they are, after "a crowd of".
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Overload => "those who ask too much",
            Self::Storm => "those who connect and close",
            Self::SlowReaders => "those who read nothing",
            Self::SlowHeaders => "those who send a byte a second",
            Self::Malformed => "those who ask for what is malformed",
        }
    }
}

/// What was felt of a crowd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Felt {
    /// In words, without the name of the controller.
    pub(crate) words: String,
    /// Whether it was what it was to be.
    pub(crate) is_enough: bool,
    /// What must not happen, whatever is asked.
    pub(crate) accident: Option<String>,
}

/// A crowd at work; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Crowd {
    stop: Option<oneshot::Sender<()>>,
    begun: oneshot::Receiver<()>,
    felt: oneshot::Receiver<Felt>,
    thread: Option<JoinHandle<()>>,
}

impl Crowd {
    /// Sends a crowd to the controller of this namespace, which is ours or upstream's. It watches first what is usual there.
    pub(crate) fn gather(namespace: &str, manner: Manner, is_ours: bool) -> io::Result<Self> {
        let (stop, is_stopped) = oneshot::channel();
        let (say_begun, begun) = oneshot::channel();
        let (say_felt, felt) = oneshot::channel();
        let body = move || async move {
            // It then competes like any other; the figures say what came of it.
            setpriority_process(None, NICE).ok();
            let felt = watch((manner, is_ours), say_begun, is_stopped).await;
            // The run was interrupted if nobody hears it.
            drop(say_felt.send(felt));
        };
        let thread = Some(crew::thread("crowd", namespace, body)?);
        Ok(Self { stop: Some(stop), begun, felt, thread })
    }

    /// Returns when it is at work.
    pub(crate) async fn begun(&mut self) -> Result<(), String> {
        (&mut self.begun).await.map_err(|_gone| "the thread of a crowd died".to_owned())
    }

    /// Tells it to end.
    pub(crate) fn stop(&mut self) {
        // Its thread died if this fails, which `disperse` says.
        self.stop.take().map(|stop| stop.send(()).ok());
    }

    /// Ends it; says what was felt of it.
    pub(crate) async fn disperse(mut self) -> Result<Felt, String> {
        self.stop();
        (&mut self.felt).await.map_err(|_gone| "the thread of a crowd died".to_owned())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked if this fails, and has said so.
            drop(thread.join());
        }
    }
}

/// Watches a controller, sends it a crowd until that is stopped, and says what was felt.
async fn watch(
    (manner, is_ours): (Manner, bool),
    say_begun: oneshot::Sender<()>,
    is_stopped: oneshot::Receiver<()>,
) -> Felt {
    let usual = Seen::read().await;
    tokio::time::sleep(WATCH).await;
    let before = Seen::read().await;
    // The run was interrupted if this fails.
    say_begun.send(()).ok();
    let members = Members::enter(manner);
    let began = clock::now();
    // Told to stop, or left alone: both are the end.
    let is_told = is_stopped.await.is_ok();
    let (lasted, stuck) = (clock::now() - began, seen::stuck());
    let said = if is_told { members.leave().await } else { Known::default() };
    let after = Seen::read().await;
    judge(
        manner,
        [&usual, &before, &after],
        &Known { lasted, stuck, has_deadline: is_ours, ..said },
    )
}

/// What the members of a crowd know at its end.
#[derive(Debug, Default)]
struct Known {
    /// Nanoseconds for which they were at work.
    lasted: u64,
    /// Connections whose bytes nobody took.
    stuck: usize,
    /// Connections that were open for longer than their header may take.
    held: usize,
    /// Whether there is such a time: controllers of ours have one.
    has_deadline: bool,
    /// What became of malformed requests.
    tally: Tally,
}

/// What is to be made of what was seen: when the watch began, when the crowd did, and after its end.
fn judge(manner: Manner, [usual, before, after]: [&Seen; 3], known: &Known) -> Felt {
    let felt = |words, is_enough| Felt { words, is_enough, accident: None };
    match manner {
        Manner::Overload => {
            let (Some(first), Some(then), Some(last)) =
                (usual.answers, before.answers, after.answers)
            else {
                return felt("does not say what it answered".to_owned(), false);
            };
            // A page that takes long counts what is answered meanwhile, so the time between pages is what counts.
            let watched = before.at.saturating_sub(usual.at).max(1);
            let counted = after.at.saturating_sub(before.at).max(1);
            let in_a_second = then.saturating_sub(first) * SECOND / watched;
            let needed = (TIMES * in_a_second).max(OVERLOAD_MIN);
            let answered = last.saturating_sub(then);
            let busy = after.busy.saturating_sub(before.busy);
            let ms = counted / MILLISECOND;
            let words = format!(
                "answered {answered} requests in {ms} ms, {busy} of them as too many; {in_a_second} a second before, {needed} are an overload"
            );
            felt(words, answered * SECOND >= needed.saturating_mul(counted))
        }
        Manner::Storm => {
            let accepted = after.accepted.saturating_sub(before.accepted);
            let words =
                format!("was connected to {accepted} times in {} ms", known.lasted / MILLISECOND);
            felt(words, accepted * SECOND >= CONNECTS_MIN * known.lasted.max(1))
        }
        Manner::SlowReaders => {
            let (stuck, closed) = (known.stuck, after.unread.saturating_sub(before.unread));
            let words = format!("had {stuck} connections that read nothing, and closed {closed}");
            felt(words, stuck >= SLOW / 2 || closed > 0)
        }
        Manner::SlowHeaders => judge_slow_headers([before, after], known),
        Manner::Malformed => known.tally.judge(),
    }
}

/// Who has a deadline must keep it. That it does not is seen by who sends the headers, whatever its page says.
fn judge_slow_headers([before, after]: [&Seen; 2], known: &Known) -> Felt {
    let enough = SLOW_HEADERS as u64 / 2;
    let held = known.held as u64;
    let is_told = before.answers.is_some() && after.answers.is_some();
    let closed = if is_told { after.late.saturating_sub(before.late) } else { 0 };
    let words = match (known.has_deadline, is_told) {
        (false, _) => format!("held {held} connections beyond 8 s"),
        (true, true) => {
            format!(
                "closed {closed} connections at its header deadline, and held {held} beyond 8 s"
            )
        }
        (true, false) => {
            format!("does not say how many connections it closed, and held {held} beyond 8 s")
        }
    };
    if !known.has_deadline {
        return Felt { words, is_enough: held >= enough, accident: None };
    }
    let is_enough = closed >= enough;
    let accident = (!is_enough && held >= enough).then(|| format!("{words}: its deadline is 5 s"));
    Felt { words, is_enough, accident }
}

#[cfg(test)]
mod tests {
    use super::{
        CONNECTS_MIN, Known, MILLISECOND, Manner, OVERLOAD_MIN, SECOND, SLOW, SLOW_HEADERS, Seen,
        TIMES, judge,
    };

    fn answers(at_ms: u64, count: u64) -> Seen {
        Seen { at: at_ms * MILLISECOND, answers: Some(count), ..Seen::default() }
    }

    #[test]
    fn an_overload_is_ten_times_what_is_usual_and_not_a_few() {
        // It was watched for so long, in which it answered so many; then for 2 s, in which it answered `crowd`.
        let check = |(watched_ms, usual): (u64, u64), crowd: u64, expected: bool| {
            let (before, after) = (1_000 + usual, 1_000 + usual + crowd);
            let seen = [
                &answers(7, 1_000),
                &answers(7 + watched_ms, before),
                &answers(2_007 + watched_ms, after),
            ];
            let felt = judge(Manner::Overload, seen, &Known::default());
            assert_eq!(felt.is_enough, expected, "{}", felt.words);
        };
        // 500 a second, also if the page took 2 s to come.
        for watched in [(500, 250), (2_500, 1_250)] {
            check(watched, 2 * 500 * TIMES, true);
            check(watched, 2 * 500 * TIMES - 1, false);
        }
        // Nothing before: a hundred a second are more than ten times that, and not an overload.
        check((500, 0), 2 * 100, false);
        check((500, 0), 2 * OVERLOAD_MIN, true);
        check((500, 0), 2 * OVERLOAD_MIN - 1, false);
        // It started anew and counts from zero.
        let anew = [&answers(0, 90_000), &answers(500, 90_000), &answers(2_500, 10)];
        assert!(!judge(Manner::Overload, anew, &Known::default()).is_enough);
        let silent = [&answers(0, 1), &answers(500, 1), &Seen::default()];
        assert!(!judge(Manner::Overload, silent, &Known::default()).is_enough);
    }

    #[test]
    fn a_storm_is_counted_by_the_kernel_and_slow_readers_by_what_waits() {
        let accepted = |accepted| Seen { accepted, ..Seen::default() };
        let storm = |count| {
            let seen = [&accepted(5), &accepted(7), &accepted(7 + count)];
            judge(Manner::Storm, seen, &Known { lasted: 3 * SECOND, ..Known::default() }).is_enough
        };
        assert!(storm(3 * CONNECTS_MIN) && !storm(3 * CONNECTS_MIN - 1));
        let unread = |unread| Seen { unread, ..Seen::default() };
        let slow = |stuck, closed| {
            let seen = [&unread(0), &unread(0), &unread(closed)];
            judge(Manner::SlowReaders, seen, &Known { stuck, ..Known::default() }).is_enough
        };
        assert!(slow(SLOW / 2, 0) && slow(0, 1) && !slow(SLOW / 2 - 1, 0));
    }

    #[test]
    fn slow_headers_end_at_a_deadline_where_there_is_one() {
        // With what its page showed, if it did, and what became of it: felt, and held against it.
        let check = |pages: [Option<u64>; 2], held: usize, expected: (bool, bool)| {
            let seen = |late: Option<u64>| Seen {
                answers: late,
                late: late.unwrap_or(0),
                ..Seen::default()
            };
            let seen = [&seen(None), &seen(pages[0]), &seen(pages[1])];
            let known = Known { held, has_deadline: true, ..Known::default() };
            let felt = judge(Manner::SlowHeaders, seen, &known);
            assert_eq!((felt.is_enough, felt.accident.is_some()), expected, "{felt:?}");
        };
        let half = SLOW_HEADERS / 2;
        let closed = |count: usize| [Some(3), Some(3 + count as u64)];
        check(closed(half), 0, (true, false));
        check(closed(half), half, (true, false));
        check(closed(half - 1), half - 1, (false, false));
        check(closed(0), half, (false, true));
        // Its page cannot be read: what it held is seen all the same, and nothing is known of what it closed.
        check([Some(3), None], half, (false, true));
        check([Some(3), None], 0, (false, false));
        check([None, Some(900)], 0, (false, false));
        // Upstream's have none.
        let held = |held| {
            let known = Known { held, ..Known::default() };
            judge(Manner::SlowHeaders, [&Seen::default(); 3], &known)
        };
        assert!(held(half).is_enough && held(half).accident.is_none() && !held(half - 1).is_enough);
    }
}
