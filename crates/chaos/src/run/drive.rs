//! Faults one after the other: plan, inject, hold, heal, await recovery, pause.

use super::{Diary, StartError, WHOLE};
use crate::actors::observer;
use crate::clock::{self, SECOND};
use crate::course::{Course, Event, Options};
use crate::draw::Draw;
use crate::fabric::{Effect, Rule};
use crate::faults::catalogue::{Choice, Entry, Kind};
use crate::faults::injection::{Injection, unexpected_end};
use crate::faults::plan::{Deed, Plan, Scene, plan};
use crate::faults::{Fault, Skip};
use crate::stand::{Lack, Stand};
use std::net::Ipv4Addr;
use std::time::Duration;

/// How long the cluster may take to be whole at the start. Three JVMs that start at once on a busy machine need
/// minutes; it says nothing about a controller.
const START: Duration = Duration::from_secs(240);

/// How long it may take after a fault that may cost the start of a JVM, and the way back into a sync-state set.
const WHOLE_JAVA: Duration = Duration::from_secs(120);

/// Calm at the start.
const CALM: Duration = Duration::from_secs(3);

/// Pause after a fault, in ms.
const PAUSE_MS: (u64, u64) = (500, 2_000);

/// Why faults were not injected that were still to come.
const BROKEN_OFF: &str = "an accident ended the run";

