//! 1002: who becomes master.

use replicas::{Command, ElectMaster, Evidence, MasterEpoch, Outcome, Policy, Rejection, Replicas};

use crate::fixture::{
    SET, accept, alive, alter, check, clean, describe, designate, elect_anyone, elect_by, heard,
    id, living, refused, registered, still_exists, three_in_sync, unclean, with_epochs,
};

const LAST: i32 = i32::MAX;

/// One election in one state, and what the broker set is afterwards.
#[track_caller]
fn row(before: &Replicas, command: &Command, expected: Result<(), Rejection>, after: &str) {
    let mut state = before.clone();
    let result = state.decide(command).map(|decision| decision.outcome);
    assert_eq!(result.clone().map(drop), expected, "{command:?}");
    check(&mut state, command, result);
    assert_eq!(describe(&state), after, "{command:?}");
}

fn designate_nobody(evidence: Evidence) -> Command {
    designate(-1, evidence)
}

/// Master 1 was taken away; 1, 2 and 3 are still in sync.
fn without_master() -> Replicas {
    let mut state = three_in_sync();
    accept(&mut state, &elect_anyone(alive(&[])));
    state
}

/// Master 1 alone is in sync; 2 and 3 are not.
fn one_in_sync() -> Replicas {
    let mut state = registered(3);
    accept(&mut state, &elect_by(1, alive(&[1])));
    state
}

#[test]
fn an_unknown_broker_set_comes_before_everything() {
    let unknown = Rejection::ElectSetUnknown;
    for command in [
        elect_by(1, alive(&[1])),
        elect_anyone(alive(&[])),
        designate(1, alive(&[1])),
        designate_nobody(alive(&[])),
        unclean(elect_anyone(alive(&[]))),
    ] {
        refused(&Replicas::new(), &command, unknown.clone());
        let mut cleaned = three_in_sync();
        accept(&mut cleaned, &living(clean(SET, None, alive(&[]))));
        refused(&cleaned, &command, unknown.clone());
    }
}

#[test]
fn the_first_election_names_a_registered_living_broker() {
    // S1, S2, U08: upstream takes any id, and -1 leaves a set that can never be elected.
    let state = registered(2);
    let untouched = "master none, epochs 0/0, [] of [1, 2], next 3, never elected";
    let second = "master 2, epochs 1/1, [2] of [1, 2], next 3";
    let failed = || Err(Rejection::ElectionFailed);
    row(&state, &elect_by(2, alive(&[])), Ok(()), second);
    row(&state, &elect_by(2, alive(&[1, 2])), Ok(()), second);
    row(&state, &designate(2, alive(&[2])), Ok(()), second);
    row(&state, &designate(2, alive(&[1])), failed(), untouched);
    for number in [9, 0, -2, i64::MAX] {
        row(&state, &elect_by(number, alive(&[number])), failed(), untouched);
        row(&state, &designate(number, alive(&[number])), failed(), untouched);
        row(&state, &unclean(elect_by(number, alive(&[1, number]))), failed(), untouched);
    }
    row(&state, &elect_anyone(alive(&[1, 2])), Ok(()), untouched);
    row(&state, &elect_by(-1, alive(&[1, 2])), Ok(()), untouched);
    row(&state, &designate_nobody(alive(&[1, 2])), Ok(()), untouched);
    row(&state, &unclean(designate_nobody(alive(&[1, 2]))), Ok(()), untouched);
    row(&state, &unclean(elect_anyone(alive(&[2, 9]))), Ok(()), second);
    row(&state, &unclean(elect_anyone(alive(&[9]))), Ok(()), untouched);
}

#[test]
fn a_living_master_stays_unless_another_is_designated() {
    let state = three_in_sync();
    let same = "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 4";
    let stays = || Err(still_exists(1, (1, 2), &[1, 2, 3]));
    let failed = || Err(Rejection::ElectionFailed);
    let all = || alive(&[1, 2, 3]);
    for number in [-1, 0, 1, 2, 3, 9] {
        row(&state, &elect_by(number, all()), stays(), same);
        row(&state, &unclean(elect_by(number, all())), stays(), same);
    }
    row(&state, &elect_anyone(all()), stays(), same);
    // However far ahead another is.
    row(&state, &elect_anyone(heard(&[(1, 0, 0, 9), (2, 7, 7, 1)])), stays(), same);
    row(&state, &designate(1, all()), stays(), same);
    row(&state, &designate_nobody(all()), Ok(()), same);
    row(&state, &unclean(designate_nobody(all())), Ok(()), same);
    row(&state, &designate(2, all()), Ok(()), "master 2, epochs 2/3, [2] of [1, 2, 3], next 4");
    row(&state, &designate(2, alive(&[1, 3])), failed(), same);
    row(&state, &designate(1, alive(&[2, 3])), failed(), same);
    row(&state, &designate(9, alive(&[1, 9])), failed(), same);
}

