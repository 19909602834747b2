//! A disk in memory that fails on command: the journal's tests and the simulator run on it.
//!
//! ```text
//!   write_at ──► cached ──sync──► durable        per file; unsynced sectors are remembered
//!   create, rename, remove ──► names ──sync_folder──► durable names
//! ```
//!
//! | Fault | What happens |
//! |---|---|
//! | [`Fault::Error`] | the operation fails; a failed sync *drops* what it was to make durable |
//! | [`Fault::Short`] | a write stops half-way and fails; any other operation fails |
//! | [`Fault::Full`] | the operation fails as on a full disk |
//! | [`Fault::PowerLoss`] | the operation reaches the cache only, and every later one fails |
//! | [`MemoryDisk::crash`] | each unsynced sector is kept, dropped or torn on its own; each name change not synced is kept or dropped on its own |
//! | [`MemoryDisk::kill`] | the process ends and the machine lives: the cache stays |
//! | [`MemoryDisk::flip`], [`MemoryDisk::put`] | bytes rot at rest, or are replaced |
//!
//! A torn sector is a mixture of its old and its new bytes; bytes that are the same in both are
//! never harmed. Several handles share one disk; a handle made before a crash is dead after it,
//! like the process it belonged to. The same calls with the same seeds give the same bytes.
//!
//! Operations are counted from 1 on, reads and listings too, so that a test can fail each in turn.

mod platter;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::layout::{in_memory, on_disk};

use platter::{Content, Dice, NameChange, State};

/// What a chosen operation does instead of succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails. A failed sync has dropped the unsynced pages, as Linux does.
    Error,
    /// A write is done half and fails; any other operation fails.
    Short,
    /// It fails as on a full disk, without effect.
    Full,
    /// The power goes: nothing becomes durable any more, and everything fails from here on.
    PowerLoss,
}

/// A folder in memory. See the module.
#[derive(Debug)]
pub struct MemoryDisk {
    shared: Arc<Mutex<State>>,
    /// The process this handle belongs to.
    life: u64,
    holds_lock: bool,
}

/// An open file of a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryFile {
    shared: Arc<Mutex<State>>,
    life: u64,
    id: u64,
}

impl Default for MemoryDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for MemoryDisk {
    fn drop(&mut self) {
        let mut state = lock(&self.shared);
        if self.holds_lock && state.life == self.life {
            state.is_locked = false;
        }
    }
}

impl MemoryDisk {
    /// An empty folder on a disk with sectors of 512 bytes and no limit.
    #[must_use]
    pub fn new() -> Self {
        let state = State::new();
        Self { shared: Arc::new(Mutex::new(state)), life: 0, holds_lock: false }
    }

    /// Another handle on the same folder, for the process that starts now.
    #[must_use]
    pub fn handle(&self) -> Self {
        let life = lock(&self.shared).life;
        Self { shared: Arc::clone(&self.shared), life, holds_lock: false }
    }

    /// A disk of its own with the same bytes, as a process sees them now: a backup.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        let source = lock(&self.shared);
        let mut target = lock(&copy.shared);
        target.sector_bytes = source.sector_bytes;
        for (name, id) in &source.names {
            let cached = source.files.get(id).map(|file| file.cached.clone()).unwrap_or_default();
            target.put(name, cached);
        }
        drop(target);
        copy
    }

    /// A disk of its own with what is durable and nothing else: what the unluckiest crash would leave now.
    #[must_use]
    pub fn durable(&self) -> Self {
        let copy = Self::new();
        let source = lock(&self.shared);
        let mut target = lock(&copy.shared);
        target.sector_bytes = source.sector_bytes;
        for (name, id) in &source.durable_names {
            let durable = source.files.get(id).map(|file| file.durable.clone()).unwrap_or_default();
            target.put(name, durable);
        }
        drop(target);
        copy
    }

    /// Sets the unit that is kept, dropped or torn as a whole; at least 8 bytes.
    pub fn set_sector_bytes(&self, bytes: usize) {
        lock(&self.shared).sector_bytes = bytes.max(8);
    }

    /// Limits the sum of all files' lengths; growth beyond it fails as on a full disk.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.shared).capacity = bytes;
    }

    /// Makes the operation with this number fail; see [`MemoryDisk::operations`].
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        lock(&self.shared).faults.insert(operation, fault);
    }

    /// Forgets all faults that have not struck yet.
    pub fn clear_faults(&self) {
        lock(&self.shared).faults.clear();
    }

    /// How many operations there were so far; the next one has this number plus 1.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.shared).operations
    }

    /// Whether no [`Fault::PowerLoss`] has struck since the last crash or kill.
    #[must_use]
    pub fn has_power(&self) -> bool {
        lock(&self.shared).has_power
    }

    /// Whether a name was made, changed or removed since the folder was last synced.
    #[must_use]
    pub fn has_pending_names(&self) -> bool {
        !lock(&self.shared).pending.is_empty()
    }

    /// How many syncs of files succeeded so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        lock(&self.shared).syncs
    }

    /// The power goes and comes back: what was not synced is kept, dropped or torn by `seed`.
    ///
    /// Handles made before are dead; [`MemoryDisk::handle`] gives one for the next process.
    pub fn crash(&self, seed: u64) {
        let mut state = lock(&self.shared);
        let mut dice = Dice::new(seed);
        state.lose_power(&mut dice);
        state.restart();
    }

    /// The process ends, the machine does not: everything written stays readable, synced or not.
    pub fn kill(&self) {
        lock(&self.shared).restart();
    }

    /// The bytes of a file, as a process reads them. No operation is counted.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = lock(&self.shared);
        let id = state.names.get(name)?;
        state.files.get(id).map(|file| file.cached.clone())
    }

    /// All files with their bytes, as a process reads them. No operation is counted.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let state = lock(&self.shared);
        let files = state.names.iter().filter_map(|(name, id)| {
            state.files.get(id).map(|file| (name.clone(), file.cached.clone()))
        });
        files.collect()
    }

    /// Makes or replaces a file, durably. No operation is counted.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        lock(&self.shared).put(name, bytes.to_vec());
    }

    /// Removes a file, durably. No operation is counted.
    pub fn take_away(&self, name: &str) {
        let mut state = lock(&self.shared);
        state.names.remove(name);
        state.durable_names.remove(name);
    }

    /// Changes one durable byte of a file; false if there is no such byte. No operation is counted.
    pub fn flip(&self, name: &str, offset: u64, mask: u8) -> bool {
        let mut state = lock(&self.shared);
        let Some(id) = state.names.get(name).copied() else { return false };
        let Some(file) = state.files.get_mut(&id) else { return false };
        let at = in_memory(offset);
        let mut is_there = false;
        for byte in [file.cached.get_mut(at), file.durable.get_mut(at)].into_iter().flatten() {
            *byte ^= mask;
            is_there = true;
        }
        is_there
    }

    fn begin(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        begin(&self.shared, self.life)
    }
}

