//! The process of one disk: mounts it, does what it is told, and cleans up when nobody tells it anything any more.

use super::DEVICE;
use super::image::{Image, ROOT};
use super::mount::{Mounted, Shared};
use super::order::Order;
use crate::ground::tool;
use fuser::{Config, MountOption, SessionACL};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Threads that answer the kernel: one may wait while others go on.
const THREADS: usize = 4;

/// The first line, once the disk is there.
pub(crate) const READY: &str = "ready";

/// Where a disk goes.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder that it covers; files in it are on the disk from the beginning, and what is on the disk at the end is
    /// left there.
    pub at: PathBuf,
    /// What `mount` calls it.
    pub source: String,
    /// Its size, in bytes.
    pub bytes: usize,
}

/// Serves a disk until `orders` end; answers one line each to `answers`.
///
/// # Errors
/// It cannot be mounted, its files cannot be read or kept, or an order is none.
pub fn serve(place: &Place, orders: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut image = Image::new(place.bytes);
    fill(&mut image, ROOT, &place.at)?;
    let shared = Arc::new(Shared::new(image));
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(place.source.clone()),
        MountOption::Subtype("pitchover".to_owned()),
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    config.n_threads = Some(THREADS);
    let session = fuser::spawn_mount(Mounted(Arc::clone(&shared)), &place.at, &config)
        .map_err(|error| io::Error::other(format!("{DEVICE}: {error}")))?;
    writeln!(answers, "{READY}")?;
    answers.flush()?;
    let obeyed = obey(&shared, orders, answers);
    // A killed process cannot end while it hangs, nor can this one's threads.
    shared.obey(Order::Release);
    shared.obey(Order::Heal);
    // Controllers that still run have the mount in namespaces of their own: this one goes at once, theirs with them or
    // with this process, so nobody waits for the threads.
    let unmounted = tool(&["umount", "--lazy", &place.at.display().to_string()]);
    keep(&shared, ROOT, &place.at)?;
    drop(session);
    unmounted.and(obeyed)
}

fn obey(shared: &Shared, orders: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    for line in orders.lines() {
        let line = line?;
        let wrong = || io::Error::other(format!("`{line}` is no order to a disk"));
        let answer = shared.obey(Order::read(&line).ok_or_else(wrong)?);
        writeln!(answers, "{answer}")?;
        answers.flush()?;
    }
    Ok(())
}

/// Takes over what lies in a folder of the host.
fn fill(image: &mut Image, folder: u64, from: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            let child = image.make_folder(folder, &name)?;
            fill(image, child, &entry.path())?;
        } else {
            image.seed(folder, &name, fs::read(entry.path())?)?;
        }
    }
    image.sync(folder)?;
    Ok(())
}

/// Leaves what is seen in a folder of the host.
fn keep(shared: &Shared, folder: u64, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let names = shared.look(|image| image.list(folder).cloned())?;
    for (name, node) in names {
        let facts = shared.look(|image| image.facts(node))?;
        let path = to.join::<&OsStr>(&name);
        if facts.is_folder {
            keep(shared, node, &path)?;
        } else {
            let bytes =
                shared.look(|image| image.read(node, 0, facts.bytes).map(<[u8]>::to_vec))?;
            File::create(path)?.write_all(&bytes)?;
        }
    }
    Ok(())
}
