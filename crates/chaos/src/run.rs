//! One run from its first check to its verdict.
//!
//! ```text
//! check ─► build ─► calm ─► (fault: plan, inject, hold, heal, await recovery, pause)* ─► stop ─► settle ─► judge ─► report
//! ```
//!
//! `drive` is the part in brackets, `settle` what the controllers are asked once nobody else asks.

mod drive;
mod settle;

pub use crate::actors::recorder::OPERATIONS_MAX;
use crate::actors::recorder::Recorder;
use crate::brokers::{Kit, KitError};
use crate::clock;
use crate::course::{Course, Options};
use crate::draw::Draw;
use crate::faults::{Data, Fault, Setting, UnknownFault, parse, skipped};
use crate::ground::descriptors::{self, Size};
use crate::ground::device::Device;
use crate::ground::leftovers;
use crate::ground::probe;
use crate::stalls::Stalls;
use crate::stand::{BROKERS, Disks, Stand, Wanted};
pub use crate::stand::{SETS, SETS_MAX};
use crate::{judge, report};
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long it may take after a fault.
const WHOLE: Duration = Duration::from_secs(60);

/// What one fault takes about, from its begin to the next one's: how long it lasts, recovery, pause. Ours: 600 s for 81
/// faults of all kinds; with Java brokers 420 s for 30 (docs/CHAOS.md).
const EACH: Duration = Duration::from_millis(7_400);
const EACH_JAVA: Duration = Duration::from_secs(14);

/// Of that, recovery and pause.
const AROUND: Duration = Duration::from_secs(4);

/// Why faults were not injected that were still to come.
const INTERRUPTED: &str = "the run was interrupted";

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
    let no_device = Device::below(&options.folder).err().map(|error| error.to_string());
    let setting = Setting {
        findings: &course.findings,
        target: options.target.kind,
        nodes,
        has_other_program: options.other_program.is_some(),
        has_java_brokers: options.java_brokers.is_some(),
        data: match (disks(&faults), &no_device) {
            (Disks::Faulty | Disks::Small, _) => Data::Memory,
            (Disks::Plain, None) => Data::Device,
            (Disks::Plain, Some(why)) => Data::Elsewhere(why),
        },
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
    descriptors::claim(descriptors::needed(size(options, &usable))).map_err(StartError::Means)?;
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
    if let Err(error) = recorder.flush() {
        // The judges have it all in memory.
        course.doubts.push(format!("the history on the disk is not whole: {error}"));
    }
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
        sets: options.sets,
        target: options.target.clone(),
        folder: options.folder.clone(),
        disks: disks(faults),
        has_skew: needs(faults, probe::Means::ClockShim),
        other_program: options.other_program.clone(),
        kit: options.java_brokers.clone(),
    };
    let mut stop = Stop::new()?;
    // Boxed, as is what follows: the state of a whole run is too much for a stack frame.
    let building = Box::pin(async {
        let mut stand = Stand::build(&wanted, Arc::clone(recorder), &mut draw).await?;
        stand.enter_actors(&mut draw).await?;
        Ok::<_, io::Error>(stand)
    });
    let mut stand = tokio::select! {
        stand = building => stand?,
        () = stop.wanted() => {
            course.is_interrupted = true;
            drive::skip_unreached(course, faults, INTERRUPTED);
            return Ok(());
        }
    };
    let stalls = Stalls::watch()?;
    course.began = clock::now();
    let diary = Diary { course: &mut *course, say };
    let driving = Box::pin(drive::drive(&mut stand, options, faults, (&mut draw, diary)));
    tokio::select! {
        driven = driving => driven?,
        () = stop.wanted() => {
            say("interrupted: what was made is removed, what was seen is judged");
            course.is_interrupted = true;
            drive::skip_unreached(course, faults, INTERRUPTED);
        }
    }
    course.ended = clock::now();
    course.stalls = stalls.end();
    course.traffic = stand.fabric.traffic();
    course.addresses = stand.addresses();
    if !course.is_interrupted {
        let closing = Box::pin(close(&mut stand, course, say));
        tokio::select! {
            () = closing => {}
            () = stop.wanted() => {
                say("interrupted: the controllers are not asked to the end");
                course.is_interrupted = true;
            }
        }
    }
    if let Some(crew) = stand.crew.take() {
        crew.stop().await;
        crew.end();
    }
    course.accidents.extend(recorder.all_unburied());
    Ok(())
}

/// Ends whoever asks, and finds out what is left of what was asked.
async fn close(stand: &mut Stand, course: &mut Course, say: &dyn Fn(&str)) {
    if let Some(mut troupe) = stand.troupe.take() {
        say("producer and consumer come to their end");
        match troupe.finish().await {
            Ok(messages) => course.messages = Some(messages),
            Err(error) => {
                course.doubts.push(format!("nobody knows what became of the messages: {error}"));
            }
        }
    }
    if let Some(crew) = &stand.crew {
        crew.stop().await;
    }
    settle::settle(stand, course).await;
}

/// How many faults there are and what time they need, which may be more than they have.
fn time_needed(count: usize, options: &Options) -> String {
    let each = match (options.each, options.java_brokers.is_some()) {
        (Some(each), _) => each + AROUND,
        (None, true) => EACH_JAVA,
        (None, false) => EACH,
    };
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

/// How large the run is, in connections.
fn size(options: &Options, faults: &[Fault]) -> Size {
    let sets = if options.java_brokers.is_some() { 0 } else { options.sets };
    Size {
        nodes: usize::from(options.nodes),
        brokers: usize::from(sets) * usize::from(BROKERS),
        has_crowds: needs(faults, probe::Means::Descriptors),
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

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