// covers: caller_counts_as_alive
#[test]
fn a_broker_that_asks_for_itself_counts_as_alive() {
    let state = three_in_sync();
    let same = "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 4";
    let second = "master 2, epochs 2/3, [2] of [1, 2, 3], next 4";
    row(&state, &elect_by(1, alive(&[])), Err(still_exists(1, (1, 2), &[1, 2, 3])), same);
    row(&state, &elect_by(2, alive(&[])), Ok(()), second);
    // It stands last: with epoch -1, offset -1 and the largest priority number.
    let third = "master 3, epochs 2/3, [3] of [1, 2, 3], next 4";
    row(&state, &elect_by(2, heard(&[(3, -1, -1, LAST - 1)])), Ok(()), third);
    row(&state, &elect_by(2, heard(&[(3, -1, -1, LAST)])), Ok(()), second);
    // What was heard of it counts, if something was.
    row(&state, &elect_by(2, heard(&[(2, 5, 5, 5), (3, 5, 4, 4)])), Ok(()), second);
    // Only in its own command, and not by designation.
    row(&state, &designate(2, alive(&[])), Err(Rejection::ElectionFailed), same);
    // Outside the sync-state set it does not stand, unless the election may be unclean.
    let lone = one_in_sync();
    let lone_same = "master 1, epochs 1/1, [1] of [1, 2, 3], next 4";
    row(&lone, &elect_by(2, alive(&[])), Err(Rejection::ElectionFailed), lone_same);
    let lone_second = "master 2, epochs 2/2, [2] of [1, 2, 3], next 4";
    row(&lone, &unclean(elect_by(2, alive(&[]))), Ok(()), lone_second);
}

#[test]
fn of_the_living_in_sync_the_furthest_wins() {
    // P1: upstream subtracts, so that differences of 2 GiB and more give the wrong winner.
    const GIB_2: i64 = 1 << 31;
    let state = three_in_sync();
    let wins = |number: i64, brokers: &[(i64, i32, i64, i32)]| {
        let after = format!("master {number}, epochs 2/3, [{number}] of [1, 2, 3], next 4");
        row(&state, &elect_anyone(heard(brokers)), Ok(()), &after);
        let reversed: Vec<_> = brokers.iter().rev().copied().collect();
        row(&state, &elect_anyone(heard(&reversed)), Ok(()), &after);
    };
    wins(2, &[(2, 1, 2, 9), (3, 0, 3, 1)]);
    wins(3, &[(2, 1, 2, 1), (3, 1, 3, 9)]);
    wins(3, &[(2, 1, 3, 2), (3, 1, 3, 1)]);
    wins(2, &[(2, 1, 3, 1), (3, 1, 3, 1)]);
    wins(3, &[(2, 1, 0, 1), (3, 1, GIB_2, 9)]);
    wins(3, &[(2, 1, 0, 1), (3, 1, 2 * GIB_2, 9)]);
    wins(3, &[(2, 1, i64::MIN, 1), (3, 1, i64::MAX, 9)]);
    wins(2, &[(2, i32::MAX, 0, 1), (3, i32::MIN, 5, 1)]);
    wins(3, &[(2, 1, 3, i32::MAX), (3, 1, 3, i32::MIN)]);
    // The unregistered do not stand, however far they are.
    wins(2, &[(2, -1, -1, LAST), (9, 5, 5, 1)]);
}