pub(super) async fn drive(
    stand: &mut Stand,
    options: &Options,
    faults: &[Fault],
    (draw, diary): (&mut Draw, Diary<'_>),
) -> Result<(), StartError> {
    let Diary { course, say } = diary;
    if let Some(accident) = come_to_life(stand, options).await? {
        course.accidents.push(accident);
        skip_unreached(course, faults, BROKEN_OFF);
        return Ok(());
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
        let event = inject(stand, fault, options.each, draw).await;
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
            let lack = stand.lacks();
            let text = not_healed(&fault.name, whole(stand), lack.clone());
            // A Java broker may be stuck in its own change of role (docs/CHAOS.md): whose fault it is, logs tell.
            if stand.troupe.is_some() && lack == Some(Lack::Brokers) {
                course.doubts.push(format!("{text}; see their logs"));
            } else {
                course.accidents.push(text);
            }
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

/// Waits until all is whole for the first time; gives what must not happen meanwhile.
async fn come_to_life(stand: &mut Stand, options: &Options) -> Result<Option<String>, StartError> {
    // Whose end was told once is not told again.
    let mut ended = None;
    let is_decided = |stand: &mut Stand| {
        ended = unexpected_end(stand);
        ended.is_some() || stand.is_whole()
    };
    if stand.until(START, is_decided).await && ended.is_none() {
        return Ok(None);
    }
    // Brokers that are JVMs may need longer to start.
    let lack = stand.lacks().filter(|_| stand.troupe.is_none());
    let accident = ended.or_else(|| not_begun(lack));
    let none = || StartError::NoCluster(options.folder.display().to_string());
    accident.ok_or_else(none).map(Some)
}

/// What to say of controllers that serve, and of whom brokers get nowhere; none if it may be the machine that is slow.
pub(super) fn not_begun(lack: Option<Lack>) -> Option<String> {
    let within = START.as_secs();
    match lack {
        Some(Lack::Master(set)) => Some(format!(
            "NO MASTER: {within} s after the start the brokers of {set} follow no common one"
        )),
        Some(Lack::Brokers) => Some(format!(
            "NO BROKERS: {within} s after the start the controllers serve, and not all brokers are registered"
        )),
        Some(Lack::Controllers) | None => None,
    }
}

/// What to say of a fault that is over while its consequences are not. Controllers or brokers that are not back may
/// be the fault of a busy machine; a set that nobody leads, with all of them there, is one of the controllers.
pub(super) fn not_healed(fault: &str, within: Duration, lack: Option<Lack>) -> String {
    let within = within.as_secs();
    match lack {
        Some(Lack::Master(set)) => {
            format!("NO MASTER: {within} s after {fault} the brokers of {set} follow no common one")
        }
        Some(Lack::Controllers) => {
            format!("{fault} did not heal within {within} s: the controllers do not serve")
        }
        Some(Lack::Brokers) => {
            format!("{fault} did not heal within {within} s: not all brokers are back")
        }
        None => format!("{fault} did not heal within {within} s, only a moment later"),
    }
}

/// Names what the run never came to, and why.
pub(super) fn skip_unreached(course: &mut Course, faults: &[Fault], why: &str) {
    for fault in faults {
        if !course.events.iter().any(|event| event.name == fault.name) {
            course.skipped.push((fault.name.clone(), Skip::because(why)));
            course.unreached.push(fault.name.clone());
        }
    }
}

async fn inject(
    stand: &mut Stand,
    fault: &Fault,
    each: Option<Duration>,
    draw: &mut Draw,
) -> Event {
    let scene = Scene { each, ..stand.scene(fault.fixed) };
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
    let gone = if stand.troupe.is_some() { Vec::new() } else { dethroned(fault, &plan, &scene) };
    // Healing gives the old master back: that another takes its place is seen now or never.
    if !stand.until(WHOLE, |stand| stand.are_replaced(&gone)).await {
        let within = WHOLE.as_secs();
        injection.accidents.push(format!(
            "NO MASTER: {within} s after a set had lost its own the others follow no other"
        ));
    }
    injection.end(stand).await;
    let healed = clock::now();
    // What the observer saw before says nothing about now.
    tokio::time::sleep(observer::EVERY * 3).await;
    let patience = whole(stand);
    let mut is_whole = stand.until(patience, |stand| stand.is_whole()).await;
    if matches!(stand.lacks(), Some(Lack::Master(_))) {
        // Controllers and brokers may be back only now; from here on it is the controllers' time.
        is_whole = stand.until(patience, |stand| stand.is_whole()).await;
    }
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

/// The masters, each a set and a place in it, that a fault takes away, if the controllers can replace them while it
/// lasts: no other broker is touched, and most controllers go on.
pub(super) fn dethroned(fault: &Fault, plan: &Plan, scene: &Scene) -> Vec<(usize, usize)> {
    let takes = |entry: &&&Entry| matches!(entry.kind, Kind::MasterKill | Kind::MasterCut);
    let spares_most = |entry: &Entry| {
        entry.is_minor()
            || matches!(entry.kind, Kind::Kill(Choice::Leader) | Kind::Term(Choice::Leader))
    };
    let (takers, others): (Vec<&Entry>, Vec<&Entry>) = fault.entries.iter().partition(takes);
    let [taker] = takers[..] else { return Vec::new() };
    if !others.iter().all(|entry| spares_most(entry)) {
        return Vec::new();
    }
    let deeds = plan.deeds.iter().zip(&plan.of).filter(|(_, of)| **of == taker.name);
    let hit = touched(deeds.map(|(deed, _)| deed), &scene.brokers);
    let masters =
        scene.masters.iter().enumerate().filter_map(|(set, place)| Some((set, (*place)?)));
    masters.filter(|(set, place)| hit.contains(&scene.brokers[*set][*place])).collect()
}

/// How long it may take until all is well again.
fn whole(stand: &Stand) -> Duration {
    if stand.troupe.is_some() { WHOLE_JAVA } else { WHOLE }
}

/// Addresses of brokers whose packets or lives the deeds touch. A connection that is reset is no reason to replace
/// anybody: brokers connect again, and their heartbeats go on (RELIABILITY.md, section 1, U28).
pub(super) fn touched<'d>(
    deeds: impl IntoIterator<Item = &'d Deed>,
    sets: &[Vec<Ipv4Addr>],
) -> Vec<Ipv4Addr> {
    let all = || sets.iter().flatten();
    let mut touched = Vec::new();
    for deed in deeds {
        match deed {
            Deed::Rule(Rule { effect: Effect::Reset { .. }, .. }) => {}
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
