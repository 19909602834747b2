//! What a [`MemoryDisk`](super::MemoryDisk) holds, and what a loss of power leaves of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Fault;
use crate::layout::{in_memory, on_disk};

#[derive(Debug)]
pub(super) struct State {
    pub(super) files: BTreeMap<u64, Content>,
    pub(super) names: BTreeMap<String, u64>,
    pub(super) durable_names: BTreeMap<String, u64>,
    pub(super) pending: Vec<NameChange>,
    pub(super) next_id: u64,
    pub(super) faults: BTreeMap<u64, Fault>,
    pub(super) operations: u64,
    pub(super) syncs: u64,
    pub(super) capacity: Option<u64>,
    pub(super) sector_bytes: usize,
    pub(super) is_locked: bool,
    pub(super) has_power: bool,
    pub(super) life: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: BTreeSet<usize>,
}

#[derive(Debug)]
pub(super) enum NameChange {
    Set { name: String, id: u64 },
    Rename { from: String, to: String },
    Remove { name: String },
}

impl State {
    /// An empty folder.
    pub(super) fn new() -> Self {
        Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            next_id: 0,
            faults: BTreeMap::new(),
            operations: 0,
            syncs: 0,
            capacity: None,
            sector_bytes: 512,
            is_locked: false,
            has_power: true,
            life: 0,
        }
    }

    pub(super) fn put(&mut self, name: &str, bytes: Vec<u8>) {
        let id = self.new_id();
        let content = Content { cached: bytes.clone(), durable: bytes, unsynced: BTreeSet::new() };
        self.files.insert(id, content);
        self.names.insert(name.to_owned(), id);
        self.durable_names.insert(name.to_owned(), id);
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id = self.next_id.saturating_add(1);
        self.next_id
    }

    pub(super) fn used_bytes(&self) -> u64 {
        let lengths = self.names.values().filter_map(|id| self.files.get(id));
        lengths.fold(0, |sum, file| sum.saturating_add(on_disk(file.cached.len())))
    }

    pub(super) fn restart(&mut self) {
        self.life = self.life.saturating_add(1);
        self.is_locked = false;
        self.has_power = true;
        self.faults.clear();
    }

    pub(super) fn lose_power(&mut self, dice: &mut Dice) {
        let mut names = std::mem::take(&mut self.durable_names);
        for change in self.pending.drain(..) {
            if dice.keeps() {
                apply(&mut names, change);
            }
        }
        let is_named: BTreeSet<u64> = names.values().copied().collect();
        self.files.retain(|id, _| is_named.contains(id));
        for file in self.files.values_mut() {
            file.lose_power(self.sector_bytes, dice);
        }
        self.names.clone_from(&names);
        self.durable_names = names;
    }
}

/// A change whose file is not there, because an earlier one was lost, is lost too.
fn apply(names: &mut BTreeMap<String, u64>, change: NameChange) {
    match change {
        NameChange::Set { name, id } => {
            names.insert(name, id);
        }
        NameChange::Rename { from, to } => {
            if let Some(id) = names.remove(&from) {
                names.insert(to, id);
            }
        }
        NameChange::Remove { name } => {
            names.remove(&name);
        }
    }
}

impl Content {
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8], sector_bytes: usize) {
        let end = offset.saturating_add(bytes.len());
        let grown_from = self.cached.len().min(offset);
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        if let Some(target) = self.cached.get_mut(offset..end) {
            target.copy_from_slice(bytes);
        }
        let first = grown_from.checked_div(sector_bytes).unwrap_or(0);
        let last = end.div_ceil(sector_bytes);
        self.unsynced.extend(first..last);
    }

    pub(super) fn make_durable(&mut self, sector_bytes: usize) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.unsynced) {
            self.copy_sector(sector, sector_bytes, 0..sector_bytes);
        }
    }

    /// Copies a part of a sector from the cache to the disk.
    fn copy_sector(&mut self, sector: usize, sector_bytes: usize, part: Range<usize>) {
        let start = sector.saturating_mul(sector_bytes);
        let end = start.saturating_add(part.end).min(self.durable.len());
        let start = start.saturating_add(part.start).min(end);
        if let (Some(target), Some(source)) =
            (self.durable.get_mut(start..end), self.cached.get(start..end))
        {
            target.copy_from_slice(source);
        }
    }

    /// Forgets what was not synced, as the kernel may after a failed sync.
    pub(super) fn drop_unsynced(&mut self) {
        self.cached.clone_from(&self.durable);
        self.unsynced.clear();
    }

    fn lose_power(&mut self, sector_bytes: usize, dice: &mut Dice) {
        // The length is kept with the sectors that it made, or without them as zeros, or lost.
        if self.cached.len() > self.durable.len() && dice.keeps() {
            self.durable.resize(self.cached.len(), 0);
        }
        for sector in std::mem::take(&mut self.unsynced) {
            if dice.tears() {
                let cut = dice.below(sector_bytes);
                let part = if dice.next().is_multiple_of(2) { 0..cut } else { cut..sector_bytes };
                self.copy_sector(sector, sector_bytes, part);
            } else if dice.keeps() {
                self.copy_sector(sector, sector_bytes, 0..sector_bytes);
            }
        }
        self.cached.clone_from(&self.durable);
    }
}

/// Chance, from a seed. One seed in four drops everything that was not synced, one keeps it all.
#[derive(Debug)]
pub(super) struct Dice {
    state: u64,
    mood: Mood,
}

#[derive(Debug, Clone, Copy)]
enum Mood {
    DropAll,
    KeepAll,
    Mixed,
}

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Self { state: seed, mood: Mood::Mixed };
        dice.mood = match dice.next() % 4 {
            0 => Mood::DropAll,
            1 => Mood::KeepAll,
            _ => Mood::Mixed,
        };
        dice
    }

    /// The generator known as splitmix64: small, and good enough to choose sectors.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let drawn = self.next().checked_rem(on_disk(bound)).unwrap_or(0);
        in_memory(drawn)
    }

    fn keeps(&mut self) -> bool {
        match self.mood {
            Mood::DropAll => false,
            Mood::KeepAll => true,
            Mood::Mixed => self.next().is_multiple_of(2),
        }
    }

    fn tears(&mut self) -> bool {
        match self.mood {
            Mood::DropAll | Mood::KeepAll => false,
            Mood::Mixed => self.next().is_multiple_of(3),
        }
    }
}
