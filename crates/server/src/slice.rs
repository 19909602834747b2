//! How long a thread of the controller wants a processor at a time.
//!
//! On busy cores a thread waits behind whoever is at it, up to the slice that those may use (3 ms by default); a poll
//! needs four such turns. Linux from 6.12 on lets a thread ask for shorter slices of its own: it does not get more, but
//! its turn comes sooner. Its turns here take a tenth of a millisecond, so a short slice costs it nothing. Older
//! kernels take the wish and do nothing about it. Decision 0011 has what it does.
//!
//! Source: Linux `kernel/sched/syscalls.c`, `__setparam_fair`; `sched_setattr(2)`.

#![expect(unsafe_code, reason = "sched_setattr has no safe wrapper in any library that we have")]

/// What is asked for, in ns. The kernel's own bounds are 0.1 and 100 ms.
const SLICE_NS: u64 = 200_000;

/// `SCHED_OTHER` of `sched(7)`: what a thread has that nobody gave another policy.
const ORDINARY: u32 = 0;

/// `struct sched_attr` in its first version. Source: Linux `include/uapi/linux/sched/types.h`, `SCHED_ATTR_SIZE_VER0`.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Bytes of [`Attributes`].
const SIZE: u32 = 48;

const _: () = assert!(size_of::<Attributes>() == SIZE as usize, "the kernel's layout");

/// Asks for short slices for the calling thread, and for those that it starts later. Where the system has no such thing, or an
/// operator gave the process another policy, everything stays as it is.
pub(crate) fn ask_for_short_ones() {
    let Some(mut attributes) = of_this_thread() else { return };
    if attributes.policy != ORDINARY {
        return;
    }
    attributes.size = SIZE;
    attributes.runtime = SLICE_NS;
    // SAFETY: the kernel reads `size` bytes from the pointer, which is what `Attributes` has, and keeps no reference.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    tracing::debug!(result, slice_ns = SLICE_NS, "asked for short slices");
}

fn of_this_thread() -> Option<Attributes> {
    let mut attributes = Attributes::default();
    // SAFETY: the kernel writes at most `SIZE` bytes to the pointer, which is what `Attributes` has, all of them plain
    // integers, and keeps no reference.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, SIZE, 0) };
    (result == 0).then_some(attributes)
}

#[cfg(test)]
mod tests {
    use super::{ORDINARY, SLICE_NS, ask_for_short_ones, of_this_thread};

    #[test]
    fn only_the_slice_changes() {
        let own = std::thread::Builder::new().name("sliced".to_owned());
        let test = own.spawn(|| {
            let Some(before) = of_this_thread() else { return };
            ask_for_short_ones();
            let after = of_this_thread().expect("asked once already");
            assert_eq!((after.policy, after.nice), (before.policy, before.nice));
            assert_eq!(after.policy, ORDINARY, "tests run with the policy that everybody has");
            // Kernels before 6.12 say nothing about slices.
            assert!([0, before.runtime, SLICE_NS].contains(&after.runtime), "{after:?}");
        });
        test.unwrap().join().unwrap();
    }
}
