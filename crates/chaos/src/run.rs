//! One run from its first check to its verdict.
//!
//! ```text
//! check ─► build ─► calm ─► (fault: plan, inject, hold, heal, await recovery, pause)* ─► stop ─► settle ─► judge ─► report
//! ```

use crate::actors::lines::Lines;
use crate::actors::observer;
pub use crate::actors::recorder::OPERATIONS_MAX;
use crate::actors::recorder::Recorder;
use crate::brokers::messages::Messages;
use crate::brokers::{Kit, KitError};
use crate::clock::{self, SECOND};
use crate::draw::Draw;
use crate::fabric::Traffic;
use crate::faults::injection::{Injection, unexpected_end};
use crate::faults::plan::{Deed, plan};
use crate::faults::{Fault, Setting, Skip, UnknownFault, parse, skipped};
use crate::ground::leftovers;
use crate::ground::probe::{self, Finding};
use crate::stalls::Stalls;
use crate::stand::{Disks, Stand, Wanted};
use crate::target::Target;
use crate::{judge, report};
use bytes::Bytes;
use protocol::private;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long the cluster may take to be whole at the start. Three JVMs that start at once on a busy machine need
/// minutes; it says nothing about a controller.
const START: Duration = Duration::from_secs(240);

/// How long it may take after a fault.
const WHOLE: Duration = Duration::from_secs(60);

/// The same where a fault may cost the start of a JVM, and the way back into a sync-state set.
const WHOLE_JAVA: Duration = Duration::from_secs(120);

/// Calm at the start.
const CALM: Duration = Duration::from_secs(3);

/// Pause after a fault, in ms.
const PAUSE_MS: (u64, u64) = (500, 2_000);

/// What one fault takes about, from its begin to the next one's: how long it lasts, recovery, pause. Ours: 600 s for 81
/// faults of all kinds; with Java brokers 420 s for 30 (docs/CHAOS.md).
const EACH: Duration = Duration::from_millis(7_400);
const EACH_JAVA: Duration = Duration::from_secs(14);

/// How long one question at the end may take, where an answer is not certain.
const ANSWER: Duration = Duration::from_secs(3);

/// How long controllers may take to hold the same state once nobody asks any more.
const SETTLE: Duration = Duration::from_secs(30);

/// Why faults were not injected that were still to come.
const INTERRUPTED: &str = "the run was interrupted";
const BROKEN_OFF: &str = "an accident ended the run";

/// What is wanted of a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Controllers, 3 or 5.
    pub nodes: u8,
    /// The faults, as [`parse`] reads them.
    pub faults: String,
    /// How long faults are injected.
    pub length: Duration,
    /// Operations that are recorded; then the run ends early.
    pub operations_max: usize,
    /// Draws everything that is drawn.
    pub seed: u64,
    /// Where the run's files go; made, and kept.
    pub folder: PathBuf,
    /// Version of that program, for the report.
    pub version: &'static str,
    /// The controllers.
    pub target: Target,
    /// What `rolling-upgrade` puts in the place of the controllers; without it that is skipped.
    pub other_program: Option<PathBuf>,
    /// Whether a skipped fault that nothing excuses makes the run invalid.
    pub is_release: bool,
    /// Java brokers are the brokers; without it they are actors.
    pub java_brokers: Option<Kit>,
}

/// Why a run did not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A fault that nobody knows.
    #[error(transparent)]
    Fault(#[from] UnknownFault),
    /// The folder is another run's: its controllers would begin with that one's data.
    #[error("{0} holds a run already; name another folder, or remove it")]
    FolderUsed(String),
    /// A means that every run needs.
    #[error("cannot run here: {0}")]
    Means(String),
    /// Java brokers cannot work here.
    #[error(transparent)]
    Brokers(#[from] KitError),
    /// None of the faults can be injected here.
    #[error("none of these faults can be injected here")]
    NothingLeft,
    /// A file, a namespace or a process could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The brokers never took a message.
    #[error("the brokers did not acknowledge a message in time; their logs are in {0}")]
    NoMessages(String),
    /// The cluster never came to life.
    #[error("the controllers did not become a cluster in time; their logs are in {0}")]
    NoCluster(String),
}

/// One fault as it was.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    /// When the first deed was begun. Some deeds are felt long before all are in force: a broker ends at once,
    /// a crowd needs time to gather; a rolling restart is over by then.
    pub(crate) struck: u64,
    /// When it was confirmed to be in force, when it was healed, when all was well again.
    pub(crate) began: u64,
    pub(crate) healed: u64,
    pub(crate) recovered: Option<u64>,
    pub(crate) evidence: Vec<String>,
    pub(crate) doubts: Vec<String>,
    pub(crate) accidents: Vec<String>,
    /// Brokers that it touched.
    pub(crate) brokers: Vec<Ipv4Addr>,
}

