//! What strikes the bytes of a disk at rest.

use crate::node::Fate;
use crate::world::World;
use journal::MemoryDisk;

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
        state.lost.push((state.member, lost));
        if is_founded {
            state.fate = Fate::Wiped;
        }
    }

    /// Changes one byte that a later write proves to have been durable: nobody can tell a rotten end of the very last
    /// write from one that was torn.
    pub(super) fn rot(&mut self, node: usize, draw: u64) {
        let disk = &self.nodes[node].disk;
        let contents = disk.contents();
        // Every second time in the newest of the log, where there is most to tell apart.
        let only_newest = draw >> 56 & 1 == 1;
        let written = |name: &&String| contents[*name].iter().any(|byte| *byte != 0);
        let segments = contents.keys().filter(|name| name.starts_with("segment-"));
        let newest = segments.filter(written).max().cloned();
        let is_target = |name: &str| match &newest {
            Some(newest) if only_newest => name == newest,
            Some(_) | None => name != "lock",
        };
        let names: Vec<&String> = contents.keys().filter(|name| is_target(name)).collect();
        if names.is_empty() {
            return;
        }
        let name = names[usize::try_from(draw % names.len() as u64).unwrap_or(0)].clone();
        let bytes = &contents[&name];
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        let last = self.nodes[node].writer.last_write_bytes * 2 + 8_192;
        let is_newest = newest.as_ref() == Some(&name);
        let reach = if is_newest { used.saturating_sub(last) } else { bytes.len() as u64 };
        if reach == 0 {
            return;
        }
        let offset = (draw >> 8) % reach;
        let mask = 1 << (draw % 8);
        self.nodes[node].disk.flip(&name, offset, mask);
        if self.nodes[node].fate == Fate::Whole {
            self.nodes[node].fate = Fate::Rotten;
        }
        self.trace(|| format!("node {node}: {name} rots at {offset}"));
    }
}
