//! What the journal asks of a disk: one folder of plain files.
//!
//! Every durable byte of a peer goes through these two traits, so a simulated disk can fail, tear
//! or lose whatever a real one can. Two implementations: [`RealDisk`](crate::RealDisk) and
//! [`MemoryDisk`](crate::MemoryDisk).
//!
//! | Operation | Durable when |
//! |---|---|
//! | [`DiskFile::write_at`] | the next [`DiskFile::sync`] of that file returned |
//! | [`Disk::create`], [`Disk::rename`], [`Disk::remove`] | the next [`Disk::sync_folder`] returned |
//!
//! What is not durable yet may be lost at a crash, in part and in any order. A failed sync says
//! nothing about what is on the disk and is never repeated (J4): the kernel may have dropped the
//! pages.
//!
//! Deliberately absent: growing a file on the append path, memory maps, and any notion of a path
//! outside the folder.

use std::fmt::Debug;
use std::io;

/// One folder, and the operations on the names in it. Names are plain file names without
/// separators.
pub trait Disk: Debug + Send + 'static {
    /// An open file of this disk.
    type File: DiskFile;

    /// Where the folder is, for error texts.
    fn place(&self) -> String;

    /// All names in the folder, of files and of folders, sorted.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Takes the folder for this process by the file `name`, until this value is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another holds it; else whatever the disk reports.
    fn lock(&mut self, name: &str) -> io::Result<()>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none; else whatever the disk reports.
    fn open(&self, name: &str) -> io::Result<Self::File>;

    /// Makes an empty file; an existing one of that name is emptied.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn create(&mut self, name: &str) -> io::Result<Self::File>;

    /// Gives a file another name, in one step; an existing file `to` is replaced.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes all creations, renames and removals durable.
    ///
    /// # Errors
    /// Whatever the disk reports; nothing is known then about what is durable.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// An open file.
pub trait DiskFile: Debug + Send + 'static {
    /// The file's length.
    ///
    /// # Errors
    /// Whatever the disk reports.
    fn bytes(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before; else whatever the disk reports.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; a file that is shorter grows.
    ///
    /// # Errors
    /// Whatever the disk reports; any part of `bytes` may have been written then.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes all that was written durable, the length included (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the disk reports; nothing is known then about what is durable.
    fn sync(&mut self) -> io::Result<()>;
}
