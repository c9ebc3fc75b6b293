//! What must hold in the whole cluster, looked at after every step as far as the step can have
//! touched it.
//!
//! Nothing here is asked of the model. Logs are known by the writes that servers ask for, what is
//! durable by what their stores hold, and commits by what is handed to state machines.

use super::lineage::Lineage;
use super::memberships::{Memberships, Quorums, ServerSet};
use super::parameters::Parameters;
use super::problem::{Invariant, Problem};
use super::taken::Taken;
use crate::implementation::Implementation;
use kontiki::core::Raft;
use kontiki::storage::{HardState, LogStore, MemoryStore};
use kontiki_specs::{
    Entry, Input, LogIndex, LogPosition, Message, Output, RoleKind, ServerId, Term,
};
use std::collections::BTreeMap;

/// What the cluster has done so far, as far as it must be remembered.
#[derive(Clone, Debug)]
pub(super) struct Invariants {
    /// Who was elected in which term.
    leaders: BTreeMap<Term, ServerId>,
    lineage: Lineage,
    /// What was committed, from index 1 on, and in which term.
    history: Vec<(Entry, Term)>,
    /// Up to where the history was committed by which quorums. Entries that were committed later
    /// by the same ones stand for those before.
    committed_by: Vec<(usize, Quorums)>,
    /// The log of each server, as it has asked for it to be written.
    logs: Vec<Vec<Entry>>,
    /// How many entries each server has applied since it started.
    applied: Vec<usize>,
    /// How many entries of the history each disk holds, from the first on.
    on_disk: Vec<usize>,
    memberships: Memberships,
}

/// What does not hold, and what is there instead.
type Broken = (Invariant, String);

impl Invariants {
    /// Of a cluster with these parameters, before its first step.
    pub(super) fn new(parameters: &Parameters) -> Invariants {
        let servers = usize::try_from(parameters.servers).unwrap_or(0);
        Invariants {
            committed_by: Vec::new(),
            memberships: Memberships::new(parameters.servers, parameters.voters),
            leaders: BTreeMap::new(),
            lineage: Lineage::default(),
            history: Vec::new(),
            logs: vec![Vec::new(); servers],
            applied: vec![0; servers],
            on_disk: vec![0; servers],
        }
    }

    /// How many entries were committed.
    pub(super) fn committed(&self) -> u64 {
        self.history.len() as u64
    }

    /// Whether these servers have the same log and have applied all of it.
    pub(super) fn at_one_end(&self, mut places: impl Iterator<Item = usize> + Clone) -> bool {
        let first = places.clone().next().and_then(|place| self.logs.get(place));
        places.all(|place| {
            let (log, applied) = (self.logs.get(place), self.applied.get(place).copied());
            log == first && log.map(Vec::len) == applied
        })
    }

    /// The configurations of the servers.
    pub(super) fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// The last entry of a server's log.
    pub(super) fn last(&self, place: usize) -> LogPosition {
        let log = self.logs.get(place);
        log.and_then(|log| log.last()).map(Entry::position).unwrap_or_default()
    }

    /// Whether a write would replace entries of a server's log.
    pub(super) fn would_truncate(&self, place: usize, first: LogIndex) -> bool {
        self.logs.get(place).is_some_and(|log| first.0 <= log.len() as u64)
    }

    /// Looks at what a step may have touched. Its place is that of the server in `servers`.
    pub(super) fn check<'a>(
        &mut self,
        taken: &Taken<'_>,
        servers: impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Box<Problem>> {
        let Some(implementation) = servers(taken.place) else { return Ok(()) };
        let server = implementation.raft().id();
        self.find(taken, implementation.raft(), servers)
            .map_err(|(invariant, how)| Box::new(Problem::Broken { invariant, server, how }))
    }

