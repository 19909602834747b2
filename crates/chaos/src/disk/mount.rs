//! What the kernel asks of the disk, and what it is answered.
//!
//! Everything that reads, writes or syncs first meets the trouble in force. What hangs is kept, and done when the disk
//! is healed, in the order in which it came; a process that is killed meanwhile cannot end before ([`Shared::release`]).

use super::image::{BLOCK, Facts, Image, ROOT};
use super::trouble::{Counts, Fate, Operation, Trouble};
use super::{Answer, Loss, Order};
use crate::draw::Draw;
use fuser::{
    BsdFileFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// How long the kernel may believe what it was told: not at all, since a power loss changes everything behind it.
const BELIEF: Duration = Duration::ZERO;

/// Longest name, in bytes.
const NAME_BYTES_MAX: u32 = 255;

/// Something that hangs.
#[derive(Debug)]
enum Held {
    Read { file: u64, offset: usize, count: usize, reply: ReplyData },
    Write { file: u64, offset: usize, bytes: Vec<u8>, reply: ReplyWrite },
    Change { change: Change, reply: ReplyEmpty },
    Sync { node: u64, reply: ReplyEmpty },
}

/// A change of names or of a length that answers nothing but whether it is done.
#[derive(Debug)]
enum Change {
    Remove(u64, Box<OsStr>),
    Rename(u64, Box<OsStr>, Box<OsStr>),
    Reserve(u64, usize),
}

#[derive(Debug)]
struct State {
    image: Image,
    trouble: Option<Trouble>,
    counts: Counts,
    held: Vec<Held>,
}

/// The disk as the kernel's threads and the orders share it.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// The trouble in force is another one.
    changed: Condvar,
}

fn from(error: Errno) -> fuser::Errno {
    fuser::Errno::from_i32(error.raw_os_error())
}

/// Offsets and sizes beyond memory are beyond the disk.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl State {
    fn change(&mut self, change: &Change) -> Result<(), Errno> {
        match change {
            Change::Remove(folder, name) => self.image.remove(*folder, name),
            Change::Rename(folder, name, to) => self.image.rename(*folder, name, to),
            Change::Reserve(file, bytes) => {
                let has = self.image.facts(*file)?.bytes;
                self.image.resize(*file, has.max(*bytes))
            }
        }
    }

    fn finish(&mut self, held: Held) {
        match held {
            Held::Read { file, offset, count, reply } => {
                match self.image.read(file, offset, count) {
                    Ok(bytes) => reply.data(bytes),
                    Err(error) => reply.error(from(error)),
                }
            }
            Held::Write { file, offset, bytes, reply } => {
                match self.image.write(file, offset, &bytes) {
                    Ok(()) => reply.written(u32::try_from(bytes.len()).unwrap_or(u32::MAX)),
                    Err(error) => reply.error(from(error)),
                }
            }
            Held::Change { change, reply } => answer(reply, self.change(&change)),
            Held::Sync { node, reply } => answer(reply, self.image.sync(node)),
        }
    }
}

impl Held {
    fn operation(&self) -> Operation {
        match self {
            Self::Read { .. } => Operation::Read,
            Self::Write { .. } | Self::Change { .. } => Operation::Write,
            Self::Sync { .. } => Operation::Sync,
        }
    }

    fn fail(self, error: Errno) {
        let error = from(error);
        match self {
            Self::Read { reply, .. } => reply.error(error),
            Self::Write { reply, .. } => reply.error(error),
            Self::Change { reply, .. } | Self::Sync { reply, .. } => reply.error(error),
        }
    }
}

fn answer(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(from(error)),
    }
}