/// Everything that was seen, for the judge and the report.
#[derive(Debug, Default)]
pub(crate) struct Course {
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) skipped: Vec<(String, Skip)>,
    /// Faults that were asked for and could be injected; and those of them that the run never came to.
    pub(crate) asked: usize,
    pub(crate) unreached: Vec<String>,
    pub(crate) findings: Vec<Finding>,
    /// What must not happen, in words.
    pub(crate) accidents: Vec<String>,
    pub(crate) traffic: Traffic,
    pub(crate) stalls: Vec<(u64, u64)>,
    /// What each controller says of each broker set at the end.
    pub(crate) finals: Vec<Final>,
    /// What could not be found out, in words.
    pub(crate) doubts: Vec<String>,
    pub(crate) hashes: Vec<String>,
    /// Where the broker with an id lives.
    pub(crate) addresses: BTreeMap<(Box<str>, i64), Ipv4Addr>,
    pub(crate) is_interrupted: bool,
    /// What there was no more room for, if the run ended early because of it.
    pub(crate) full: Option<String>,
    /// With Java brokers: what became of the messages.
    pub(crate) messages: Option<Messages>,
}

/// What one controller says of one broker set at the end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Final {
    pub(crate) node: usize,
    pub(crate) set: Box<str>,
    /// `None` if it did not answer, or refused.
    pub(crate) said: Option<Value>,
}

/// What a run sees, and whom it tells.
struct Diary<'a> {
    course: &'a mut Course,
    say: &'a dyn Fn(&str),
}

/// Runs, judges and reports; `say` takes lines for the operator.
///
/// # Errors
/// Whatever kept the run from beginning; what happens later is in the verdict.
pub fn run(options: &Options, say: &dyn Fn(&str)) -> Result<judge::Verdict, StartError> {
    let faults = parse(&options.faults, usize::from(options.nodes))?;
    if options.folder.join("n0").exists() {
        return Err(StartError::FolderUsed(options.folder.display().to_string()));
    }
    let findings = probe::findings();
    say(probe::table(&findings).trim_end());
    if let Some(why) = probe::lacking(&findings) {
        return Err(StartError::Means(why));
    }
    if options.java_brokers.is_some() {
        Kit::check_disk(&options.folder)?;
    }
    for line in leftovers::remove() {
        say(&line);
    }
    let mut course = Course { findings, ..Course::default() };
    let nodes = usize::from(options.nodes);
    let mut usable = Vec::new();
    let setting = Setting {
        findings: &course.findings,
        target: options.target.kind,
        nodes,
        has_other_program: options.other_program.is_some(),
        has_java_brokers: options.java_brokers.is_some(),
    };
    for fault in faults {
        match skipped(&fault, &setting) {
            Some(skip) => course.skipped.push((fault.name, skip)),
            None => usable.push(fault),
        }
    }
    for (name, skip) in &course.skipped {
        say(&format!("SKIPPED {name}: {}", skip.why));
    }
    if usable.is_empty() {
        return Err(StartError::NothingLeft);
    }
    course.asked = usable.len();
    say(&time_needed(course.asked, options));
    fs::create_dir_all(&options.folder)?;
    say(&format!("seed {}; files in {}", options.seed, options.folder.display()));
    let origin =
        format!("chaos --seed {} --nodes {} --faults {}", options.seed, nodes, options.faults);
    let heading = (options.java_brokers.is_none(), origin);
    let recorder = Recorder::create(&options.folder, nodes, heading)?;
    let recorder = Arc::new(recorder.with_operations_max(options.operations_max));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // On this very thread: controllers die with the thread that started them.
    let diary = Diary { course: &mut course, say };
    runtime.block_on(carry(options, &usable, &recorder, diary))?;
    recorder.flush()?;
    say("judging");
    let verdict = judge::judge(options, &course, &recorder);
    report::write(options, &course, &recorder, &verdict)?;
    Ok(verdict)
}

