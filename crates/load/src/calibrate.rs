//! `bench calibrate`: what this host can do at best, so that figures can be read in its units.
//!
//! | Figure | How |
//! |---|---|
//! | round trip | one byte to a thread and back over loopback, again and again |
//! | `fdatasync` | 512 bytes appended to a file, then synced, again and again |
//! | sleep | the pacer's own sleep of 200 µs: how late it ends |
//! | noise | the longest a 1 ms sleep ended late in each 100 ms, pressure, others' cores |
//! | clock | which one the kernel reads, and how long one reading takes |
//!
//! It measures the host as it is now: on a shared one `fdatasync` was 0.13 ms on a quiet day and 8 ms on
//! a busy one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use measure::folder::Calibration;
use measure::{Histogram, Quantiles};

use crate::clock::mono_ns;
use crate::generator::pacer::{sharpen_timers, sleep_until};
use crate::host;
use crate::load_seen::Load;
use crate::run::Sleeper;
use measure::histogram::as_f64;

/// What one journal write comes to at least.
const BLOCK_BYTES: usize = 512;

/// The file is begun again at this size.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What the pacer sleeps as a rule: 5,000 requests a second.
const SLEEP_NS: u64 = 200_000;

/// How often noise is looked at.
const LOOK_NS: u64 = 100_000_000;

/// Clock readings that are timed together.
const READINGS: u32 = 100_000;

/// File systems that keep nothing: a sync costs nothing there.
const MEMORY: [&str; 2] = ["tmpfs", "ramfs"];

/// How a host is calibrated.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder whose disk is measured.
    pub folder: PathBuf,
    /// Length of each measurement.
    pub each: Duration,
}

/// Measures this host, about five times `each`.
///
/// # Errors
/// If the folder cannot be written, or there is no socket or thread.
pub fn run(options: &Options) -> io::Result<Calibration> {
    let pressure = host::psi_cpu_some_us();
    let (load, began_ns) = (Load::begin(&[], &[]), mono_ns());
    let sleeper_max_us = noise(options.each).quantiles();
    let elapsed_us = mono_ns().saturating_sub(began_ns) / 1_000;
    let others_cores = load.end().other_cores();
    let waited = host::psi_cpu_some_us().zip(pressure);
    let psi_cpu_some_pct = waited.map(|(now, before)| {
        as_f64(now.saturating_sub(before)) / as_f64(elapsed_us.max(1)) * 100.0
    });
    let fdatasync = syncs(options)?;
    let file_system = host::file_system(&options.folder);
    Ok(Calibration {
        round_trip_us: round_trips(options.each)?.quantiles(),
        fdatasync_us: fdatasync.quantiles(),
        sync_is_free: MEMORY.contains(&file_system.as_str()),
        sleep_overshoot_us: sleeps(options.each).quantiles(),
        sleeper_max_us,
        psi_cpu_some_pct,
        others_cores,
        clock_source: clock_source(),
        clock_read_ns: clock_read_ns(),
    })
}

fn round_trips(each: Duration) -> io::Result<Histogram> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let echo = move || {
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    };
    let echoing = std::thread::Builder::new().name("echo".to_owned()).spawn(echo)?;
    let mut times = Histogram::default();
    let end_ns = end(each);
    let mut byte = [0];
    loop {
        let begin_ns = mono_ns();
        if begin_ns > end_ns {
            break;
        }
        near.write_all(&byte)?;
        near.read_exact(&mut byte)?;
        times.record(mono_ns() - begin_ns);
    }
    drop(near);
    // It ends with its connection; it cannot panic.
    drop(echoing.join());
    Ok(times)
}

fn syncs(options: &Options) -> io::Result<Histogram> {
    fs::create_dir_all(&options.folder)?;
    let path = options.folder.join(format!("pitchover-calibrate-{}", std::process::id()));
    let measured = syncs_of(&path, options.each);
    let removed = fs::remove_file(&path);
    let times = measured?;
    removed.map(|()| times)
}

