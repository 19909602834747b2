//! Deeds that are about crowds.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | crowds of one manner, and nothing else | what each controller and its kernel counted |
//! | crowds with another fault | the same, of one controller at least for each manner |

use super::injection::{Done, Injection, text};
use super::plan::Deed;
use crate::crowd::{Crowd, Manner};
use crate::stand::Stand;
use std::collections::BTreeMap;

impl Injection {
    pub(super) fn crowd(
        &mut self,
        stand: &Stand,
        (node, manner): (usize, Manner),
    ) -> Result<Done, String> {
        self.crowds_felt.entry(manner).or_insert(0);
        let plan = &stand.controllers[node].plan;
        let crowd = Crowd::gather(&plan.namespace, manner, plan.kind.is_ours());
        Ok(Done::Crowded(node, manner, crowd.map_err(text)?))
    }

    pub(super) async fn await_crowds(&mut self) {
        for done in &mut self.done {
            if let Done::Crowded(_, _, crowd) = done {
                self.doubts.extend(crowd.begun().await.err());
            }
        }
    }

    pub(super) fn stop_crowds(&mut self) {
        for done in &mut self.done {
            if let Done::Crowded(_, _, crowd) = done {
                crowd.stop();
            }
        }
        // Who starts again is not to start in a crowd.
        self.done.sort_by_key(|done| !matches!(done, Done::Crowded(..)));
    }

    pub(super) async fn disperse(
        &mut self,
        (node, manner): (usize, Manner),
        crowd: Crowd,
    ) -> Result<(), String> {
        let felt = crowd.disperse().await?;
        let words = format!("n{node} {}", felt.words);
        let accident = felt.accident.filter(|_| !self.is_excused(node, manner));
        self.accidents.extend(accident.map(|what| format!("n{node} {what}")));
        if felt.is_enough {
            *self.crowds_felt.entry(manner).or_insert(0) += 1;
        } else if self.is_crowds_only {
            return Err(words);
        }
        self.evidence.push(words);
        Ok(())
    }

    /// Who is stopped or slowed by another deed keeps no deadline. What must never happen is never excused.
    fn is_excused(&self, node: usize, manner: Manner) -> bool {
        manner == Manner::SlowHeaders && self.hindered.contains(&node)
    }
}

/// Whether these are crowds of one manner, and nothing that could keep a controller from feeling its own.
pub(super) fn are_one_crowd(deeds: &[Deed]) -> bool {
    let manner = |deed: &Deed| match deed {
        Deed::Crowd(_, manner) => Some(*manner),
        _ => None,
    };
    let first = deeds.first().and_then(manner);
    first.is_some() && deeds.iter().all(|deed| manner(deed) == first)
}

/// A doubt for each manner that was sent and that no controller felt: what the others did does not stand for it.
pub(super) fn unfelt(felt: &BTreeMap<Manner, usize>) -> Vec<String> {
    let nowhere = felt.iter().filter(|(_, controllers)| **controllers == 0);
    nowhere.map(|(manner, _)| format!("no controller felt a crowd of {}", manner.words())).collect()
}

#[cfg(test)]
mod tests {
    use super::{Deed, Injection, Manner, are_one_crowd, unfelt};
    use crate::crowd::Manner::{Overload, SlowReaders, Storm};
    use std::collections::BTreeMap;

    #[test]
    fn each_manner_must_be_felt_somewhere() {
        let check = |felt: &[(Manner, usize)], expected: &[&str]| {
            let felt: BTreeMap<Manner, usize> = felt.iter().copied().collect();
            assert_eq!(unfelt(&felt), expected);
        };
        check(&[], &[]);
        check(&[(Overload, 1), (SlowReaders, 2)], &[]);
        check(
            &[(Overload, 0), (SlowReaders, 3)],
            &["no controller felt a crowd of those who ask too much"],
        );
        check(
            &[(Storm, 0), (SlowReaders, 0)],
            &[
                "no controller felt a crowd of those who connect and close",
                "no controller felt a crowd of those who read nothing",
            ],
        );
    }

    #[test]
    fn only_a_deadline_is_excused_and_only_of_the_hindered() {
        let mut injection = Injection::default();
        injection.hindered.insert(1);
        let excused = |manner| [0, 1, 2].map(|node| injection.is_excused(node, manner));
        assert_eq!(excused(Manner::SlowHeaders), [false, true, false]);
        assert_eq!(excused(Manner::Malformed), [false; 3]);
    }

    #[test]
    fn a_crowd_must_be_felt_everywhere_only_if_nothing_else_is_done() {
        let overload = [Deed::Crowd(0, Overload), Deed::Crowd(1, Overload)];
        assert!(are_one_crowd(&overload));
        assert!(!are_one_crowd(&[overload[0].clone(), Deed::Crowd(0, Storm)]));
        assert!(!are_one_crowd(&[overload[0].clone(), Deed::Kill(1)]));
        assert!(!are_one_crowd(&[]));
    }
}