#[test]
fn without_a_candidate_the_epoch_rises_once_and_only_for_a_lost_master() {
    // S9, U09: upstream raises it at each of three attempts, at every scan.
    let state = three_in_sync();
    let gone = "master none, epochs 2/2, [1, 2, 3] of [1, 2, 3], next 4";
    let no_master =
        |taken_away, epoch| Ok(Outcome::NoMaster { taken_away, master_epoch: MasterEpoch(epoch) });
    for nobody in [elect_anyone(alive(&[])), elect_by(-1, alive(&[9]))] {
        let mut state = state.clone();
        check(&mut state, &nobody, no_master(Some(id(1)), 2));
        for _ in 0..10 {
            check(&mut state, &nobody, no_master(None, 2));
            assert_eq!(describe(&state), gone);
        }
    }
    // A designation of nobody takes nothing away, a named broker that cannot win neither.
    let same = "master 1, epochs 1/2, [1, 2, 3] of [1, 2, 3], next 4";
    row(&state, &designate_nobody(alive(&[])), Ok(()), same);
    row(&state, &designate(2, alive(&[])), Err(Rejection::ElectionFailed), same);
    row(&state, &elect_by(9, alive(&[9])), Err(Rejection::ElectionFailed), same);
}

#[test]
fn the_kept_sync_state_set_elects_again() {
    let state = without_master();
    let gone = "master none, epochs 2/2, [1, 2, 3] of [1, 2, 3], next 4";
    let third = "master 3, epochs 3/3, [3] of [1, 2, 3], next 4";
    row(&state, &elect_anyone(alive(&[3])), Ok(()), third);
    row(&state, &elect_by(3, alive(&[])), Ok(()), third);
    row(&state, &elect_by(9, alive(&[3, 9])), Ok(()), third);
    row(&state, &designate(3, alive(&[1, 2, 3])), Ok(()), third);
    row(&state, &designate(9, alive(&[3, 9])), Err(Rejection::ElectionFailed), gone);
    // The former master too, with a new epoch: it was gone in between.
    row(&state, &elect_by(1, alive(&[])), Ok(()), "master 1, epochs 3/3, [1] of [1, 2, 3], next 4");
}

#[test]
fn an_unclean_election_falls_back_to_all_living_replicas() {
    let state = one_in_sync();
    let same = "master 1, epochs 1/1, [1] of [1, 2, 3], next 4";
    let second = "master 2, epochs 2/2, [2] of [1, 2, 3], next 4";
    let third = "master 3, epochs 2/2, [3] of [1, 2, 3], next 4";
    let stays = || Err(still_exists(1, (1, 1), &[1]));
    let further = || heard(&[(2, 1, 1, 1), (3, 1, 2, 1)]);
    row(&state, &unclean(elect_anyone(further())), Ok(()), third);
    row(&state, &unclean(elect_by(2, further())), Ok(()), third);
    row(&state, &unclean(elect_anyone(alive(&[1, 2, 3]))), stays(), same);
    row(&state, &unclean(designate(2, alive(&[1, 2]))), Ok(()), second);
    row(&state, &designate(2, alive(&[1, 2])), Err(Rejection::ElectionFailed), same);
    row(&state, &unclean(designate(9, alive(&[9]))), Err(Rejection::ElectionFailed), same);
    row(&state, &unclean(designate(1, alive(&[1, 2]))), stays(), same);
}

#[test]
fn after_its_sync_state_set_was_cleaned_only_an_unclean_election_helps() {
    let mut state = one_in_sync();
    accept(&mut state, &clean(SET, Some("1"), alive(&[2, 3])));
    let empty = "master none, epochs 2/2, [] of [2, 3], next 4";
    assert_eq!(describe(&state), empty);
    row(&state, &elect_by(2, alive(&[2, 3])), Err(Rejection::ElectionFailed), empty);
    row(&state, &designate(2, alive(&[2, 3])), Err(Rejection::ElectionFailed), empty);
    row(&state, &elect_anyone(alive(&[2, 3])), Ok(()), empty);
    let third = "master 3, epochs 3/3, [3] of [2, 3], next 4";
    row(&state, &unclean(designate(3, alive(&[2, 3]))), Ok(()), third);
    row(&state, &unclean(elect_anyone(alive(&[3]))), Ok(()), third);
}

