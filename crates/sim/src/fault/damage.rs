//! What strikes the bytes of a disk at rest.

use crate::node::Fate;
use crate::world::World;
use journal::{Journal, MemoryDisk};

/// The first block of a segment.
const HEADER_BYTES: u64 = 4_096;

impl World<'_> {
    pub(super) fn wipe(&mut self, number: usize, node: usize) {
        self.end(node, true);
        self.struck[number].nodes.push(node);
        let is_founded = self
            .nodes
            .iter()
            .any(|node| node.image.identity == Some(controller::Founding::Founded));
        let state = &mut self.nodes[node];
        state.disk = MemoryDisk::new();
        let lost = state.image.forget_disk();
        // While nobody is founded nobody has voted: who comes back may be the same member.
        if is_founded {
            state.lost.push((state.member, lost));
            state.fate = Fate::Wiped;
        }
    }

    /// Changes one byte of the files, of which a later write proves that it had been durable: nobody can tell a rotten
    /// end of the very last write from one that was torn.
    pub(super) fn rot(&mut self, number: usize, node: usize, draw: u64) {
        let proven = self.nodes[node].journal.as_ref().and_then(Journal::proven);
        self.end(node, false);
        self.struck[number].nodes.push(node);
        let contents = self.nodes[node].disk.contents();
        // Mostly in the newest of the log, where there is most to tell apart.
        let newest = proven.as_ref().filter(|_| draw >> 56 & 3 > 0).map(|(name, _)| name);
        let reach = |name: &str| match (&proven, newest) {
            (_, Some(newest)) if name != newest => 0,
            (Some((last, end)), _) if name == last => *end,
            // What was begun behind it nobody proves; without a write even the last two may be so.
            (Some((last, _)), _) if is_segment(name) && name > last.as_str() => 0,
            (None, _) if is_segment(name) => 0,
            _ if name == "lock" => 0,
            _ => contents[name].len() as u64,
        };
        let files: Vec<(&str, u64)> = contents
            .keys()
            .map(|name| (name.as_str(), reach(name)))
            .filter(|(_, reach)| *reach > 0)
            .collect();
        let Some(&(name, reach)) =
            files.get(usize::try_from(draw % files.len().max(1) as u64).unwrap_or(0))
        else {
            return;
        };
        // The first block of a segment is its header, and mostly empty.
        let first = if newest.is_some() && reach > HEADER_BYTES { HEADER_BYTES } else { 0 };
        let (name, offset) = (name.to_owned(), first + (draw >> 8) % (reach - first));
        self.nodes[node].disk.flip(&name, offset, 1 << (draw % 8));
        if self.nodes[node].fate == Fate::Whole {
            self.nodes[node].fate = Fate::Rotten;
        }
        self.trace(|| format!("node {node}: {name} rots at {offset}"));
    }
}

fn is_segment(name: &str) -> bool {
    name.starts_with("segment-")
}
