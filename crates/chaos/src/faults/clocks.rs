//! Clocks of running controllers that go wrong.
//!
//! Confirmed by readings that the library in front of the C library counts, and by how much the last one was off.

use super::injection::{Done, Injection, text};
use crate::ground::skew::{Felt, Skewed};
use crate::stand::Stand;
use rustix::process::Pid;

impl Injection {
    pub(super) fn skew(
        &mut self,
        stand: &Stand,
        node: usize,
        skewed: Skewed,
    ) -> Result<Done, String> {
        let controller = &stand.controllers[node];
        let skew = controller.skew.as_ref().ok_or("its clocks are the kernel's")?;
        let before = skew.felt().map_err(text)?;
        skew.set(skewed, controller.ahead).map_err(text)?;
        self.clocks_read.get_or_insert(0);
        Ok(Done::Skewed(node, skewed, before, controller.pid()))
    }

    pub(super) fn end_skew(
        &mut self,
        stand: &Stand,
        (node, skewed, before, whose): (usize, Skewed, Felt, Option<Pid>),
    ) -> Result<(), String> {
        let controller = &stand.controllers[node];
        let skew = controller.skew.as_ref().ok_or("its clocks are the kernel's")?;
        let felt = skew.felt().map_err(text)?;
        skew.set(Skewed::default(), controller.ahead).map_err(text)?;
        // Another fault of the same moment ended it; whoever runs there now began with true clocks.
        if controller.pid() != whose {
            self.evidence.push(format!("n{node}, whose clocks were wrong, ended"));
            return Ok(());
        }
        let reads = felt.reads - before.reads;
        *self.clocks_read.get_or_insert(0) += reads;
        let gained_ms = (felt.ahead - before.ahead) / 1_000_000;
        let jumped_s = felt.jumped / 1_000_000_000;
        self.evidence.push(format!(
            "n{node} read clocks {reads} times; they gained {gained_ms} ms, civil time was {jumped_s} s ahead"
        ));
        let is_felt = reads > 0
            && jumped_s == skewed.jump_s
            && gained_ms.signum() == skewed.rate_ppm.signum();
        is_felt.then_some(()).ok_or_else(|| format!("n{node} did not read other clocks"))
    }
}