#[test]
fn the_answer_names_master_members_and_the_one_before() {
    let mut state = three_in_sync();
    let outcome = accept(&mut state, &designate(2, alive(&[1, 2])));
    let Outcome::MasterElected { master, previous, cluster, members } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(master, crate::fixture::master(2, (2, 3), &[2]));
    assert_eq!(previous, Some(id(1)));
    assert_eq!(cluster.as_deref(), Some("cluster-a"));
    let members: Vec<_> = members.iter().map(|member| (member.id.0, &*member.address)).collect();
    let addresses = ["127.0.0.1:9000", "127.0.0.1:9001", "127.0.0.1:9002"];
    assert_eq!(members, [(1, addresses[0]), (2, addresses[1]), (3, addresses[2])]);
}

#[test]
fn epochs_at_their_end_refuse_only_what_would_raise_them() {
    let exhausted = || Err(Rejection::EpochExhausted { set: SET.into() });
    let after = |master: i32, set: i32| {
        format!("master 1, epochs {master}/{set}, [1, 2, 3] of [1, 2, 3], next 4")
    };
    for (master, set) in [(LAST, 2), (1, LAST)] {
        let state = with_epochs(&three_in_sync(), master, set);
        let same = after(master, set);
        let stays = Err(still_exists(1, (master, set), &[1, 2, 3]));
        row(&state, &elect_by(2, alive(&[2])), exhausted(), &same);
        row(&state, &designate(2, alive(&[1, 2])), exhausted(), &same);
        row(&state, &elect_by(2, alive(&[1])), stays, &same);
        row(&state, &designate(9, alive(&[])), Err(Rejection::ElectionFailed), &same);
        row(&state, &designate_nobody(alive(&[])), Ok(()), &same);
    }
    let state = with_epochs(&three_in_sync(), LAST, 2);
    row(&state, &elect_anyone(alive(&[])), exhausted(), &after(LAST, 2));
    let state = with_epochs(&three_in_sync(), 1, LAST);
    let gone = format!("master none, epochs 2/{LAST}, [1, 2, 3] of [1, 2, 3], next 4");
    row(&state, &elect_anyone(alive(&[])), Ok(()), &gone);
}

#[test]
fn nobody_and_minus_one_ask_alike() {
    let none = |designate| {
        let evidence = alive(&[]);
        let set = SET.into();
        let policy = Policy::default();
        let (broker, seen, unclean) = (None, None, false);
        Command::ElectMaster(ElectMaster {
            set,
            broker,
            designate,
            unclean,
            evidence,
            seen,
            policy,
        })
    };
    for state in [registered(2), three_in_sync(), without_master(), one_in_sync()] {
        assert_eq!(state.decide(&none(false)), state.decide(&elect_by(-1, alive(&[]))));
        assert_eq!(state.decide(&none(true)), state.decide(&designate_nobody(alive(&[]))));
    }
    // A set that a master has shrunk is elected from what is left.
    let mut state = three_in_sync();
    accept(&mut state, &alter(1, (1, 2), &[1, 3], alive(&[1, 3])));
    let after = "master 3, epochs 2/4, [3] of [1, 2, 3], next 4";
    row(&state, &elect_anyone(alive(&[2, 3])), Ok(()), after);
}

/// The same election with a policy of the leader's configuration.
fn under(command: Command, preferred: &[i64], never: &[i64]) -> Command {
    let Command::ElectMaster(command) = command else { panic!("no election: {command:?}") };
    let ids = |ids: &[i64]| ids.iter().map(|number| id(*number)).collect();
    let policy = Policy::new(ids(preferred), ids(never));
    Command::ElectMaster(ElectMaster { policy, ..command })
}

/// The same election, proposed when the master epoch was this.
fn seen_at(command: Command, epoch: i32) -> Command {
    let Command::ElectMaster(command) = command else { panic!("no election: {command:?}") };
    Command::ElectMaster(ElectMaster { seen: Some(MasterEpoch(epoch)), ..command })
}

