//! Makes a failing schedule short.

use super::action::Action;

/// Takes actions away, in chunks from half of them down to single ones and then in pairs, and
/// makes those that stay plainer, as long as the rest still fails. `attempt` is asked whether it
/// does, until that has cost as much as `budget`.
pub(super) fn shrink(
    actions: Vec<Action>,
    budget: u64,
    attempt: impl FnMut(&[Action]) -> Attempt,
) -> Vec<Action> {
    let mut shrinking = Shrinking { actions, budget, attempt };
    // One action may be needed only for another that has gone meanwhile. Each round makes the
    // schedule shorter or plainer, so this ends.
    while shrinking.remove_ever_less() || shrinking.make_plainer() || shrinking.remove_pairs() {}
    shrinking.actions
}

/// How it went with a schedule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// If it fails in the same way: how many of the actions were taken until then.
    pub(super) fails_after: Option<usize>,
    /// What it cost to find out, in any unit.
    pub(super) cost: u64,
}

struct Shrinking<F> {
    actions: Vec<Action>,
    budget: u64,
    attempt: F,
}

impl<F: FnMut(&[Action]) -> Attempt> Shrinking<F> {
    /// Goes on with a candidate, as far as it is needed, if that fails too.
    fn accepts(&mut self, mut candidate: Vec<Action>) -> bool {
        if self.budget == 0 {
            return false;
        }
        let Attempt { fails_after, cost } = (self.attempt)(&candidate);
        self.budget = self.budget.saturating_sub(cost);
        let Some(used) = fails_after else { return false };
        candidate.truncate(used);
        self.actions = candidate;
        true
    }

    /// Tries to do without chunks of half the schedule, a quarter, and so on down to one action.
    /// Whether any has gone.
    fn remove_ever_less(&mut self) -> bool {
        let mut removed = false;
        let mut chunk = self.actions.len().div_ceil(2);
        while chunk > 0 {
            removed |= self.remove_chunks(chunk);
            chunk /= 2;
        }
        removed
    }

    /// Tries to do without each chunk of this length, the last first: they depend on those before
    /// them. Whether any has gone.
    fn remove_chunks(&mut self, chunk: usize) -> bool {
        let mut removed = false;
        let mut end = self.actions.len();
        while end > 0 {
            let begin = end.saturating_sub(chunk);
            let without = [&self.actions[..begin], &self.actions[end..]].concat();
            removed |= self.accepts(without);
            end = begin.min(self.actions.len());
        }
        removed
    }

    /// Tries to do without two actions that need each other, like a link that is cut and healed.
    /// Whether any have gone.
    fn remove_pairs(&mut self) -> bool {
        for second in (1..self.actions.len()).rev() {
            for first in (0..second).rev() {
                let mut without = self.actions.clone();
                without.remove(second);
                without.remove(first);
                if self.accepts(without) {
                    return true;
                }
            }
        }
        false
    }

    /// Whether any action has become plainer.
    fn make_plainer(&mut self) -> bool {
        let mut changed = false;
        for at in 0..self.actions.len() {
            let Some(action) = self.actions.get(at).cloned() else { break };
            for plainer in action.plainer() {
                let mut candidate = self.actions.clone();
                let Some(place) = candidate.get_mut(at) else { break };
                *place = plainer;
                if self.accepts(candidate) {
                    changed = true;
                    break;
                }
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki_specs::ServerId;

    fn crash(server: u64) -> Action {
        Action::Crash { server: ServerId(server), torn: Some(1) }
    }

    /// Fails at a crash of S1 that comes after one of S2, if there are as many starts as writes.
    /// Each attempt costs 1.
    fn attempt(actions: &[Action]) -> Attempt {
        let count = |is: fn(&Action) -> bool| actions.iter().filter(|action| is(action)).count();
        let even = count(|action| matches!(action, Action::Start(_)))
            == count(|action| matches!(action, Action::CompleteWrite(_)));
        let is = |action: &Action, id: u64| matches!(action, Action::Crash { server, .. } if server.0 == id);
        let second = actions.iter().position(|action| even && is(action, 2));
        let fails_after = second.and_then(|second| {
            let first = actions[second..].iter().position(|action| is(action, 1))?;
            Some(second + first + 1)
        });
        Attempt { fails_after, cost: 1 }
    }

    #[test]
    fn what_is_not_needed_goes() {
        let mut actions = vec![Action::Heal; 1000];
        (actions[100], actions[300], actions[700]) = (crash(1), crash(2), crash(1));
        (actions[50], actions[500]) =
            (Action::Start(ServerId(1)), Action::CompleteWrite(ServerId(1)));
        let shrunk = shrink(actions, 1_000, attempt);
        let plain = |server| Action::Crash { server: ServerId(server), torn: None };
        assert_eq!(shrunk, [plain(2), plain(1)]);
    }

    #[test]
    fn work_is_bounded() {
        let mut actions = vec![Action::Heal; 1000];
        (actions[300], actions[700]) = (crash(2), crash(1));
        let mut asked = 0;
        let shrunk = shrink(actions, 5, |actions| {
            asked += 1;
            attempt(actions)
        });
        assert_eq!(asked, 5);
        assert!(attempt(&shrunk).fails_after.is_some());
    }
}
