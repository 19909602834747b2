//! What a fault of brokers means.

use super::super::catalogue::Kind;
use super::rules::both;
use super::{Deed, Scene};
use crate::draw::Draw;
use crate::fabric::{Effect, Hosts};

pub(super) fn broker(kind: Kind, scene: &Scene, draw: &mut Draw) -> Vec<Deed> {
    let set = draw.index(scene.brokers.len());
    let Some(master) = scene.masters[set] else { return Vec::new() };
    let host = Hosts::from([scene.brokers[set][master]]);
    let cut = |from: &Hosts| both(&host, from, Effect::Cut).into_iter().map(Deed::Rule).collect();
    let replicas = || scene.brokers[set].iter().copied().filter(|one| !host.contains(one));
    match kind {
        Kind::MasterKill => vec![Deed::KillBroker(set, master)],
        Kind::ReplicaKill => {
            let step = 1 + draw.index(scene.brokers[set].len() - 1);
            vec![Deed::KillBroker(set, (master + step) % scene.brokers[set].len())]
        }
        Kind::MasterSuspend => vec![Deed::SuspendBroker(set, master)],
        Kind::MasterFromReplicas => cut(&replicas().collect()),
        Kind::MasterApart => cut(&replicas().chain(scene.others(&[])).collect()),
        Kind::MasterCut => cut(&scene.others(&[])),
        _ => cut(&scene.addresses(&[scene.leader])),
    }
}