async fn carry(
    options: &Options,
    faults: &[Fault],
    recorder: &Arc<Recorder>,
    diary: Diary<'_>,
) -> Result<(), StartError> {
    let Diary { course, say } = diary;
    let mut draw = Draw::new(options.seed);
    let wanted = Wanted {
        nodes: options.nodes,
        target: options.target.clone(),
        folder: options.folder.clone(),
        disks: disks(faults),
        has_skew: needs(faults, probe::Means::ClockShim),
        other_program: options.other_program.clone(),
        kit: options.java_brokers.clone(),
    };
    let mut stop = Stop::new()?;
    // Boxed, as is what follows: the state of a whole run is too much for a stack frame.
    let building = Box::pin(Stand::build(&wanted, Arc::clone(recorder), &mut draw));
    let mut stand = tokio::select! {
        stand = building => stand?,
        () = stop.wanted() => {
            course.is_interrupted = true;
            skip_unreached(course, faults, INTERRUPTED);
            return Ok(());
        }
    };
    stand.enter_actors(&mut draw).await?;
    let stalls = Stalls::watch()?;
    course.began = clock::now();
    let diary = Diary { course: &mut *course, say };
    let driving = Box::pin(drive(&mut stand, options, faults, (&mut draw, diary)));
    tokio::select! {
        driven = driving => driven?,
        () = stop.wanted() => {
            say("interrupted: what was made is removed, what was seen is judged");
            course.is_interrupted = true;
            skip_unreached(course, faults, INTERRUPTED);
        }
    }
    course.ended = clock::now();
    course.stalls = stalls.end();
    course.traffic = stand.fabric.traffic();
    course.addresses = stand.addresses();
    if let Some(mut troupe) = stand.troupe.take_if(|_| !course.is_interrupted) {
        say("producer and consumer come to their end");
        course.messages = Some(troupe.finish().await?);
    }
    if let Some(crew) = stand.crew.take() {
        crew.stop().await;
        if !course.is_interrupted {
            settle(&mut stand, course).await;
        }
        crew.end();
    }
    Ok(())
}

/// How many faults there are and what time they need, which may be more than they have.
fn time_needed(count: usize, options: &Options) -> String {
    let each = if options.java_brokers.is_some() { EACH_JAVA } else { EACH };
    let needed = each * u32::try_from(count).unwrap_or(u32::MAX);
    let minutes = |time: Duration| format!("{} min", time.as_secs().div_ceil(60));
    let (about, given) = (minutes(needed), options.length.as_secs());
    if needed > options.length {
        format!(
            "{count} faults need about {about}, and have {given} s (--for): some will not be injected, and the end says which"
        )
    } else {
        format!("{count} faults need about {about}, and have {given} s (--for)")
    }
}

/// What the controllers' data must lie on for these faults.
fn disks(faults: &[Fault]) -> Disks {
    if needs(faults, probe::Means::FaultyDisk) {
        Disks::Faulty
    } else if needs(faults, probe::Means::SizedTmpfs) {
        Disks::Small
    } else {
        Disks::Plain
    }
}

/// Whether one of these faults is done by this means.
fn needs(faults: &[Fault], means: probe::Means) -> bool {
    faults.iter().flat_map(|fault| &fault.entries).any(|entry| entry.means == Some(means))
}