impl MemoryFile {
    fn begin(&self) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        begin(&self.shared, self.life)
    }
}

/// A poisoned lock means that a test panicked elsewhere; the bytes are as good as before.
fn lock(shared: &Mutex<State>) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts an operation and lets its fault strike, if it has one.
///
/// The power loss is left to the operation: it still reaches the cache.
fn begin(shared: &Mutex<State>, life: u64) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
    let mut state = lock(shared);
    if state.life != life {
        return Err(io::Error::other("this process ended"));
    }
    if !state.has_power {
        return Err(io::Error::other("the power is gone"));
    }
    state.operations = state.operations.saturating_add(1);
    let operation = state.operations;
    let fault = state.faults.remove(&operation);
    match fault {
        Some(Fault::PowerLoss) => state.has_power = false,
        Some(Fault::Full) => return Err(full()),
        Some(Fault::Error | Fault::Short) | None => {}
    }
    Ok((state, fault))
}

/// The end of an operation whose effect is done: an error if a fault was to strike it.
fn finish(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        None => Ok(()),
        Some(Fault::Error | Fault::Short) => Err(rustix::io::Errno::IO.into()),
        Some(Fault::Full) => Err(full()),
        Some(Fault::PowerLoss) => Err(io::Error::other("the power is gone")),
    }
}

fn full() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

