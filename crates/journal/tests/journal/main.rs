//! The journal from outside: what is written is found again, whatever the disk did meanwhile.
//!
//! | Module | Question |
//! |---|---|
//! | `model` | what a journal must say, without a disk; random scripts; the one `check` |
//! | `crash` | every disk operation fails in turn; every crash tears what was not synced |
//! | `damage` | bytes rot, files are cut, zeroed, exchanged |
//! | `opening` | folders that must be refused, and how |
//! | `upkeep` | snapshots, recycling, spares, a full disk |
//! | `format` | the bytes themselves, as a golden file |
//! | `real` | the same on the machine's own disk |

#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod format;
#[cfg(test)]
mod model;
#[cfg(test)]
mod opening;
#[cfg(test)]
mod real;
#[cfg(test)]
mod upkeep;
