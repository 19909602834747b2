//! When a peer campaigns because the leader's address refuses.

use super::{CrashCampaign, Seen};
use crate::instant::Instant;
use crate::settings::{CRASH_CAMPAIGN_STAGGER_MS, CRASH_CAMPAIGNS_MAX};
use consensus::{PeerId, Term};

const LEADER: PeerId = PeerId(1);
const TERM: Term = Term(7);

fn at(ms: u64) -> Instant {
    Instant::from_micros(ms * 1_000)
}

const CRASHED: Seen =
    Seen { leader: Some(LEADER), term: TERM, is_follower: true, refuses: true, voters: 3 };

fn is_due(campaign: &mut CrashCampaign, ms: u64, seen: Seen) -> bool {
    campaign.is_due(at(ms), seen)
}

fn refused(rank: u64) -> CrashCampaign {
    let mut campaign = CrashCampaign::default();
    campaign.refused(at(100), LEADER, TERM, rank);
    campaign
}

#[test]
fn without_a_refusal_nothing_happens() {
    let mut campaign = CrashCampaign::default();
    assert!(!is_due(&mut campaign, 0, CRASHED));
    assert_eq!(campaign.next_due(), None);
}

#[test]
fn the_rank_delays_and_rounds_repeat_up_to_a_limit() {
    for rank in 0..4 {
        let mut campaign = refused(rank);
        let first = 100 + rank * CRASH_CAMPAIGN_STAGGER_MS;
        assert_eq!(campaign.next_due(), Some(at(first)));
        let mut rounds = 0;
        for ms in 100..5_000 {
            // Said again at each failed attempt to connect; it changes nothing.
            campaign.refused(at(ms), LEADER, TERM, rank);
            let candidate = Seen { leader: None, is_follower: false, ..CRASHED };
            if is_due(&mut campaign, ms, candidate) {
                assert_eq!(ms, first + rounds * 3 * CRASH_CAMPAIGN_STAGGER_MS, "rank {rank}");
                rounds += 1;
            }
            if rounds == u64::from(CRASH_CAMPAIGNS_MAX) {
                break;
            }
        }
        assert_eq!(rounds, u64::from(CRASH_CAMPAIGNS_MAX), "rank {rank}");
        assert!(!is_due(&mut campaign, 6_000, CRASHED));
        assert_eq!(campaign.next_due(), None);
    }
}

#[test]
fn what_ends_it() {
    let rows = [
        ("another leader is heard", Seen { leader: Some(PeerId(2)), ..CRASHED }),
        ("it voted for another", Seen { leader: None, term: Term(8), ..CRASHED }),
        ("the address does not refuse any more", Seen { refuses: false, ..CRASHED }),
    ];
    for (why, seen) in rows {
        let mut campaign = refused(0);
        assert!(!is_due(&mut campaign, 100, seen), "{why}");
        assert_eq!(campaign.next_due(), None, "{why}");
        assert!(!is_due(&mut campaign, 200, CRASHED), "{why}");
    }
}

#[test]
fn its_own_candidacy_does_not_end_it() {
    let mut campaign = refused(0);
    assert!(is_due(&mut campaign, 100, CRASHED));
    let candidate = Seen { leader: None, term: Term(9), is_follower: false, ..CRASHED };
    assert!(!is_due(&mut campaign, 101, candidate));
    assert!(is_due(&mut campaign, 100 + 3 * CRASH_CAMPAIGN_STAGGER_MS, candidate));
}