    fn find<'a>(
        &mut self,
        taken: &Taken<'_>,
        raft: &Raft<MemoryStore>,
        servers: impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let Taken { place, input, outputs, .. } = *taken;
        if let Some(rule) = raft.broken_invariant() {
            return Err((Invariant::OwnInvariant, rule.to_string()));
        }
        let history = self.history.len();
        // A leader commits by the configuration that it had when it was answered: what it appends
        // in the same step comes after that (M3).
        let quorums = self.memberships.in_force(place).map(|known| known.quorums);
        let (mut disk_changed, mut log_changed) = (false, false);
        match input {
            Input::Restart { .. } => {
                self.restarts(place, raft);
                (disk_changed, log_changed) = (true, true);
            }
            Input::EntriesWritten { .. } => disk_changed = true,
            _ => {}
        }
        for output in outputs {
            match output {
                Output::WriteEntries { first_index, entries, .. } => {
                    self.writes(place, *first_index, entries, raft)?;
                    log_changed = true;
                }
                Output::Apply { entries } => self.applies(place, entries, raft.term())?,
                Output::RoleChanged { role: RoleKind::Leader } => {
                    self.leads(place, raft, &servers)?;
                }
                _ => {}
            }
        }
        self.sent_is_from_log(place, outputs)?;
        self.applied_is_committed(place, raft)?;
        taken.transfers_in_order(raft).map_err(|how| (Invariant::OrderlyTransfer, how))?;
        self.note_commits(history, quorums);
        self.memberships.check(place, raft)?;
        if log_changed {
            let last: Vec<LogPosition> =
                (0..self.logs.len()).map(|place| self.last(place)).collect();
            let is_committed = |at: LogPosition| {
                let place = usize::try_from(at.index.previous().0).unwrap_or(usize::MAX);
                self.history.get(place).is_some_and(|(entry, _)| entry.position() == at)
            };
            self.memberships.check_logs(place, &last, is_committed)?;
        }
        let disks = |place| servers(place).map(|server| server.raft().store());
        if self.history.len() > history {
            self.later_leaders_hold(history, &servers)?;
            (0..self.logs.len()).for_each(|place| self.look_at_disk(place, disks(place)));
        } else if disk_changed {
            self.look_at_disk(place, disks(place));
        } else {
            return Ok(());
        }
        self.committed_is_on_disks()
    }

    /// What a server has after a restart is what its disk holds, and nothing is applied.
    fn restarts(&mut self, place: usize, raft: &Raft<MemoryStore>) {
        if let (Some(log), Some(applied)) = (self.logs.get_mut(place), self.applied.get_mut(place))
        {
            *log = raft.store().log().to_vec();
            *applied = 0;
            self.memberships.restarts(place, log);
        }
    }

    fn writes(
        &mut self,
        place: usize,
        first: LogIndex,
        entries: &[Entry],
        raft: &Raft<MemoryStore>,
    ) -> Result<(), Broken> {
        let Some(log) = self.logs.get_mut(place) else { return Ok(()) };
        let kept = usize::try_from(first.0.saturating_sub(1)).unwrap_or(usize::MAX);
        if kept > log.len() {
            let how = format!("entry {first} is written behind a log of {} entries", log.len());
            return Err((Invariant::LogMatching, how));
        }
        if kept < log.len() && raft.role() == RoleKind::Leader {
            return Err((Invariant::LeaderAppendOnly, format!("it writes entry {first} anew")));
        }
        log.truncate(kept);
        let mut before = log.last().map(|entry| entry.term).unwrap_or_default();
        for entry in entries {
            self.lineage.note(entry, before).map_err(|how| (Invariant::LogMatching, how))?;
            before = entry.term;
        }
        log.extend_from_slice(entries);
        self.memberships.writes(place, first, entries);
        Ok(())
    }

    /// What is sent to be appended is what stands in the sender's log right behind that position.
    fn sent_is_from_log(&self, place: usize, outputs: &[Output]) -> Result<(), Broken> {
        let Some(log) = self.logs.get(place) else { return Ok(()) };
        for output in outputs {
            let Output::Send { to, message } = output else { continue };
            let Message::AppendEntries { prev, entries, .. } = message else { continue };
            let behind = usize::try_from(prev.index.0).unwrap_or(usize::MAX);
            let here = log.get(..behind).and_then(|before| before.last()).map(Entry::position);
            let is_next = log.get(behind..).is_some_and(|next| next.starts_with(entries));
            if here.unwrap_or_default() != *prev || !is_next {
                let how = format!("it has other entries there than it sends to {to}: {message}");
                return Err((Invariant::SentFromLog, how));
            }
        }
        Ok(())
    }

    /// What stands in the history from `known` on was committed by one of these quorums.
    fn note_commits(&mut self, known: usize, quorums: Option<Quorums>) {
        let Some(quorums) = quorums.filter(|_| self.history.len() > known) else { return };
        let new: Vec<Entry> =
            self.history[known..].iter().map(|(entry, _)| entry.clone()).collect();
        self.memberships.committed(&new);
        match self.committed_by.last_mut() {
            Some((until, same)) if *same == quorums => *until = self.history.len(),
            _ => self.committed_by.push((self.history.len(), quorums)),
        }
    }

    fn applies(&mut self, place: usize, entries: &[Entry], term: Term) -> Result<(), Broken> {
        let Some(applied) = self.applied.get_mut(place) else { return Ok(()) };
        for entry in entries {
            let due = LogIndex(*applied as u64 + 1);
            if entry.index != due {
                let how = format!("it applies {entry} where entry {due} is due");
                return Err((Invariant::AppliedInOrder, how));
            }
            match self.history.get(*applied) {
                Some((committed, _)) if committed != entry => {
                    let how = format!("it commits {entry}, but {committed} was committed before");
                    return Err((Invariant::OneHistory, how));
                }
                Some(_) => {}
                None => self.history.push((entry.clone(), term)),
            }
            *applied += 1;
        }
        Ok(())
    }

    /// Committing and applying are one step (rule L8).
    fn applied_is_committed(&self, place: usize, raft: &Raft<MemoryStore>) -> Result<(), Broken> {
        let applied = self.applied.get(place).copied().unwrap_or_default() as u64;
        let committed = raft.commit_index();
        if committed.0 == applied {
            return Ok(());
        }
        let how = format!("{committed} entries are committed, and {applied} are applied");
        Err((Invariant::AppliedInOrder, how))
    }

    fn leads<'a>(
        &mut self,
        place: usize,
        raft: &Raft<MemoryStore>,
        servers: &impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let (server, term) = (raft.id(), raft.term());
        if let Some(earlier) = self.leaders.insert(term, server) {
            let how = format!("{server} leads in term {term}, in which {earlier} was elected");
            return Err((Invariant::OneLeader, how));
        }
        let bears_out =
            |disk: HardState| disk.term > term || disk == HardState { term, vote: Some(server) };
        let disk = |place| servers(place).and_then(|one| one.raft().store().hard_state().ok());
        let votes = self.set_of(|place| disk(place).is_some_and(bears_out));
        let first = self.logs.get(place).and_then(|log| log.iter().find(|own| own.term == term));
        let first = first.map_or(raft.last_index().next(), |entry| entry.index);
        let quorums = self.memberships.elected(place, first);
        if !quorums.is_some_and(|quorums| quorums.contains(votes)) {
            let votes = votes.count_ones();
            let how = format!("{server} leads in term {term} by {votes} votes on disk");
            return Err((Invariant::VotesOnDisk, how));
        }
        self.holds_history(place, server, term)
    }

    /// What was committed in earlier terms is in a leader's log. A leader that is elected after
    /// one of a later term need not have what that one committed.
    fn holds_history(&self, place: usize, server: ServerId, term: Term) -> Result<(), Broken> {
        let Some(log) = self.logs.get(place) else { return Ok(()) };
        let needed = self.history.iter().rposition(|(_, committed)| *committed < term);
        let needed = needed.map_or(0, |last| last + 1);
        let missing = self.history.iter().take(needed).enumerate().find(|(at, (entry, _))| {
            log.get(*at).is_none_or(|own| own.position() != entry.position())
        });
        let Some((_, (entry, committed))) = missing else { return Ok(()) };
        let how =
            format!("{server} leads in term {term} without {entry}, committed in term {committed}");
        Err((Invariant::LeaderCompleteness, how))
    }

    /// What is committed now must be in the logs of those who lead in later terms already.
    fn later_leaders_hold<'a>(
        &self,
        known: usize,
        servers: &impl Fn(usize) -> Option<&'a Implementation>,
    ) -> Result<(), Broken> {
        let Some(committed) = self.history.get(known).map(|(_, term)| *term) else { return Ok(()) };
        for place in 0..self.logs.len() {
            let Some(raft) = servers(place).map(Implementation::raft) else { continue };
            if raft.role() == RoleKind::Leader && raft.term() > committed {
                self.holds_history(place, raft.id(), raft.term())?;
            }
        }
        Ok(())
    }

    fn look_at_disk(&mut self, place: usize, disk: Option<&MemoryStore>) {
        if let (Some(on_disk), Some(disk)) = (self.on_disk.get_mut(place), disk) {
            let same = |((committed, _), entry): &(&(Entry, Term), &Entry)| {
                committed.position() == entry.position()
            };
            *on_disk = self.history.iter().zip(disk.log()).take_while(same).count();
        }
    }

    fn committed_is_on_disks(&self) -> Result<(), Broken> {
        for (until, quorums) in &self.committed_by {
            let disks = self.set_of(|place| self.on_disk.get(place) >= Some(until));
            if !quorums.contains(disks) {
                let disks = disks.count_ones();
                let how = format!("{disks} disks hold everything up to entry {until}");
                return Err((Invariant::CommittedOnDisks, how));
            }
        }
        Ok(())
    }

    /// The servers in the places of which `is_in` is true.
    fn set_of(&self, is_in: impl Fn(usize) -> bool) -> ServerSet {
        let places = (0..self.logs.len()).filter(|place| is_in(*place));
        places.fold(0, |set, place| set | 1 << place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kontiki::core::Config;
    use kontiki_specs::Payload;

    fn entry(index: u64, term: u64, command: &'static [u8]) -> Entry {
        let payload = Payload::Command(command.into());
        Entry { index: LogIndex(index), term: Term(term), payload }
    }

    fn write(first: u64, entries: Vec<Entry>) -> Output {
        let (leader_term, first_index) = (Term(9), LogIndex(first));
        Output::WriteEntries { incarnation: 0, leader_term, first_index, entries: entries.into() }
    }

    fn server(id: u64, disk: Vec<Entry>) -> Implementation {
        let hard_state = HardState { term: Term(9), vote: Some(ServerId(1)) };
        let config = Config::new(ServerId(id), (1..=3).map(ServerId));
        Implementation::recover(config, MemoryStore::with(hard_state, disk)).unwrap()
    }

    /// What is broken by such outputs, of the server in that place and one after the other.
    fn broken(servers: &[Implementation], steps: &[(usize, Output)]) -> Option<Invariant> {
        let mut invariants = Invariants::new(&Parameters::plain(servers.len() as u64));
        steps.iter().find_map(|(place, output)| {
            let all = |place: usize| servers.get(place);
            let taken = Taken {
                place: *place,
                role: RoleKind::Follower,
                transfers_to: None,
                heirs: &[],
                was_told: false,
                input: &Input::HeartbeatTimeout,
                outputs: std::slice::from_ref(output),
            };
            match invariants.check(&taken, all) {
                Ok(()) => None,
                Err(problem) => match *problem {
                    Problem::Broken { invariant, .. } => Some(invariant),
                    other => panic!("{other}"),
                },
            }
        })
    }

    fn cluster() -> Vec<Implementation> {
        (1..=3).map(|id| server(id, Vec::new())).collect()
    }

    #[test]
    fn logs_that_part_match_nowhere_behind() {
        let same = write(1, vec![entry(1, 1, b"a"), entry(2, 2, b"b")]);
        assert_eq!(broken(&cluster(), &[(0, same.clone()), (1, same.clone())]), None);
        let other_content = write(1, vec![entry(1, 1, b"c")]);
        let other_past = write(1, vec![entry(1, 2, b"a"), entry(2, 2, b"b")]);
        let gap = write(2, vec![entry(2, 2, b"b")]);
        for other in [other_content, other_past, gap] {
            let found = broken(&cluster(), &[(0, same.clone()), (1, other)]);
            assert_eq!(found, Some(Invariant::LogMatching));
        }
    }

    #[test]
    fn a_leader_needs_votes_on_disk_and_is_alone() {
        let leads = || Output::RoleChanged { role: RoleKind::Leader };
        assert_eq!(broken(&cluster(), &[(0, leads())]), None);
        assert_eq!(broken(&cluster(), &[(1, leads())]), Some(Invariant::VotesOnDisk));
        let twice = [(0, leads()), (0, leads())];
        assert_eq!(broken(&cluster(), &twice), Some(Invariant::OneLeader));
    }

    #[test]
    fn what_is_applied_is_in_order_and_committed() {
        let apply = |index| Output::Apply { entries: vec![entry(index, 1, b"a")].into() };
        let found = broken(&cluster(), &[(0, apply(2))]);
        assert_eq!(found, Some(Invariant::AppliedInOrder));
        // In order, but the server does not say that it is committed.
        let found = broken(&cluster(), &[(0, apply(1))]);
        assert_eq!(found, Some(Invariant::AppliedInOrder));
    }

    #[test]
    fn what_is_sent_is_what_the_log_holds() {
        let log = [entry(1, 1, b"a"), entry(2, 1, b"b"), entry(3, 2, b"c")];
        let sends = |prev: LogPosition, entries: &[Entry]| {
            let (term, commit_index) = (Term(9), LogIndex::ZERO);
            let entries = entries.into();
            let message = Message::AppendEntries { term, prev, entries, commit_index };
            let send = Output::Send { to: ServerId(2), message };
            broken(&cluster(), &[(0, write(1, log.to_vec())), (0, send)])
        };
        let first = log[0].position();
        for (prev, entries) in
            [(LogPosition::default(), &log[..]), (first, &log[1..2]), (log[2].position(), &[])]
        {
            assert_eq!(sends(prev, entries), None);
        }
        let lacks_one = [log[0].clone(), log[2].clone()];
        let other = [entry(2, 1, b"x")];
        let beyond = LogPosition { index: LogIndex(4), term: Term(2) };
        for (prev, entries) in [
            (LogPosition::default(), &lacks_one[..]),
            (first, &log[2..]),
            (first, &other),
            (LogPosition { term: Term(2), ..first }, &log[1..]),
            (beyond, &[]),
        ] {
            assert_eq!(sends(prev, entries), Some(Invariant::SentFromLog));
        }
    }

    #[test]
    fn there_is_one_history() {
        let mut invariants = Invariants::new(&Parameters::plain(3));
        assert_eq!(invariants.applies(0, &[entry(1, 1, b"a")], Term(1)), Ok(()));
        assert_eq!(invariants.applies(1, &[entry(1, 1, b"a")], Term(1)), Ok(()));
        let other = invariants.applies(2, &[entry(1, 1, b"b")], Term(1));
        assert_eq!(other.map_err(|(invariant, _)| invariant), Err(Invariant::OneHistory));
    }

    #[test]
    fn leaders_hold_what_was_committed_before_them() {
        let mut invariants = Invariants::new(&Parameters::plain(3));
        let committed = [entry(1, 2, b"a")];
        assert_eq!(invariants.applies(0, &committed, Term(2)), Ok(()));
        let lacks = |term| {
            let holds = invariants.holds_history(1, ServerId(2), Term(term));
            holds.map_err(|(invariant, _)| invariant)
        };
        assert_eq!(lacks(1), Ok(()));
        assert_eq!(lacks(2), Ok(()));
        assert_eq!(lacks(3), Err(Invariant::LeaderCompleteness));
    }

    #[test]
    fn what_is_committed_is_on_a_majority_of_disks() {
        let committed = vec![entry(1, 2, b"a")];
        for (holders, on_disks) in [(1, false), (2, true), (3, true)] {
            let mut invariants = Invariants::new(&Parameters::plain(3));
            assert_eq!(invariants.applies(0, &committed, Term(2)), Ok(()));
            let quorums = invariants.memberships.in_force(0).map(|known| known.quorums);
            invariants.note_commits(0, quorums);
            for place in 0..holders {
                let one = server(1, committed.clone());
                invariants.look_at_disk(place, Some(one.raft().store()));
            }
            assert_eq!(invariants.committed_is_on_disks().is_ok(), on_disks);
        }
    }
}
