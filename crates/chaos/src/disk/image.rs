//! Names and files of one disk, as processes see them and as a power loss would leave them.
//!
//! ```text
//! folder:  durable names ──changes since its last sync──► names that are seen
//! file:    durable bytes ──sectors since its last sync──► bytes that are seen      (content.rs)
//! ```
//!
//! Names are durable when their folder was synced, bytes when their file was. A power loss keeps the first so
//! many changes of a folder, as file systems with a journal do: none, or a number that is drawn.
//!
//! Invariants: a file lives while a name that is seen or may come back leads to it, or somebody has it open; a
//! number is never used twice.
//!
//! Deliberately absent: links, owners, times, permissions. A journal needs none of them.

use super::content::Content;
use super::{Loss, Lost};
use crate::draw::Draw;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};

/// The number of the uppermost folder.
pub(super) const ROOT: u64 = 1;

/// What space is counted in, in bytes.
pub(super) const BLOCK: usize = 4_096;

type Names = BTreeMap<OsString, u64>;

#[derive(Debug)]
enum Node {
    Folder(Folder),
    File { content: Content, open: u64 },
}

#[derive(Debug, Default)]
struct Folder {
    names: Names,
    durable: Names,
    changes: Vec<Change>,
}

/// One change of a folder; it is there after a power loss or it is not.
#[derive(Clone, Debug)]
enum Change {
    Add(OsString, u64),
    Remove(OsString),
    Rename(OsString, OsString),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

impl Folder {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    /// Every file or folder that a name leads to, or may lead to again.
    fn reached(&self) -> impl Iterator<Item = u64> {
        let added = self.changes.iter().filter_map(|change| match change {
            Change::Add(_, node) => Some(*node),
            Change::Remove(_) | Change::Rename(..) => None,
        });
        self.names.values().chain(self.durable.values()).copied().chain(added)
    }
}

/// What `stat` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) is_folder: bool,
    pub(super) bytes: usize,
}

/// One disk.
#[derive(Debug)]
pub(super) struct Image {
    nodes: BTreeMap<u64, Node>,
    next: u64,
    blocks: usize,
}

