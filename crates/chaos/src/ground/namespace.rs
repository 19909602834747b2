//! Network namespaces, made and named by `ip`, so that `ip netns` shows them and a person can look inside.

use super::{PREFIX, tool};
use crate::fabric::{Home, TUN};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

/// Where `ip` keeps their names.
pub(super) const FOLDER: &str = "/run/netns";

/// Bits of the network part of every address of a run.
const NETWORK_BITS: u8 = 16;

/// The namespaces of a run; dropping them removes them.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    names: Vec<String>,
}

/// What `part` of the run is called.
pub(crate) fn name(run: u32, part: &str) -> String {
    format!("{PREFIX}{run}-{part}")
}

impl Namespaces {
    /// Makes an empty namespace.
    pub(crate) fn add(&mut self, name: &str) -> io::Result<()> {
        tool(&["ip", "netns", "add", name])?;
        self.names.push(name.to_owned());
        Ok(())
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.names {
            // It is gone already, or the next start removes it.
            drop(tool(&["ip", "netns", "del", name]));
        }
    }
}

/// Gives a namespace its addresses, once its device is there.
pub(crate) fn furnish(home: &Home) -> io::Result<()> {
    let name = home.namespace.as_str();
    tool(&["ip", "-n", name, "link", "set", "lo", "up"])?;
    // No IPv6: its neighbour discovery would be foreign to the fabric.
    tool(&["ip", "-n", name, "link", "set", TUN, "addrgenmode", "none"])?;
    for address in &home.addresses {
        let address = format!("{address}/{NETWORK_BITS}");
        tool(&["ip", "-n", name, "addr", "add", &address, "dev", TUN])?;
    }
    tool(&["ip", "-n", name, "link", "set", TUN, "up"])?;
    Ok(())
}

/// Moves this thread into a namespace: its sockets and devices are made there from now on.
pub(crate) fn enter(name: &str) -> io::Result<()> {
    let path = Path::new(FOLDER).join(name);
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
    Ok(())
}
