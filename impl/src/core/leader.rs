//! The leader's side of replication (rules L1, L2, L9, L10, L12).

use super::Raft;
use super::config::command_entry_bytes;
use super::outputs::Outputs;
use super::progress::{Mode, Progress, Sender};
use super::role::{Leader, Role};
use crate::storage::{LogStore, StoreError};
use bytes::Bytes;
use kontiki_specs::{Entries, Entry, LogIndex, LogPosition, Output, Payload, Refusal, ServerId};

impl<S: LogStore> Raft<S> {
    /// L1: a leader appends the commands and sends them on. They are refused together or not.
    pub(super) fn propose(
        &mut self,
        commands: Vec<Bytes>,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        if let Err(refusal) = self.admit(&commands) {
            outputs.push(Output::Refused { refusal });
            return Ok(());
        }
        let (term, index) = (self.hard_state.term, self.log.last_index().next());
        let mut next = index;
        let entries: Entries = commands
            .into_iter()
            .map(|command| {
                let entry = Entry { term, index: next, payload: Payload::Command(command) };
                next = next.next();
                entry
            })
            .collect();
        if let Role::Leader(leader) = &mut self.role {
            leader.unsettled.push_proposed(&entries);
        }
        self.append(entries, outputs);
        outputs.push(Output::Proposed {
            first: LogPosition { index, term },
            last_index: next.previous(),
        });
        self.for_each_follower(outputs, |progress, sender| match progress.mode {
            Mode::Pipeline { .. } => progress.send(sender),
            Mode::Probe | Mode::Snapshot { .. } => Ok(()),
        })
    }

    /// L9: whether a leader takes these commands now.
    fn admit(&self, commands: &[Bytes]) -> Result<(), Refusal> {
        let Role::Leader(Leader { unsettled, transfer, .. }) = &self.role else {
            return Err(Refusal::NotLeader { leader: self.leader() });
        };
        if commands.is_empty() {
            return Err(Refusal::NothingProposed);
        }
        if let Some(to) = *transfer {
            return Err(Refusal::TransferUnderWay { to });
        }
        let limits = &self.config.limits;
        let size = commands.iter().map(|command| command.len() as u64).max().unwrap_or(0);
        if size > limits.command_bytes {
            return Err(Refusal::CommandTooLarge { size, limit: limits.command_bytes });
        }
        let proposed: u64 = commands.iter().map(|command| command_entry_bytes(command)).sum();
        let (waiting, limit) = (unsettled.bytes(), limits.uncommitted_bytes);
        if waiting > 0 && waiting.saturating_add(proposed) > limit {
            return Err(Refusal::TooMuchUncommitted { uncommitted: waiting, limit });
        }
        Ok(())
    }

    /// L12: keeps leadership, and has lost messages come to light.
    pub(super) fn heartbeat_timeout(&mut self, outputs: &mut Outputs) -> Result<(), StoreError> {
        self.for_each_follower(outputs, |progress, sender| {
            progress.heartbeat(sender);
            Ok(())
        })?;
        self.renew_lease(outputs);
        self.tell_to_campaign(outputs);
        Ok(())
    }

    /// L1: a follower holds the leader's log up to `index`.
    pub(super) fn matched(
        &mut self,
        follower: ServerId,
        index: LogIndex,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        let base = self.log.base().index;
        let Role::Leader(leader) = &mut self.role else { return Ok(()) };
        let Some(progress) = leader.progress_mut(follower) else { return Ok(()) };
        if !progress.matched(index, base) {
            return Ok(());
        }
        let (rounds, last_index) = (self.config.catch_up_rounds, self.log.last_index());
        let all_sent = progress.next_index > last_index;
        progress
            .round_may_end(rounds, last_index)
            .into_iter()
            .for_each(|notice| outputs.push(notice));
        // A configuration that is not committed may need fewer acknowledgements than the one before
        // it, so an answer for less than is committed can commit more (M1).
        if index > self.commit_index || self.configurations.newest_index() > self.commit_index {
            self.advance_commit();
        }
        if all_sent { Ok(()) } else { self.send_to(follower, outputs) }
    }

    /// L2, L10: a follower refused a request. The leader goes back to where the logs may agree,
    /// over its own entries of terms later than the hint's, and probes there.
    pub(super) fn mismatched(
        &mut self,
        follower: ServerId,
        prev_index: LogIndex,
        hint: LogPosition,
        outputs: &mut Outputs,
    ) -> Result<(), StoreError> {
        let agreement = self.agreement(hint);
        let Role::Leader(leader) = &mut self.role else { return Ok(()) };
        let progress = leader.progress_mut(follower);
        if progress.is_some_and(|progress| progress.mismatched(prev_index, agreement)) {
            return self.send_to(follower, outputs);
        }
        Ok(())
    }

    fn send_to(&mut self, follower: ServerId, outputs: &mut Outputs) -> Result<(), StoreError> {
        match self.sender_to(follower, outputs) {
            Some((progress, mut sender)) => progress.send(&mut sender),
            None => Ok(()),
        }
    }

    /// L2: where the logs may agree at the latest, by a follower's hint. S2: below the base the leader
    /// cannot tell, and the snapshot will do.
    fn agreement(&self, hint: LogPosition) -> LogIndex {
        if hint.index < self.log.base().index {
            return hint.index;
        }
        self.log.last_not_later(hint).index
    }

    /// Lets a leader send, follower by follower in the order of their ids.
    pub(super) fn for_each_follower(
        &mut self,
        outputs: &mut Outputs,
        mut act: impl FnMut(&mut Progress, &mut Sender<'_, S>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some((followers, mut sender)) = self.sender(outputs) else { return Ok(()) };
        followers.iter_mut().try_for_each(|progress| act(progress, &mut sender))
    }

    /// One of a leader's followers, and what it takes to send to it.
    pub(super) fn sender_to<'a>(
        &'a mut self,
        follower: ServerId,
        outputs: &'a mut Outputs,
    ) -> Option<(&'a mut Progress, Sender<'a, S>)> {
        let (followers, sender) = self.sender(outputs)?;
        let progress = followers.iter_mut().find(|progress| progress.id == follower)?;
        Some((progress, sender))
    }

    /// A leader's followers, and what it takes to send to them.
    fn sender<'a>(
        &'a mut self,
        outputs: &'a mut Outputs,
    ) -> Option<(&'a mut [Progress], Sender<'a, S>)> {
        let Role::Leader(leader) = &mut self.role else { return None };
        let sender = Sender {
            term: self.hard_state.term,
            commit_index: self.commit_index,
            log: &self.log,
            snapshot: self.snapshots.own.as_ref(),
            store: &self.store,
            limits: &self.config.limits,
            outputs,
        };
        Some((&mut leader.followers, sender))
    }
}
