//! What the names in the folder say, before any file is opened.

use crate::disk::Disk;
use crate::error::{DiskError, OpenError};
use crate::layout::Name;

/// The names in the folder, sorted by what they mean.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    pub(crate) has_identity: bool,
    /// Generations, ascending.
    pub(crate) segments: Vec<u64>,
    pub(crate) spares: Vec<u64>,
    pub(crate) snapshots: Vec<String>,
    /// Names of files that were never completed.
    pub(crate) asides: Vec<String>,
    foreign: Vec<String>,
}

impl Survey {
    pub(crate) fn read<D: Disk>(disk: &D) -> Result<Self, OpenError> {
        let names = disk
            .list()
            .map_err(|source| DiskError::new(&disk.place(), "", "list the folder", source))?;
        let mut survey = Self::default();
        for name in names {
            match Name::parse(&name) {
                Name::Lock => {}
                Name::Identity => survey.has_identity = true,
                Name::Segment(generation) => survey.segments.push(generation),
                Name::Spare(number) => survey.spares.push(number),
                Name::Snapshot { .. } => survey.snapshots.push(name),
                Name::Aside => survey.asides.push(name),
                Name::Foreign => survey.foreign.push(name),
            }
        }
        survey.segments.sort_unstable();
        Ok(survey)
    }

    /// Refuses a folder that is somebody else's.
    ///
    /// Beside an identity, files that are not ours are left alone; without one, the folder must be
    /// empty but for what file systems and tools put everywhere.
    pub(crate) fn refuse_foreign(&self, place: String) -> Result<(), OpenError> {
        if self.has_identity {
            return Ok(());
        }
        let is_harmless = |name: &String| name.starts_with('.') || name == "lost+found";
        match self.foreign.iter().find(|name| !is_harmless(name)) {
            None => Ok(()),
            Some(file) => {
                let is_java = is_java_controller(file);
                Err(OpenError::NotAJournal { place, file: file.clone(), is_java })
            }
        }
    }
}

/// Source: the data folders of upstream's `DLedgerController` and `JRaftController`.
fn is_java_controller(name: &str) -> bool {
    name.starts_with("dledger-") || ["log", "raft_meta", "snapshot"].contains(&name)
}