#[test]
fn preferred_masters_go_before_offset_in_a_clean_election_and_after_it_in_an_unclean_one() {
    let two = |epochs: (i32, i32), offsets: (i64, i64)| {
        heard(&[(2, epochs.0, offsets.0, 1), (3, epochs.1, offsets.1, 9)])
    };
    let clean = |evidence| under(elect_anyone(evidence), &[3], &[]);
    let (elects_2, elects_3) = (
        |set: &str| format!("master 2, epochs 2/3, [2] of {set}"),
        |set: &str| format!("master 3, epochs 2/3, [3] of {set}"),
    );
    let all = "[1, 2, 3], next 4";
    let state = three_in_sync();
    row(&state, &clean(two((1, 1), (10, 10))), Ok(()), &elects_3(all));
    row(&state, &clean(two((1, 1), (11, 10))), Ok(()), &elects_3(all));
    row(&state, &clean(two((2, 1), (10, 11))), Ok(()), &elects_2(all));
    // A living master stays, whoever is preferred.
    let stays = Err(still_exists(1, (1, 2), &[1, 2, 3]));
    let same = format!("master 1, epochs 1/2, [1, 2, 3] of {all}");
    row(&state, &under(elect_anyone(alive(&[1, 3])), &[3], &[1]), stays, &same);
    let state = one_in_sync();
    let unclean_one = |evidence| unclean(clean(evidence));
    let after = |id: i64| format!("master {id}, epochs 2/2, [{id}] of {all}");
    row(&state, &unclean_one(two((1, 1), (11, 10))), Ok(()), &after(2));
    row(&state, &unclean_one(two((1, 1), (10, 10))), Ok(()), &after(3));
}

#[test]
fn a_broker_that_is_never_to_be_master_is_one_only_by_an_operators_word() {
    let state = three_in_sync();
    let all = "[1, 2, 3], next 4";
    let three = format!("master 3, epochs 2/3, [3] of {all}");
    let two = format!("master 2, epochs 2/3, [2] of {all}");
    let gone = format!("master none, epochs 2/2, [1, 2, 3] of {all}");
    let same = format!("master 1, epochs 1/2, [1, 2, 3] of {all}");
    let best_is_2 = || heard(&[(2, 9, 99, 1), (3, 1, 1, 9)]);
    row(&state, &under(elect_anyone(best_is_2()), &[2], &[2]), Ok(()), &three);
    row(&state, &under(elect_anyone(alive(&[2])), &[], &[2]), Ok(()), &gone);
    row(&state, &under(unclean(elect_anyone(alive(&[2]))), &[], &[2]), Ok(()), &gone);
    let failed = || Err(Rejection::ElectionFailed);
    row(&state, &under(elect_by(2, alive(&[2])), &[], &[2]), failed(), &same);
    row(&state, &under(designate(2, alive(&[2])), &[], &[2]), Ok(()), &two);
    let fresh = registered(2);
    let nobody = "master none, epochs 0/0, [] of [1, 2], next 3, never elected";
    row(&fresh, &under(elect_by(2, alive(&[2])), &[], &[2]), failed(), nobody);
    let first = "master 2, epochs 1/1, [2] of [1, 2], next 3";
    row(&fresh, &under(designate(2, alive(&[2])), &[], &[2]), Ok(()), first);
}

#[test]
fn an_election_that_another_overtook_deposes_nobody() {
    // 1 and 2 asked for themselves at once, before a heartbeat of 1 was here and when nobody was master.
    let mut state = registered(3);
    accept(&mut state, &seen_at(elect_by(1, alive(&[])), 0));
    let after = "master 1, epochs 1/1, [1] of [1, 2, 3], next 4";
    assert_eq!(describe(&state), after);
    let stays = || Err(still_exists(1, (1, 1), &[1]));
    for late in [
        elect_by(2, alive(&[2])),
        elect_anyone(alive(&[2])),
        unclean(elect_by(2, alive(&[2]))),
        unclean(elect_anyone(alive(&[2]))),
    ] {
        row(&state, &seen_at(late.clone(), 0), stays(), after);
        // Evidence that was taken of this very master counts.
        assert_ne!(state.decide(&seen_at(late, 1)).err(), stays().err());
    }
    // An operator's word is not about who was master.
    let named = "master 2, epochs 2/2, [2] of [1, 2, 3], next 4";
    row(&state, &seen_at(unclean(designate(2, alive(&[2]))), 0), Ok(()), named);
}

