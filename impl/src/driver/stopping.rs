//! The end of a driver: whoever waits is told what can be said.

use super::{Doubt, Driver, Notice, Observer, Outcome, Reason, StopCause};
use crate::storage::LogStore;

impl<S: LogStore, O: Observer<S>> Driver<S, O> {
    /// From now on new requests are refused. Those that wait go on: commands that are appended are
    /// waited for, and all else is refused. When nobody waits any more ([`Driver::waiting`]), or when it
    /// takes too long, [`Driver::stop`]. A leader hands over first
    /// ([`super::Event::TransferLeadership`]), so that the others need not wait for an election timeout.
    pub fn close(&mut self) {
        self.closed = true;
        let mut answers = self.clients.refuse_pending();
        answers.extend(self.reads.stopped());
        self.answer_all(answers);
    }

    /// Stops the server for good: all who wait are told what can be said. The effects that this leaves
    /// are the last ones. A group of writes that is under way may still be done.
    pub fn stop(&mut self) {
        self.stop_for(StopCause::Asked);
    }

    /// Why the server has stopped, if it has.
    pub fn stopped(&self) -> Option<&StopCause> {
        self.stopped.as_ref()
    }

    /// Whether requests are taken.
    pub(super) fn takes_requests(&self) -> Result<(), Outcome> {
        match self.closed || self.stopped.is_some() {
            true => Err(Outcome::Refused(Reason::Stopping)),
            false => Ok(()),
        }
    }

    /// Nothing more is put out but what those who wait are told.
    pub(super) fn stop_for(&mut self, cause: StopCause) {
        if self.stopped.is_some() {
            return;
        }
        self.stopped = Some(cause.clone());
        // The server may have appended what is asked in this step, and may have put nothing out.
        self.turn_away(&Outcome::Unknown(Doubt::Stopped));
        self.stop_machine();
        let mut answers = self.clients.stopped();
        answers.extend(self.reads.stopped());
        let undecided = self.snapshots.stopped().into_iter().chain(self.transfer.take());
        answers.extend(undecided.map(|ticket| (ticket, Outcome::Unknown(Doubt::Stopped))));
        self.answer_all(answers);
        self.notice(Notice::Stopped { cause });
    }
}