/// The two signals by which a person or a supervisor ends a run.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn drive(
    stand: &mut Stand,
    options: &Options,
    faults: &[Fault],
    (draw, diary): (&mut Draw, Diary<'_>),
) -> Result<(), StartError> {
    let Diary { course, say } = diary;
    if !stand.until(START, |stand| stand.is_whole()).await {
        return Err(StartError::NoCluster(options.folder.display().to_string()));
    }
    if let Some(troupe) = &mut stand.troupe {
        say("the brokers are in sync; messages begin");
        troupe.open_traffic().await?;
        if !stand.until(START, |stand| stand.is_whole()).await {
            return Err(StartError::NoMessages(options.folder.display().to_string()));
        }
        // JVMs that start are no part of what the page shows.
        course.began = clock::now();
    }
    say("the cluster is whole; calm");
    tokio::time::sleep(CALM).await;
    let length = u64::try_from(options.length.as_nanos()).unwrap_or(u64::MAX);
    let began = clock::now();
    let mut order: Vec<&Fault> = Vec::new();
    while clock::now() - began < length {
        if let Some(what) = stand.recorder.full() {
            let (past, all) = ((clock::now() - began) / SECOND, length / SECOND);
            let text = format!("ended after {past} of {all} s: {what}; part it into several runs");
            say(&text);
            course.full = Some(text);
            break;
        }
        let Some(fault) = order.pop() else {
            order = faults.iter().collect();
            draw.shuffle(&mut order);
            continue;
        };
        let event = inject(stand, fault, draw).await;
        say(&line(course, &event));
        let has_recovered = event.recovered.is_some();
        let accidents = event.accidents.iter();
        course.accidents.extend(accidents.map(|what| format!("{}: {what}", event.name)));
        course.events.push(event);
        if let Some(accident) = unexpected_end(stand) {
            course.accidents.push(accident);
            skip_unreached(course, faults, BROKEN_OFF);
            return Ok(());
        }
        if !has_recovered {
            let text = format!("{} did not heal within {} s", fault.name, whole(stand).as_secs());
            course.accidents.push(text);
            skip_unreached(course, faults, BROKEN_OFF);
            return Ok(());
        }
        let pause = draw.between(PAUSE_MS.0, PAUSE_MS.1);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    let why = course.full.clone().unwrap_or_else(|| "the time was over".to_owned());
    skip_unreached(course, faults, &why);
    Ok(())
}

/// Names what the run never came to, and why.
fn skip_unreached(course: &mut Course, faults: &[Fault], why: &str) {
    for fault in faults {
        if !course.events.iter().any(|event| event.name == fault.name) {
            course.skipped.push((fault.name.clone(), Skip::because(why)));
            course.unreached.push(fault.name.clone());
        }
    }
}

async fn inject(stand: &mut Stand, fault: &Fault, draw: &mut Draw) -> Event {
    let scene = stand.scene(fault.fixed);
    let plan = plan(fault, &scene, draw);
    let brokers = touched(&plan.deeds, &scene.brokers);
    let struck = clock::now();
    let mut injection = Injection::begin(stand, &plan, &scene).await;
    let began = clock::now();
    if plan.deeds.is_empty() && fault.name.ends_with("noop") {
        injection.evidence.push("nothing was done".to_owned());
    }
    let idle = plan.idle.iter().map(|fault| format!("{fault} found nothing to do it to"));
    injection.doubts.extend(idle);
    tokio::time::sleep(Duration::from_nanos(plan.lasts)).await;
    injection.end(stand).await;
    let healed = clock::now();
    // What the observer saw before says nothing about now.
    tokio::time::sleep(observer::EVERY * 3).await;
    let is_whole = stand.until(whole(stand), |stand| stand.is_whole()).await;
    let recovered = is_whole.then(clock::now);
    injection.confirm_members(stand);
    let Injection { evidence, doubts, accidents, .. } = injection;
    Event {
        name: fault.name.clone(),
        struck,
        began,
        healed,
        recovered,
        evidence,
        doubts,
        accidents,
        brokers,
    }
}

/// How long it may take until all is well again.
fn whole(stand: &Stand) -> Duration {
    if stand.troupe.is_some() { WHOLE_JAVA } else { WHOLE }
}

/// Addresses of brokers whose packets or lives the deeds touch.
fn touched(deeds: &[Deed], sets: &[Vec<Ipv4Addr>]) -> Vec<Ipv4Addr> {
    let all = || sets.iter().flatten();
    let mut touched = Vec::new();
    for deed in deeds {
        match deed {
            Deed::Rule(rule) => {
                touched
                    .extend(all().filter(|one| rule.from.contains(one) || rule.to.contains(one)));
            }
            Deed::KillBroker(set, place) | Deed::SuspendBroker(set, place) => {
                touched.push(sets[*set][*place]);
            }
            _ => {}
        }
    }
    touched.sort_unstable();
    touched.dedup();
    touched
}

fn line(course: &Course, event: &Event) -> String {
    let ms = |from: u64, to: u64| to.saturating_sub(from) / clock::MILLISECOND;
    let at = event.struck.saturating_sub(course.began) / SECOND;
    let recovered =
        event.recovered.map_or("never".to_owned(), |at| format!("{} ms", ms(event.healed, at)));
    let (verdict, said) = match (&event.accidents, &event.doubts) {
        (accidents, _) if !accidents.is_empty() => ("ACCIDENT", accidents),
        (_, doubts) if !doubts.is_empty() => ("NOT CONFIRMED", doubts),
        _ => ("confirmed", &event.evidence),
    };
    format!(
        "{at:>4} s  {:<34} held {:>5} ms, whole again after {recovered}; {verdict}: {}",
        event.name,
        ms(event.began, event.healed),
        said.join(", ")
    )
}

/// Waits until all controllers hold the same state, and asks each for every broker set.
async fn settle(stand: &mut Stand, course: &mut Course) {
    let is_settled = |stand: &mut Stand| {
        let all: Option<Vec<_>> = stand.recorder.latest().into_iter().collect();
        all.is_some_and(|all| {
            all.iter().all(|v| (v.applied, &v.hash) == (all[0].applied, &all[0].hash))
        })
    };
    tokio::time::sleep(observer::EVERY * 3).await;
    // Upstream's controllers do not say what state they hold.
    if stand.cast.kind.is_ours() {
        if !stand.until(SETTLE, is_settled).await {
            course.accidents.push(format!("states differ {} s after the end", SETTLE.as_secs()));
        }
        let views = stand.recorder.latest().into_iter();
        course.hashes =
            views.map(|view| view.map_or("silent".to_owned(), |view| view.hash)).collect();
    }
    match ask_finals(stand) {
        Ok(finals) => course.finals = finals,
        Err(error) => course.doubts.push(format!(
            "no controller could be asked for its broker sets at the end, so nobody knows what is lost: {error}"
        )),
    }
}

/// Asks every controller for every broker set of which something was acknowledged.
fn ask_finals(stand: &Stand) -> io::Result<Vec<Final>> {
    let sets = {
        let records = stand.recorder.lock();
        let sets = judge::written(&records.history).into_iter();
        sets.map(Box::from).collect::<Vec<Box<str>>>()
    };
    let cast = stand.cast.clone();
    let recorder = Arc::clone(&stand.recorder);
    // Of upstream's controllers the leader alone answers; if there is none now, whoever was asked first refuses.
    let leader = stand.leader().unwrap_or(0);
    let askable = if cast.kind.is_ours() { 0..cast.controllers.len() } else { leader..leader + 1 };
    let asking = async move {
        let lines = Lines::new((u32::MAX, cast.observer), &cast.controllers, WHOLE, &recorder);
        let mut finals = Vec::new();
        for node in askable {
            for set in &sets {
                let answer = if cast.kind.is_ours() {
                    let body = Bytes::copy_from_slice(set.as_bytes());
                    observer::ask(&lines, node, private::DESCRIBE, body, WHOLE).await
                } else {
                    observer::describe(&lines, node, set, ANSWER).await
                };
                finals.push(Final { node, set: set.clone(), said: answer });
            }
        }
        finals
    };
    crate::actors::crew::inside(&stand.cast.clients_namespace, asking)
}

#[cfg(test)]
impl Options {
    /// Three controllers of this very program.
    pub(crate) fn for_tests(folder: &std::path::Path) -> Self {
        Self {
            nodes: 3,
            faults: "noop".into(),
            length: Duration::from_secs(1),
            operations_max: 1,
            seed: 1,
            folder: folder.to_owned(),
            version: "0",
            target: Target::ours(&std::env::current_exe().unwrap()).unwrap(),
            other_program: None,
            is_release: false,
            java_brokers: None,
        }
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