impl Shared {
    pub(super) fn new(image: Image) -> Self {
        let (trouble, counts, held) = (None, Counts::default(), Vec::new());
        Self { state: Mutex::new(State { image, trouble, counts, held }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the names and bytes that are seen.
    pub(super) fn look<T>(&self, look: impl FnOnce(&Image) -> T) -> T {
        look(&self.lock().image)
    }

    /// Does what it is told.
    pub(super) fn obey(&self, order: Order) -> Answer {
        let mut state = self.lock();
        let mut answer = Answer::default();
        match order {
            Order::Begin(trouble) => {
                state.trouble = Some(trouble);
                state.counts = Counts::default();
            }
            Order::Heal => state.trouble = None,
            Order::Release => state.held.drain(..).for_each(|held| held.fail(Errno::IO)),
            Order::Count => {}
            Order::Power(loss, seed) => answer.lost = Self::lose_power(&mut state, loss, seed),
        }
        if !matches!(order, Order::Count) {
            self.changed.notify_all();
        }
        if state.trouble.is_none() {
            for held in std::mem::take(&mut state.held) {
                state.finish(held);
            }
        }
        answer.counts = state.counts;
        answer
    }

    fn lose_power(state: &mut State, loss: Loss, seed: u64) -> super::Lost {
        state.held.drain(..).for_each(|held| held.fail(Errno::IO));
        state.image.lose_power(loss, &mut Draw::new(seed))
    }

    /// Does an operation, now, later, or not at all.
    fn carry_out(&self, held: Held) {
        let mut state = self.lock();
        let operation = held.operation();
        let trouble = state.trouble;
        match state.counts.meet(trouble, operation) {
            Fate::Done => state.finish(held),
            Fate::Held => state.held.push(held),
            Fate::Failed(error) => {
                if let Held::Sync { node, .. } = held {
                    state.image.fail_sync(node);
                }
                held.fail(error);
            }
            Fate::Delayed(time) => {
                let waits = |state: &mut State| state.trouble == trouble;
                let waited = self.changed.wait_timeout_while(state, time, waits);
                waited.unwrap_or_else(PoisonError::into_inner).0.finish(held);
            }
        }
    }

    /// Whether a change that answers with a file or a folder may happen now. Such a change never hangs and never
    /// waits: whatever uses what it made does.
    fn may_change(&self, state: &mut State) -> Result<(), Errno> {
        match state.trouble {
            Some(Trouble::Fail(_) | Trouble::ReadOnly) => {
                let trouble = state.trouble;
                match state.counts.meet(trouble, Operation::Write) {
                    Fate::Failed(error) => Err(error),
                    Fate::Done | Fate::Delayed(_) | Fate::Held => Ok(()),
                }
            }
            Some(Trouble::Delay(..) | Trouble::Hang(_)) | None => Ok(()),
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Image) -> Result<T, Errno>) -> Result<T, Errno> {
        let mut state = self.lock();
        self.may_change(&mut state)?;
        change(&mut state.image)
    }
}

fn attributes(node: u64, facts: Facts) -> FileAttr {
    let at = SystemTime::UNIX_EPOCH;
    let (kind, perm) =
        if facts.is_folder { (FileType::Directory, 0o755) } else { (FileType::RegularFile, 0o644) };
    FileAttr {
        ino: INodeNo(node),
        size: facts.bytes as u64,
        // `stat` counts in 512 bytes, whatever a block is.
        blocks: facts.bytes.div_ceil(512) as u64,
        atime: at,
        mtime: at,
        ctime: at,
        crtime: at,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: u32::try_from(BLOCK).unwrap_or(u32::MAX),
        flags: 0,
    }
}

/// The file system of a [`Shared`] disk.
#[derive(Debug)]
pub(super) struct Mounted(pub(super) Arc<Shared>);

impl Mounted {
    fn entry(&self, result: Result<u64, Errno>, reply: ReplyEntry) {
        let facts = result.and_then(|node| Ok((node, self.0.look(|image| image.facts(node))?)));
        match facts {
            Ok((node, facts)) => reply.entry(&BELIEF, &attributes(node, facts), Generation(0)),
            Err(error) => reply.error(from(error)),
        }
    }

    fn attributes(&self, node: u64, reply: ReplyAttr) {
        match self.0.look(|image| image.facts(node)) {
            Ok(facts) => reply.attr(&BELIEF, &attributes(node, facts)),
            Err(error) => reply.error(from(error)),
        }
    }
}

impl Filesystem for Mounted {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.entry(self.0.look(|image| image.find(parent.0, name)), reply);
    }

    fn getattr(&self, _: &Request, node: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.attributes(node.0, reply);
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        bytes: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resize = |bytes| self.0.change(|image| image.resize(node.0, size(bytes)));
        match bytes.map_or(Ok(()), resize) {
            Ok(()) => self.attributes(node.0, reply),
            Err(error) => reply.error(from(error)),
        }
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        self.entry(self.0.change(|image| image.make_folder(parent.0, name)), reply);
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let change = Change::Remove(parent.0, name.into());
        self.0.carry_out(Held::Change { change, reply });
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.unlink(request, parent, name, reply);
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        if !flags.is_empty() {
            return reply.error(from(Errno::INVAL));
        }
        if parent != new_parent {
            return reply.error(from(Errno::XDEV));
        }
        let change = Change::Rename(parent.0, name.into(), new_name.into());
        self.0.carry_out(Held::Change { change, reply });
    }

    fn open(&self, _: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let mut state = self.0.lock();
        let writes = flags.acc_mode() != OpenAccMode::O_RDONLY;
        let is_refused = writes && state.trouble == Some(Trouble::ReadOnly);
        let result = if is_refused { self.0.may_change(&mut state) } else { Ok(()) };
        match result {
            Ok(()) => {
                state.image.opened(node.0, true);
                reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
            }
            Err(error) => reply.error(from(error)),
        }
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let flags = OFlags::from_bits_retain(flags.cast_unsigned());
        let made = self.0.change(|image| match image.make_file(parent.0, name) {
            // Somebody else made it between the kernel's question and this one.
            Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => image.find(parent.0, name),
            made => made,
        });
        let made = made.and_then(|node| {
            let mut state = self.0.lock();
            state.image.opened(node, true);
            Ok((node, state.image.facts(node)?))
        });
        match made {
            Ok((node, facts)) => reply.created(
                &BELIEF,
                &attributes(node, facts),
                Generation(0),
                FileHandle(0),
                FopenFlags::FOPEN_DIRECT_IO,
            ),
            Err(error) => reply.error(from(error)),
        }
    }

    fn read(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        count: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (file, offset, count) = (node.0, size(offset), size(u64::from(count)));
        self.0.carry_out(Held::Read { file, offset, count, reply });
    }

    fn write(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (file, offset, bytes) = (node.0, size(offset), data.to_vec());
        self.0.carry_out(Held::Write { file, offset, bytes, reply });
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        // Closing a file makes nothing durable.
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.0.lock().image.opened(node.0, false);
        reply.ok();
    }

    fn fsync(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.carry_out(Held::Sync { node: node.0, reply });
    }

    fn fsyncdir(&self, _: &Request, node: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        self.0.carry_out(Held::Sync { node: node.0, reply });
    }

    fn readdir(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let state = self.0.lock();
        let names = match state.image.list(node.0) {
            Ok(names) => names,
            Err(error) => return reply.error(from(error)),
        };
        for (at, (name, child)) in names.iter().enumerate().skip(size(offset)) {
            let is_folder = state.image.facts(*child).is_ok_and(|facts| facts.is_folder);
            let kind = if is_folder { FileType::Directory } else { FileType::RegularFile };
            // What is asked for next is told as the number of names before it.
            if reply.add(INodeNo(*child), at as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (all, free) = self.0.look(|image| (image.blocks(), image.free_blocks()));
        let block = u32::try_from(BLOCK).unwrap_or(u32::MAX);
        reply.statfs(all as u64, free as u64, free as u64, 0, 0, block, NAME_BYTES_MAX, block);
    }

    fn fallocate(
        &self,
        _: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        if mode != 0 {
            return reply.error(from(Errno::OPNOTSUPP));
        }
        let change = Change::Reserve(node.0, size(offset.saturating_add(length)));
        self.0.carry_out(Held::Change { change, reply });
    }
}

/// The uppermost folder of every mounted disk.
const _: () = assert!(ROOT == INodeNo::ROOT.0, "the kernel begins where the image does");