fn syncs_of(path: &std::path::Path, each: Duration) -> io::Result<Histogram> {
    let mut file = File::create(path)?;
    let (mut times, end_ns, mut bytes) = (Histogram::default(), end(each), 0_u64);
    while mono_ns() < end_ns {
        if bytes > FILE_BYTES_MAX {
            (file, bytes) = (File::create(path)?, 0);
        }
        bytes += u64::try_from(BLOCK_BYTES).unwrap_or_default();
        let begin_ns = mono_ns();
        file.write_all(&[7; BLOCK_BYTES])?;
        file.sync_data()?;
        times.record(mono_ns() - begin_ns);
    }
    Ok(times)
}

fn sleeps(each: Duration) -> Histogram {
    sharpen_timers();
    let (mut times, end_ns) = (Histogram::default(), end(each));
    loop {
        let due_ns = mono_ns() + SLEEP_NS;
        if due_ns > end_ns {
            return times;
        }
        sleep_until(due_ns);
        times.record(mono_ns().saturating_sub(due_ns));
    }
}

fn noise(each: Duration) -> Histogram {
    let stop = Arc::new(AtomicBool::new(false));
    let sleeper = Sleeper::start(&stop);
    let (mut times, end_ns) = (Histogram::default(), end(each));
    while mono_ns() < end_ns {
        sleep_until(mono_ns() + LOOK_NS);
        times.record(sleeper.take_max_us() * 1_000);
    }
    stop.store(true, Ordering::Release);
    times
}

fn clock_source() -> String {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let text = fs::read_to_string(path).unwrap_or_default();
    if text.is_empty() { "unknown".to_owned() } else { text.trim().to_owned() }
}

fn clock_read_ns() -> f64 {
    let begin_ns = mono_ns();
    let last_ns = (0..READINGS).fold(begin_ns, |_, _| mono_ns());
    as_f64(last_ns - begin_ns) / f64::from(READINGS)
}

fn end(each: Duration) -> u64 {
    mono_ns() + u64::try_from(each.as_nanos()).unwrap_or(u64::MAX)
}

/// A host card as a table.
#[derive(Clone, Copy, Debug)]
pub struct Card<'a>(pub &'a Calibration);

impl fmt::Display for Card<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let card = self.0;
        writeln!(f, "{:<38}{:>10}{:>10}{:>10}", "", "p50 us", "p99 us", "max us")?;
        let rows = [
            ("round trip on loopback", &card.round_trip_us),
            ("fdatasync of 512 bytes", &card.fdatasync_us),
            ("the pacer's sleep ends late by", &card.sleep_overshoot_us),
            ("latest 1 ms sleep in each 100 ms", &card.sleeper_max_us),
        ];
        for (what, Quantiles { p50, p99, max, .. }) in rows {
            let cell = |value: &Option<f64>| value.map_or("-".to_owned(), |us| format!("{us:.1}"));
            writeln!(f, "{what:<38}{:>10}{:>10}{:>10}", cell(p50), cell(p99), cell(max))?;
        }
        if card.sync_is_free {
            writeln!(f, "a sync costs nothing here: this is memory, nothing on it is durable")?;
        }
        match card.psi_cpu_some_pct {
            Some(pct) => writeln!(f, "somebody waited for a processor {pct:.1} % of the time")?,
            None => writeln!(f, "this kernel does not count pressure: look at the 1 ms sleep")?,
        }
        if let Some(cores) = card.others_cores {
            writeln!(f, "other programs kept {cores:.2} cores busy")?;
        }
        write!(f, "clock {}, {:.0} ns a reading", card.clock_source, card.clock_read_ns)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Card, Options, run};

    #[test]
    fn everything_is_measured_and_nothing_stays_behind() {
        let folder = std::env::temp_dir().join(format!("calibrate-{}", std::process::id()));
        let options = Options { folder: folder.clone(), each: Duration::from_millis(50) };
        let card = run(&options).unwrap();
        for times in [&card.round_trip_us, &card.fdatasync_us, &card.sleep_overshoot_us] {
            assert!(times.count > 0 && times.max.is_some_and(|max| max > 0.0), "{times:?}");
        }
        assert!(card.sleeper_max_us.count > 0 && card.clock_read_ns > 0.0);
        assert!(Card(&card).to_string().contains("fdatasync"));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir(folder).unwrap();
    }
}