/// Whether the effect of an operation takes place in spite of its fault.
fn has_effect(fault: Option<Fault>) -> bool {
    matches!(fault, None | Some(Fault::PowerLoss))
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn place(&self) -> String {
        "memory".to_owned()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let (state, fault) = self.begin()?;
        finish(fault)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn lock(&mut self, name: &str) -> io::Result<()> {
        let (mut state, fault) = begin(&self.shared, self.life)?;
        finish(fault)?;
        if state.is_locked {
            return Err(io::Error::from(io::ErrorKind::WouldBlock));
        }
        if !state.names.contains_key(name) {
            let id = state.new_id();
            state.files.insert(id, Content::default());
            state.names.insert(name.to_owned(), id);
            state.pending.push(NameChange::Set { name: name.to_owned(), id });
        }
        state.is_locked = true;
        self.holds_lock = true;
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let (state, fault) = self.begin()?;
        finish(fault)?;
        let id = state.names.get(name).copied().ok_or_else(not_found)?;
        Ok(MemoryFile { shared: Arc::clone(&self.shared), life: self.life, id })
    }

    fn create(&mut self, name: &str) -> io::Result<MemoryFile> {
        let (mut state, fault) = self.begin()?;
        if has_effect(fault) {
            let id = state.new_id();
            state.files.insert(id, Content::default());
            state.names.insert(name.to_owned(), id);
            state.pending.push(NameChange::Set { name: name.to_owned(), id });
        }
        finish(fault)?;
        let id = state.next_id;
        Ok(MemoryFile { shared: Arc::clone(&self.shared), life: self.life, id })
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        if has_effect(fault) {
            let id = state.names.remove(from).ok_or_else(not_found)?;
            state.names.insert(to.to_owned(), id);
            state.pending.push(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
        }
        finish(fault)
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        if has_effect(fault) {
            state.names.remove(name).ok_or_else(not_found)?;
            state.pending.push(NameChange::Remove { name: name.to_owned() });
        }
        finish(fault)
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        finish(fault)?;
        state.pending.clear();
        state.durable_names = state.names.clone();
        // Files that no name leads to any more are only kept for whoever has them open.
        let is_named: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|id, _| is_named.contains(id));
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn bytes(&self) -> io::Result<u64> {
        let (state, fault) = self.begin()?;
        finish(fault)?;
        let file = state.files.get(&self.id).ok_or_else(not_found)?;
        Ok(on_disk(file.cached.len()))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (state, fault) = self.begin()?;
        finish(fault)?;
        let file = state.files.get(&self.id).ok_or_else(not_found)?;
        let start = in_memory(offset);
        let end = start.saturating_add(out.len());
        let bytes = file.cached.get(start..end);
        let bytes = bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        let sector_bytes = state.sector_bytes;
        let (used, capacity) = (state.used_bytes(), state.capacity);
        let file = state.files.get_mut(&self.id).ok_or_else(not_found)?;
        let start = in_memory(offset);
        let end = start.saturating_add(bytes.len());
        let growth = on_disk(end.saturating_sub(file.cached.len()));
        if capacity.is_some_and(|capacity| used.saturating_add(growth) > capacity) && growth > 0 {
            return Err(full());
        }
        let half = bytes.len().div_ceil(2);
        let written = match fault {
            None | Some(Fault::PowerLoss) => bytes,
            Some(Fault::Short) => bytes.get(..half).unwrap_or_default(),
            Some(Fault::Error | Fault::Full) => &[],
        };
        file.write(start, written, sector_bytes);
        finish(fault)
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut state, fault) = self.begin()?;
        let sector_bytes = state.sector_bytes;
        let file = state.files.get_mut(&self.id).ok_or_else(not_found)?;
        match fault {
            None => file.make_durable(sector_bytes),
            Some(Fault::Error | Fault::Short) => file.drop_unsynced(),
            Some(Fault::Full | Fault::PowerLoss) => {}
        }
        finish(fault)?;
        state.syncs = state.syncs.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(disk: &mut MemoryDisk, name: &str, bytes: &[u8]) -> MemoryFile {
        let mut file = disk.create(name).expect("made");
        file.write_at(0, bytes).expect("written");
        file.sync().expect("synced");
        disk.sync_folder().expect("synced");
        file
    }

    #[test]
    fn what_was_synced_survives_every_crash() {
        for seed in 0..200 {
            let mut disk = MemoryDisk::new();
            let mut file = file_with(&mut disk, "a", &[1; 3000]);
            file.write_at(1000, &[2; 1500]).expect("written");
            disk.crash(seed);
            let bytes = disk.content("a").expect("there");
            assert!(bytes[..1000].iter().all(|byte| *byte == 1), "seed {seed}");
            assert!(bytes[1000..2500].iter().all(|byte| [1, 2].contains(byte)), "seed {seed}");
            assert!(bytes[2500..].iter().all(|byte| *byte == 1), "seed {seed}");
            file.sync().expect_err("the handle is dead");
        }
    }

    #[test]
    fn crashes_keep_drop_and_tear() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut disk = MemoryDisk::new();
            let mut file = file_with(&mut disk, "a", &[1; 512]);
            file.write_at(0, &[2; 512]).expect("written");
            disk.rename("a", "b").expect("renamed");
            disk.crash(seed);
            let is_renamed = disk.content("b").is_some();
            let bytes = disk.content(if is_renamed { "b" } else { "a" }).expect("there");
            let new = bytes.iter().filter(|byte| **byte == 2).count();
            seen.insert((is_renamed, new == 512, new == 0));
        }
        assert_eq!(seen.len(), 6, "{seen:?}");
    }

    #[test]
    fn a_failed_sync_drops_what_was_written() {
        let mut disk = MemoryDisk::new();
        let mut file = file_with(&mut disk, "a", b"old");
        file.write_at(0, b"new").expect("written");
        disk.fail_at(disk.operations() + 1, Fault::Error);
        file.sync().expect_err("fails");
        assert_eq!(disk.content("a").expect("there"), b"old");
    }

    #[test]
    fn only_one_process_holds_the_lock() {
        let disk = MemoryDisk::new();
        let mut first = disk.handle();
        first.lock("lock").expect("free");
        let taken = disk.handle().lock("lock").expect_err("taken");
        assert_eq!(taken.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        disk.handle().lock("lock").expect("free again");
        disk.kill();
        disk.handle().lock("lock").expect("free after the process ended");
    }

    #[test]
    fn a_full_disk_refuses_growth_only() {
        let mut disk = MemoryDisk::new();
        let mut file = file_with(&mut disk, "a", &[1; 100]);
        disk.set_capacity(Some(100));
        file.write_at(50, &[2; 50]).expect("fits");
        let error = file.write_at(50, &[2; 51]).expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
