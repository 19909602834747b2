//! Deeds that are about crowds.
//!
//! | Deed | Confirmed by |
//! |---|---|
//! | crowds of one manner, and nothing else | what each controller and its kernel counted |
//! | crowds with another fault | the same, of one controller at least |

use super::injection::{Done, Injection, text};
use super::plan::Deed;
use crate::crowd::{Crowd, Manner};
use crate::stand::Stand;

impl Injection {
    pub(super) fn crowd(
        &mut self,
        stand: &Stand,
        (node, manner): (usize, Manner),
    ) -> Result<Done, String> {
        self.crowds_felt.get_or_insert(0);
        let namespace = &stand.controllers[node].plan.namespace;
        Ok(Done::Crowded(node, Crowd::gather(namespace, manner).map_err(text)?))
    }

    pub(super) async fn await_crowds(&mut self) {
        for done in &mut self.done {
            if let Done::Crowded(_, crowd) = done {
                self.doubts.extend(crowd.begun().await.err());
            }
        }
    }

    pub(super) fn stop_crowds(&mut self) {
        for done in &mut self.done {
            if let Done::Crowded(_, crowd) = done {
                crowd.stop();
            }
        }
        // Who starts again is not to start in a crowd.
        self.done.sort_by_key(|done| !matches!(done, Done::Crowded(..)));
    }

    pub(super) async fn disperse(&mut self, node: usize, crowd: Crowd) -> Result<(), String> {
        let felt = crowd.disperse().await?;
        let words = format!("n{node} {}", felt.words);
        if felt.is_enough {
            *self.crowds_felt.get_or_insert(0) += 1;
        } else if self.is_crowds_only {
            return Err(words);
        }
        self.evidence.push(words);
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::{Deed, are_one_crowd};
    use crate::crowd::Manner::{Overload, Storm};

    #[test]
    fn a_crowd_must_be_felt_everywhere_only_if_nothing_else_is_done() {
        let overload = [Deed::Crowd(0, Overload), Deed::Crowd(1, Overload)];
        assert!(are_one_crowd(&overload));
        assert!(!are_one_crowd(&[overload[0].clone(), Deed::Crowd(0, Storm)]));
        assert!(!are_one_crowd(&[overload[0].clone(), Deed::Kill(1)]));
        assert!(!are_one_crowd(&[]));
    }
}
