//! Our metrics: `pitchover_*`, in seconds and other base units.

use std::sync::OnceLock;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::java::{as_f64, election_word};
use super::{
    ElectionReason, ElectionResult, ExpiryReason, NoticeResult, RequestKind, RequestOrigin, Stage,
};

/// Upper bounds of our latency buckets, in seconds: from a fast answer out of memory (20 µs) over
/// one sync of a disk (1 to 30 ms) to the time-outs of brokers (3 s) and upstream (5 s).
const BUCKETS_SECONDS: [f64; 17] = [
    0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3, 0.5,
    1.0, 3.0, 5.0, 10.0,
];

/// Response codes with a series of their own; the others share `other`.
const CODES: [(i32, &str); 26] = [
    (0, "0"),
    (1, "1"),
    (2, "2"),
    (3, "3"),
    (16, "16"),
    (2000, "2000"),
    (2001, "2001"),
    (2002, "2002"),
    (2003, "2003"),
    (2004, "2004"),
    (2005, "2005"),
    (2006, "2006"),
    (2007, "2007"),
    (2008, "2008"),
    (2009, "2009"),
    (2010, "2010"),
    (2011, "2011"),
    (2012, "2012"),
    (2013, "2013"),
    (2014, "2014"),
    (2015, "2015"),
    (2016, "2016"),
    (2017, "2017"),
    (2018, "2018"),
    (2019, "2019"),
    (-1, "other"),
];
const OTHER_CODE: usize = CODES.len() - 1;

const KINDS: usize = RequestKind::ALL.len();
const ORIGINS: usize = 2;
const STAGES: usize = 7;

type Fixed<const N: usize> = [(&'static str, &'static str); N];
type Histograms<const N: usize> = Family<Fixed<N>, Histogram, fn() -> Histogram>;

#[derive(Debug)]
pub(super) struct Own {
    requests: Family<Fixed<2>, Counter>,
    latencies: Histograms<2>,
    stages: Histograms<1>,
    journal_syncs: Histogram,
    elections: Family<Vec<(&'static str, String)>, Counter>,
    refusals: Family<Fixed<1>, Counter>,
    notices: Family<Fixed<1>, Counter>,
    expiries: Family<Fixed<1>, Counter>,
    leader_changes: Counter,
    request_cells: [[OnceLock<Counter>; CODES.len()]; KINDS],
    latency_cells: [[OnceLock<Histogram>; ORIGINS]; KINDS],
    stage_cells: [OnceLock<Histogram>; STAGES],
}

impl Own {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let own = Self {
            requests: Family::default(),
            latencies: Family::new_with_constructor(histogram),
            stages: Family::new_with_constructor(histogram),
            journal_syncs: histogram(),
            elections: Family::default(),
            refusals: Family::default(),
            notices: Family::default(),
            expiries: Family::default(),
            leader_changes: Counter::default(),
            request_cells: std::array::from_fn(|_| std::array::from_fn(|_| OnceLock::new())),
            latency_cells: Default::default(),
            stage_cells: Default::default(),
        };
        let build = Family::<Fixed<1>, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        let registry = registry.sub_registry_with_prefix("pitchover");
        registry.register("build_info", "What runs here", build);
        registry.register("requests", "Requests by answer", own.requests.clone());
        registry.register("request_seconds", "Time to answer", own.latencies.clone());
        registry.register("stage_seconds", "Time of a write's steps", own.stages.clone());
        let help = "Time of a journal's sync";
        registry.register("journal_sync_seconds", help, own.journal_syncs.clone());
        registry.register("elections", "Elections of masters", own.elections.clone());
        registry.register("refused", "Refused by a limit", own.refusals.clone());
        registry.register("notices", "Role notices to brokers", own.notices.clone());
        registry.register("brokers_expired", "Brokers taken for dead", own.expiries.clone());
        registry.register("leader_changes", "Changes of leader seen", own.leader_changes.clone());
        own
    }

    pub(super) fn request(&self, origin: RequestOrigin, kind: RequestKind, code: i32, micros: u64) {
        let row = kind as usize;
        let column = code_position(code);
        self.request_cells[row][column]
            .get_or_init(|| {
                let labels = [("type", kind.label()), ("code", CODES[column].1)];
                self.requests.get_or_create_owned(&labels)
            })
            .inc();
        self.latency_cells[row][origin as usize]
            .get_or_init(|| {
                let origin = match origin {
                    RequestOrigin::Direct => "direct",
                    RequestOrigin::Forwarded => "forwarded",
                };
                self.latencies.get_or_create_owned(&[("type", kind.label()), ("origin", origin)])
            })
            .observe(seconds(micros));
    }

    pub(super) fn stage(&self, stage: Stage, micros: u64) {
        self.stage_cells[stage as usize]
            .get_or_init(|| {
                let name = match stage {
                    Stage::Propose => "propose",
                    Stage::Append => "append",
                    Stage::Sync => "sync",
                    Stage::Replicate => "replicate",
                    Stage::Commit => "commit",
                    Stage::Apply => "apply",
                    Stage::Reply => "reply",
                };
                self.stages.get_or_create_owned(&[("stage", name)])
            })
            .observe(seconds(micros));
    }

    pub(super) fn journal_sync(&self, micros: u64) {
        self.journal_syncs.observe(seconds(micros));
    }

    pub(super) fn election(
        &self,
        cluster: &str,
        broker_set: &str,
        result: ElectionResult,
        reason: ElectionReason,
    ) {
        let reason = match reason {
            ElectionReason::Broker => "broker",
            ElectionReason::Operator => "operator",
            ElectionReason::MasterLost => "master_lost",
        };
        let labels = vec![
            ("cluster", cluster.to_owned()),
            ("broker_set", broker_set.to_owned()),
            ("result", election_word(result).to_owned()),
            ("reason", reason.to_owned()),
        ];
        self.elections.get_or_create(&labels).inc();
    }

    pub(super) fn refused(&self, limit: &'static str) {
        self.refusals.get_or_create(&[("limit", limit)]).inc();
    }

    pub(super) fn notice(&self, result: NoticeResult) {
        let result = match result {
            NoticeResult::Delivered => "delivered",
            NoticeResult::Failed => "failed",
            NoticeResult::Superseded => "superseded",
        };
        self.notices.get_or_create(&[("result", result)]).inc();
    }

    pub(super) fn broker_expired(&self, reason: ExpiryReason) {
        let reason = match reason {
            ExpiryReason::Silent => "silent",
            ExpiryReason::Closed => "closed",
        };
        self.expiries.get_or_create(&[("reason", reason)]).inc();
    }

    pub(super) fn leader_changed(&self) {
        self.leader_changes.inc();
    }
}

/// Position of a code in [`CODES`], without a search: it is on the path of every request.
fn code_position(code: i32) -> usize {
    /// Where 2000 stands.
    const FIRST_OF_2000: usize = 5;
    match code {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 3,
        16 => 4,
        2000..=2019 => usize::try_from(code - 2000).map_or(OTHER_CODE, |at| at + FIRST_OF_2000),
        _ => OTHER_CODE,
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS_SECONDS)
}

fn seconds(micros: u64) -> f64 {
    as_f64(micros) / 1e6
}

#[cfg(test)]
mod tests {
    use super::{CODES, OTHER_CODE, code_position};

    #[test]
    fn codes_find_their_label() {
        for (position, (code, label)) in CODES.iter().enumerate() {
            assert_eq!(code_position(*code), position);
            assert_eq!(label.parse().unwrap_or(-1), *code);
        }
        assert_eq!(code_position(2020), OTHER_CODE);
    }
}
