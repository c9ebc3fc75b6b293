//! Makes a failing schedule short.

use super::action::Action;

/// Takes actions away, in chunks from half of them down to single ones and then in pairs, and
/// makes those that stay plainer, as long as the rest still fails. `fails` says how many of the
/// actions it took until it failed. It is asked until the schedules that it was asked about have
/// so many actions in all.
pub(super) fn shrink(
    actions: Vec<Action>,
    budget: usize,
    fails: impl FnMut(&[Action]) -> Option<usize>,
) -> Vec<Action> {
    let mut shrinking = Shrinking { actions, budget, fails };
    let mut chunk = shrinking.actions.len() / 2;
    while chunk > 1 {
        shrinking.remove_chunks(chunk);
        chunk /= 2;
    }
    // One action may be needed only for another that has gone meanwhile, or for a plainer one no
    // more. Each round makes the schedule shorter or plainer, so this ends.
    while shrinking.remove_chunks(1) || shrinking.make_plainer() || shrinking.remove_pairs() {}
    shrinking.actions
}

struct Shrinking<F> {
    actions: Vec<Action>,
    budget: usize,
    fails: F,
}

impl<F: FnMut(&[Action]) -> Option<usize>> Shrinking<F> {
    /// Goes on with a candidate, as far as it is needed, if that fails too.
    fn accepts(&mut self, mut candidate: Vec<Action>) -> bool {
        if self.budget < candidate.len() {
            self.budget = 0;
            return false;
        }
        self.budget -= candidate.len();
        let Some(used) = (self.fails)(&candidate) else { return false };
        candidate.truncate(used);
        self.actions = candidate;
        true
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
            let Some(action) = self.actions.get(at).copied() else { break };
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
    fn fails(actions: &[Action]) -> Option<usize> {
        let count = |is: fn(&Action) -> bool| actions.iter().filter(|action| is(action)).count();
        let server = |action: &Action| match action {
            Action::Crash { server, .. } => server.0,
            _ => 0,
        };
        let even = count(|action| matches!(action, Action::Start(_)))
            == count(|action| matches!(action, Action::CompleteWrite(_)));
        let second = actions.iter().position(|action| even && server(action) == 2)?;
        let first = actions[second..].iter().position(|action| server(action) == 1)?;
        Some(second + first + 1)
    }

    #[test]
    fn what_is_not_needed_goes() {
        let mut actions = vec![Action::Heal; 1000];
        (actions[100], actions[300], actions[700]) = (crash(1), crash(2), crash(1));
        (actions[50], actions[500]) =
            (Action::Start(ServerId(1)), Action::CompleteWrite(ServerId(1)));
        let shrunk = shrink(actions, 1_000_000, fails);
        let plain = |server| Action::Crash { server: ServerId(server), torn: None };
        assert_eq!(shrunk, [plain(2), plain(1)]);
    }

    #[test]
    fn work_is_bounded() {
        let mut actions = vec![Action::Heal; 1000];
        (actions[300], actions[700]) = (crash(2), crash(1));
        let mut asked = 0;
        let shrunk = shrink(actions, 4000, |actions| {
            asked += actions.len();
            fails(actions)
        });
        assert!(asked <= 4000);
        assert!(fails(&shrunk).is_some());
    }
}
