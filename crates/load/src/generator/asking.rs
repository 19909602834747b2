//! One request that wants an answer: opened as a call, encoded and written. Both threads send by this.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::calls::{Call, opaque};
use super::line::Queued;
use super::measures::{Ending, Kind, Recorder};
use super::plan::By;
use super::shared::{Shared, SourceState};
use super::wire::{append_get, append_set};
use crate::clock::mono_ns;
use crate::workload::Wire;

impl Shared {
    /// Sends the request of a call that says who asks about what, over which line, and when it was due; whether it was
    /// sent. `recorder` is that of the thread that calls.
    pub(super) fn ask(&self, recorder: &Recorder, call: Call) -> bool {
        let Call { source, subject, line, .. } = call;
        let state = &self.sources[source];
        let floor = match state.plan.kind {
            Kind::GetReplicaInfo => {
                self.sets.get(subject).map_or(0, |set| set.acked.load(Ordering::Acquire))
            }
            _ => 0,
        };
        let mut connection = self.line(line);
        let call = Call { sent_ns: mono_ns(), floor, ..call };
        if state.in_flight.load(Ordering::Acquire) >= state.plan.in_flight_max {
            drop(connection);
            self.ended_unsent(recorder, &call, Ending::Skipped);
            return false;
        }
        let mut number = None;
        let queued = connection.queue(|out| {
            number = self.calls.open(call);
            if let Some(number) = number {
                self.append(state, subject, opaque(number), out);
            }
        });
        let (Queued::Taken, Some(number)) = (queued, number) else {
            drop(connection);
            let is_lost = queued == Queued::NotConnected;
            let ending = if is_lost { Ending::Lost } else { Ending::Skipped };
            self.ended_unsent(recorder, &call, ending);
            return false;
        };
        state.in_flight.fetch_add(1, Ordering::AcqRel);
        if !matches!(self.plan.wire, Wire::Controller | Wire::SelfTest) {
            connection.wait_for(number);
        }
        // A connection that breaks is seen by the reader, which ends all its calls.
        drop(connection.flush());
        true
    }

    /// Records a request that never left.
    pub(super) fn ended_unsent(&self, recorder: &Recorder, call: &Call, ending: Ending) {
        let now_ns = mono_ns();
        self.record(recorder, &Call { sent_ns: now_ns, ..*call }, ending, now_ns);
    }

    /// Writes a source's request.
    fn append(&self, source: &SourceState, subject: usize, opaque: i32, out: &mut Vec<u8>) {
        let (stencils, wire) = (&self.stencils, self.plan.wire);
        match source.plan.kind {
            Kind::OneWayHeartbeat | Kind::Heartbeat => {
                self.brokers[subject].heartbeat.append(opaque, out);
            }
            Kind::GetReplicaInfo => stencils.polls[subject].append(opaque, out),
            Kind::GetMetadata => stencils.metadata.append(opaque, out),
            Kind::GetNextBrokerId => stencils.next_ids[subject].append(opaque, out),
            Kind::AlterSyncStateSet => {
                let change = self.sets[subject].change.lock();
                let change = change.unwrap_or_else(PoisonError::into_inner);
                change.iter().for_each(|change| change.append(opaque, out));
            }
            Kind::Get => append_get(wire, subject, out),
            Kind::Set => {
                let value_bytes = match source.plan.by {
                    By::Stream { value_bytes, .. } => value_bytes,
                    By::Brokers { .. } | By::Masters { .. } | By::Reaction { .. } => 0,
                };
                append_set(wire, subject, value_bytes, out);
            }
        }
    }
}