impl Image {
    /// An empty disk of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let root = Node::Folder(Folder::default());
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, blocks: bytes / BLOCK }
    }

    fn folder(&self, folder: u64) -> Result<&Folder, Errno> {
        match self.nodes.get(&folder) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File { .. }) => Err(Errno::NOTDIR),
            None => Err(Errno::NOENT),
        }
    }

    fn folder_mut(&mut self, folder: u64) -> Result<&mut Folder, Errno> {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder(folder)) => Ok(folder),
            Some(Node::File { .. }) => Err(Errno::NOTDIR),
            None => Err(Errno::NOENT),
        }
    }

    fn file(&self, file: u64) -> Result<&Content, Errno> {
        match self.nodes.get(&file) {
            Some(Node::File { content, .. }) => Ok(content),
            Some(Node::Folder(_)) => Err(Errno::ISDIR),
            None => Err(Errno::NOENT),
        }
    }

    fn file_mut(&mut self, file: u64) -> Result<&mut Content, Errno> {
        match self.nodes.get_mut(&file) {
            Some(Node::File { content, .. }) => Ok(content),
            Some(Node::Folder(_)) => Err(Errno::ISDIR),
            None => Err(Errno::NOENT),
        }
    }

    /// What a name leads to.
    pub(super) fn find(&self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.folder(folder)?.names.get(name).copied().ok_or(Errno::NOENT)
    }

    pub(super) fn facts(&self, node: u64) -> Result<Facts, Errno> {
        match self.nodes.get(&node).ok_or(Errno::NOENT)? {
            Node::Folder(_) => Ok(Facts { is_folder: true, bytes: 0 }),
            Node::File { content, .. } => {
                Ok(Facts { is_folder: false, bytes: content.bytes().len() })
            }
        }
    }

    /// The names in a folder, in order.
    pub(super) fn list(&self, folder: u64) -> Result<&Names, Errno> {
        Ok(&self.folder(folder)?.names)
    }

    pub(super) fn make_folder(&mut self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.make(folder, name, Node::Folder(Folder::default()))
    }

    /// Makes an empty file.
    pub(super) fn make_file(&mut self, folder: u64, name: &OsStr) -> Result<u64, Errno> {
        self.make(folder, name, Node::File { content: Content::default(), open: 0 })
    }

    fn make(&mut self, folder: u64, name: &OsStr, node: Node) -> Result<u64, Errno> {
        let number = self.next;
        let folder = self.folder_mut(folder)?;
        if folder.names.contains_key(name) {
            return Err(Errno::EXIST);
        }
        folder.change(Change::Add(name.to_owned(), number));
        self.nodes.insert(number, node);
        self.next += 1;
        Ok(number)
    }

    /// Removes a file, or a folder in which nothing is.
    pub(super) fn remove(&mut self, folder: u64, name: &OsStr) -> Result<(), Errno> {
        let node = self.find(folder, name)?;
        if self.list(node).is_ok_and(|names| !names.is_empty()) {
            return Err(Errno::NOTEMPTY);
        }
        self.folder_mut(folder)?.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    /// Gives a file another name in the same folder; what had that name is gone.
    pub(super) fn rename(&mut self, folder: u64, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        self.find(folder, from)?;
        if from != to {
            let change = Change::Rename(from.to_owned(), to.to_owned());
            self.folder_mut(folder)?.change(change);
        }
        Ok(())
    }

    pub(super) fn read(&self, file: u64, offset: usize, count: usize) -> Result<&[u8], Errno> {
        Ok(self.file(file)?.read(offset, count))
    }

    pub(super) fn write(&mut self, file: u64, offset: usize, bytes: &[u8]) -> Result<(), Errno> {
        let end = offset.checked_add(bytes.len()).ok_or(Errno::FBIG)?;
        self.refuse_growth(file, end)?;
        self.file_mut(file)?.write(offset, bytes);
        Ok(())
    }

    pub(super) fn resize(&mut self, file: u64, bytes: usize) -> Result<(), Errno> {
        self.refuse_growth(file, bytes)?;
        self.file_mut(file)?.resize(bytes);
        Ok(())
    }

    /// Whether a file may have so many bytes.
    fn refuse_growth(&self, file: u64, bytes: usize) -> Result<(), Errno> {
        let had = self.file(file)?.bytes().len().div_ceil(BLOCK);
        let wanted = bytes.div_ceil(BLOCK).saturating_sub(had);
        if wanted > self.free_blocks() { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// All blocks, of [`BLOCK`] bytes.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    pub(super) fn free_blocks(&self) -> usize {
        let of = |node: &Node| match node {
            Node::File { content, .. } => content.bytes().len().div_ceil(BLOCK),
            Node::Folder(_) => 0,
        };
        self.blocks.saturating_sub(self.nodes.values().map(of).sum())
    }

    /// A descriptor of this file is there, or is not any more.
    pub(super) fn opened(&mut self, file: u64, is_open: bool) {
        if let Some(Node::File { open, .. }) = self.nodes.get_mut(&file) {
            *open = if is_open { *open + 1 } else { open.saturating_sub(1) };
            if *open == 0 {
                self.forget();
            }
        }
    }

    /// Makes the bytes of a file durable, or the names in a folder.
    pub(super) fn sync(&mut self, node: u64) -> Result<(), Errno> {
        match self.nodes.get_mut(&node).ok_or(Errno::NOENT)? {
            Node::File { content, .. } => content.sync(),
            Node::Folder(folder) => {
                folder.changes.clear();
                folder.durable.clone_from(&folder.names);
                self.forget();
            }
        }
        Ok(())
    }

    /// A sync of this file failed; names are tried again by the next one.
    pub(super) fn fail_sync(&mut self, node: u64) {
        if let Some(Node::File { content, .. }) = self.nodes.get_mut(&node) {
            content.fail_sync();
        }
    }

    /// The power goes, and with it every process that had a file open.
    pub(super) fn lose_power(&mut self, loss: Loss, draw: &mut Draw) -> Lost {
        let mut lost = Lost::default();
        for node in self.nodes.values_mut() {
            match node {
                Node::Folder(folder) => {
                    let changes = std::mem::take(&mut folder.changes);
                    let kept = match loss {
                        Loss::Drop => 0,
                        Loss::Tear => draw.index(changes.len() + 1),
                    };
                    changes[..kept].iter().for_each(|change| change.apply(&mut folder.durable));
                    folder.names.clone_from(&folder.durable);
                    lost.at_stake += changes.len();
                    lost.names += changes.len() - kept;
                }
                Node::File { content, open } => {
                    *open = 0;
                    lost.at_stake += content.at_stake();
                    lost.bytes += content.lose(loss, draw);
                }
            }
        }
        self.forget();
        lost
    }

    /// Forgets what nothing leads to.
    fn forget(&mut self) {
        let mut reached = BTreeSet::from([ROOT]);
        let mut next = vec![ROOT];
        while let Some(node) = next.pop() {
            let Ok(folder) = self.folder(node) else { continue };
            next.extend(folder.reached().filter(|node| reached.insert(*node)));
        }
        let is_open = |node: &Node| matches!(node, Node::File { open, .. } if *open > 0);
        self.nodes.retain(|number, node| reached.contains(number) || is_open(node));
    }

    /// Puts a durable file where it is found on the host.
    pub(super) fn seed(&mut self, folder: u64, name: &OsStr, bytes: Vec<u8>) -> Result<(), Errno> {
        let content = Content::durable(bytes);
        self.make(folder, name, Node::File { content, open: 0 }).map(drop)
    }
}

#[cfg(test)]
#[path = "image_tests.rs"]
mod tests;
