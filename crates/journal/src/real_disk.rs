//! The disk of the machine: a folder of the file system, through `std` and `flock`.
//!
//! Folder entries are made durable by a sync of the folder, file contents by `fdatasync`. Assumed
//! of the hardware: a sector keeps its old or its new bytes, or a mixture of both, when the power
//! goes; and a sync that returned is true.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::disk::{Disk, DiskFile};
use crate::error::{DiskError, OpenError};

/// A folder of the file system.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// The open folder: its sync makes names durable.
    handle: File,
    /// Held open for as long as the folder is ours: closing it gives the lock back.
    lock: Option<File>,
}

/// A file of the file system.
#[derive(Debug)]
pub struct RealFile(File);

impl RealDisk {
    /// Opens `folder`, which is made first if it does not exist. Takes no lock yet and writes
    /// nothing else.
    ///
    /// # Errors
    /// - [`OpenError::NotAFolder`]: something else has that name.
    /// - [`OpenError::Permission`]: the folder may not be made or read.
    /// - [`OpenError::Disk`]: any other failure.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, OpenError> {
        let folder = folder.into();
        let place = folder.display().to_string();
        let failed = |action, source| OpenError::from(DiskError::new(&place, "", action, source));
        if fs::metadata(&folder).is_ok_and(|found| !found.is_dir()) {
            return Err(OpenError::NotAFolder { place });
        }
        if !folder.exists() {
            fs::create_dir_all(&folder).map_err(|source| match source.kind() {
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                    OpenError::NotAFolder { place: place.clone() }
                }
                _ => failed("make the folder", source),
            })?;
            if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_path(parent).map_err(|source| failed("sync the parent folder of", source))?;
            }
        }
        let handle = File::open(&folder).map_err(|source| failed("open the folder", source))?;
        Ok(Self { folder, handle, lock: None })
    }
}

fn sync_path(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Disk for RealDisk {
    type File = RealFile;

    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // A name that is not Unicode cannot be one of ours; its lossy form says enough in an
            // error text.
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    fn lock(&mut self, name: &str) -> io::Result<()> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(self.folder.join(name))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        self.lock = Some(file);
        Ok(())
    }

    fn open(&self, name: &str) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).open(self.folder.join(name)).map(RealFile)
    }

    fn create(&mut self, name: &str) -> io::Result<RealFile> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.folder.join(name))
            .map(RealFile)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.folder.join(from), self.folder.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.folder.join(name))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl DiskFile for RealFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