/// What the judgement says of each member, in the words of [`Verdict`].
fn verdicts(state: &Replicas, command: &Command) -> String {
    let Command::ElectMaster(election) = command else { panic!("no election: {command:?}") };
    let judged = state.judge(election).unwrap();
    let decided = match state.decide(command).map(|decision| decision.outcome) {
        Ok(Outcome::MasterElected { master, .. })
        | Err(Rejection::MasterStillExists { master, .. }) => Some(master.id),
        _ => None,
    };
    assert_eq!(judged.choice, decided, "what decides also explains");
    let members = judged.members.iter().map(|(id, verdict)| format!("{id} {verdict:?}"));
    members.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_member_hears_why() {
    let state = three_in_sync();
    let rows = [
        (elect_anyone(alive(&[1, 2])), "1 Stays, 2 MasterStays, 3 NotAlive"),
        (elect_by(2, alive(&[])), "1 NotAlive, 2 Chosen, 3 NotAlive"),
        (elect_anyone(alive(&[])), "1 NotAlive, 2 NotAlive, 3 NotAlive"),
        (
            elect_anyone(heard(&[(2, 2, 1, 1), (3, 1, 9, 1)])),
            "1 NotAlive, 2 Chosen, 3 Behind(Epoch)",
        ),
        (
            elect_anyone(heard(&[(2, 1, 1, 1), (3, 1, 9, 1)])),
            "1 NotAlive, 2 Behind(Offset), 3 Chosen",
        ),
        (
            elect_anyone(heard(&[(2, 1, 1, 2), (3, 1, 1, 1)])),
            "1 NotAlive, 2 Behind(Priority), 3 Chosen",
        ),
        (elect_anyone(heard(&[(2, 1, 1, 1), (3, 1, 1, 1)])), "1 NotAlive, 2 Chosen, 3 Behind(Id)"),
        (
            under(elect_anyone(heard(&[(2, 1, 9, 1), (3, 1, 1, 1)])), &[3], &[]),
            "1 NotAlive, 2 Behind(Preferred), 3 Chosen",
        ),
        (under(elect_anyone(alive(&[2, 3])), &[], &[2]), "1 NotAlive, 2 Never, 3 Chosen"),
        (designate(3, alive(&[1, 2, 3])), "1 NotNamed, 2 NotNamed, 3 Chosen"),
        (designate(3, alive(&[1])), "1 NotNamed, 2 NotNamed, 3 NotAlive"),
        (designate_nobody(alive(&[1])), "1 NotNamed, 2 NotNamed, 3 NotNamed"),
    ];
    for (command, expected) in rows {
        assert_eq!(verdicts(&state, &command), expected, "{command:?}");
    }
    let state = one_in_sync();
    let rows = [
        (elect_anyone(alive(&[2, 3])), "1 NotAlive, 2 NotInSync, 3 NotInSync"),
        (unclean(elect_anyone(alive(&[3]))), "1 NotAlive, 2 NotAlive, 3 ChosenUnclean"),
        (unclean(designate(3, alive(&[3]))), "1 NotNamed, 2 NotNamed, 3 ChosenUnclean"),
        (designate(3, alive(&[3])), "1 NotNamed, 2 NotNamed, 3 NotInSync"),
        (elect_anyone(alive(&[1, 2])), "1 Stays, 2 NotInSync, 3 NotAlive"),
        (unclean(elect_anyone(alive(&[1, 2]))), "1 Stays, 2 InSyncFirst, 3 NotAlive"),
        (under(elect_anyone(alive(&[1, 2])), &[], &[2]), "1 Stays, 2 Never, 3 NotAlive"),
    ];
    for (command, expected) in rows {
        assert_eq!(verdicts(&state, &command), expected, "{command:?}");
    }
    let fresh = registered(2);
    assert_eq!(verdicts(&fresh, &elect_by(2, alive(&[1]))), "1 FirstIsAsked, 2 Chosen");
    assert_eq!(verdicts(&fresh, &elect_anyone(alive(&[1]))), "1 NotInSync, 2 NotInSync");
}

/// DESIGN, "Cleaning and coming again": replicas remain, nobody is in sync, and an operator gives the set a master.
#[test]
fn a_named_unclean_election_revives_a_set_with_nobody_in_sync() {
    let mut state = one_in_sync();
    accept(&mut state, &clean(SET, Some("1"), alive(&[])));
    assert_eq!(describe(&state), "master none, epochs 2/2, [] of [2, 3], next 4");
    let same = "master none, epochs 2/2, [] of [2, 3], next 4";
    row(&state, &designate(3, alive(&[2, 3])), Err(Rejection::ElectionFailed), same);
    let after = "master 3, epochs 3/3, [3] of [2, 3], next 4";
    row(&state, &unclean(designate(3, alive(&[2, 3]))), Ok(()), after);
}
