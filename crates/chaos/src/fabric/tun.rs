//! One TUN device: packets of a namespace as reads and writes of a file.
//!
//! One of two files of the workspace with `unsafe` (the other asks for slices of a processor): attaching to a device is
//! an `ioctl` that no library we have offers. Decision 0009 gives the reason.

#![expect(unsafe_code, reason = "TUNSETIFF has no safe wrapper; decision 0009")]

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where the kernel makes devices.
pub(crate) const DEVICE: &str = "/dev/net/tun";

/// `_IOW('T', 202, int)`. Source: Linux `include/uapi/linux/if_tun.h`.
const TUNSETIFF: Opcode = opcode::write::<u32>(b'T', 202);

/// Bytes of `struct ifreq` on 64-bit Linux.
const REQUEST: usize = 40;

/// Longest name of a network device, its ending zero included.
const NAME_MAX: usize = 16;

/// IP packets, without the four bytes before them. Source: `IFF_TUN | IFF_NO_PI`.
const FLAGS: u16 = 0x0001 | 0x1000;

/// An open device; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Tun(OwnedFd);

impl Tun {
    /// Makes the device `name` in the network namespace of this thread.
    pub(super) fn open(name: &str) -> io::Result<Self> {
        assert!(name.len() < NAME_MAX, "a device's name of {} bytes", name.len());
        let file =
            File::from(rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty())?);
        let mut request = [0_u8; REQUEST];
        request[..name.len()].copy_from_slice(name.as_bytes());
        request[NAME_MAX..NAME_MAX + 2].copy_from_slice(&FLAGS.to_ne_bytes());
        // SAFETY: TUNSETIFF reads one `struct ifreq` of 40 bytes from the pointer, which is what `request`
        // is, and keeps no reference to it.
        unsafe { ioctl(&file, Setter::<TUNSETIFF, [u8; REQUEST]>::new(request)) }?;
        Ok(Self(file.into()))
    }

    /// One packet, if there is one.
    pub(super) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        loop {
            match rustix::io::read(&self.0, &mut *buffer) {
                Err(Errno::INTR) => {}
                read => return read.ok().filter(|length| *length > 0),
            }
        }
    }

    /// Delivers one packet; `false` if the device did not take it.
    pub(super) fn write(&self, packet: &[u8]) -> bool {
        rustix::io::write(&self.0, packet).is_ok()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
