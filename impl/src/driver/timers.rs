//! The timers of a server (rules E1, E8 to E10, E12, L12).

use super::random::Random;
use super::{Instant, Timings};
use kontiki_specs::Input;
use std::time::Duration;

/// What a server waits for. Of those that are due, the first in this order fires first: contact with a
/// leader has ended before anybody campaigns (rule E8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    LeaderContact,
    Election,
    Heartbeat,
    QuorumContact,
    Transfer,
    DiskStalled,
}

const ALL: [Timer; 6] = [
    Timer::LeaderContact,
    Timer::Election,
    Timer::Heartbeat,
    Timer::QuorumContact,
    Timer::Transfer,
    Timer::DiskStalled,
];

impl Timer {
    /// What a server is told when it fires.
    pub(super) fn input(self) -> Input {
        match self {
            Timer::LeaderContact => Input::LeaderContactExpired,
            Timer::Election => Input::ElectionTimeout,
            Timer::Heartbeat => Input::HeartbeatTimeout,
            Timer::QuorumContact => Input::QuorumContactExpired,
            Timer::Transfer => Input::TransferExpired,
            Timer::DiskStalled => Input::DiskStalled,
        }
    }

    /// Whether it says that nothing was heard for so long: from a leader, from followers, from the
    /// disk.
    fn measures_silence(self) -> bool {
        matches!(self, Timer::Election | Timer::QuorumContact | Timer::DiskStalled)
    }
}

/// When each timer fires.
#[derive(Clone, Debug)]
pub(super) struct Timers {
    slots: [Slot; ALL.len()],
    random: Random,
    election_timeout: Duration,
    heartbeat_interval: Duration,
    disk_stalled: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    fires_at: Option<Instant>,
    /// It was found late and began anew, and has neither fired nor been set since.
    forgiven: bool,
}

impl Timers {
    /// No timer is set.
    pub(super) fn new(timings: &Timings, random: Random) -> Timers {
        Timers {
            slots: [Slot::default(); ALL.len()],
            random,
            election_timeout: timings.election_timeout,
            heartbeat_interval: timings.heartbeat_interval,
            disk_stalled: timings.disk_stalled,
        }
    }

    /// E1, E8: begins to wait for an election timeout anew. `leader_contact` says that a leader was
    /// heard. The wait for the end of contact is the shorter one, and begins no later.
    pub(super) fn reset_election(&mut self, leader_contact: bool, now: Instant) {
        self.set(Timer::Election, now);
        if leader_contact {
            self.set(Timer::LeaderContact, now);
        }
    }

    /// The server leads from now on: it waits for heartbeats and quorum checks, and for no election.
    pub(super) fn leads(&mut self, now: Instant) {
        self.clear(Timer::Election);
        self.clear(Timer::LeaderContact);
        self.set(Timer::Heartbeat, now);
        self.set(Timer::QuorumContact, now);
    }

    /// The server leads no more.
    pub(super) fn leads_no_more(&mut self) {
        self.clear(Timer::Heartbeat);
        self.clear(Timer::QuorumContact);
        self.clear(Timer::Transfer);
    }

    /// Begins to wait anew.
    pub(super) fn set(&mut self, timer: Timer, now: Instant) {
        let wait = match timer {
            Timer::LeaderContact | Timer::QuorumContact | Timer::Transfer => self.election_timeout,
            Timer::Election => self.random.between_once_and_twice(self.election_timeout),
            Timer::Heartbeat => self.heartbeat_interval,
            Timer::DiskStalled => self.disk_stalled,
        };
        *self.slot(timer) = Slot { fires_at: Some(now.plus(wait)), forgiven: false };
    }

    /// Has the timer fire no later than that, if it is set.
    pub(super) fn hasten(&mut self, timer: Timer, latest: Instant) {
        let slot = self.slot(timer);
        slot.fires_at = slot.fires_at.map(|fires_at| fires_at.min(latest));
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        *self.slot(timer) = Slot::default();
    }

    /// When the first fires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.fires_at).min()
    }

    /// The next timer that fires, if its time has come. A leader's timers and the election timer go
    /// on by themselves.
    ///
    /// A process that was stopped for a while, or got no processor, has heard nothing in that time because
    /// it did not listen. What was sent to it meanwhile is waiting to be read. So a timer that measures
    /// silence and is found later than a heartbeat interval begins anew, once: what waits is read before
    /// the next time. The others mean the same however late they are.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        for timer in ALL {
            let Slot { fires_at, forgiven } = *self.slot(timer);
            let Some(fires_at) = fires_at.filter(|fires_at| *fires_at <= now) else { continue };
            let overslept = now.since(fires_at) > self.heartbeat_interval;
            if overslept && timer.measures_silence() && !forgiven {
                self.set(timer, now);
                self.slot(timer).forgiven = true;
                continue;
            }
            match timer {
                Timer::Election | Timer::Heartbeat | Timer::QuorumContact => self.set(timer, now),
                Timer::LeaderContact | Timer::Transfer | Timer::DiskStalled => self.clear(timer),
            }
            return Some(timer);
        }
        None
    }

    fn slot(&mut self, timer: Timer) -> &mut Slot {
        &mut self.slots[timer as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(1000);
    const HEARTBEAT: Duration = Duration::from_millis(100);

    fn timers() -> Timers {
        Timers::new(&Timings::for_election_timeout(TIMEOUT), Random::new(1, 1, 1))
    }

    fn at(milliseconds: u64) -> Instant {
        Instant::after_origin(Duration::from_millis(milliseconds))
    }

    fn all_due(timers: &mut Timers, now: Instant) -> Vec<Timer> {
        std::iter::from_fn(|| timers.take_due(now)).collect()
    }

    #[test]
    fn contact_ends_before_an_election_begins() {
        let mut timers = timers();
        timers.reset_election(true, at(0));
        assert_eq!(timers.next(), Some(at(1000)));
        assert_eq!(all_due(&mut timers, at(999)), []);
        assert_eq!(all_due(&mut timers, at(1000)), [Timer::LeaderContact]);
        let next = timers.next().unwrap_or_default();
        assert!((at(1000)..at(2000)).contains(&next), "{next:?}");
        // Both are due, the election by less than a heartbeat.
        let mut timers = self::timers();
        timers.reset_election(true, at(0));
        assert_eq!(all_due(&mut timers, next), [Timer::LeaderContact, Timer::Election]);
    }

    #[test]
    fn after_a_minute_asleep_silence_is_measured_anew_once() {
        let mut timers = timers();
        timers.reset_election(true, at(0));
        let woken = at(60_000);
        assert_eq!(all_due(&mut timers, woken), [Timer::LeaderContact]);
        let next = timers.next().unwrap_or_default();
        assert!((woken.plus(TIMEOUT)..woken.plus(2 * TIMEOUT)).contains(&next), "{next:?}");
        // A process that always comes late would wait for ever otherwise.
        assert_eq!(all_due(&mut timers, at(120_000)), [Timer::Election]);
        assert_eq!(all_due(&mut timers, at(180_000)), []);
    }

    #[test]
    fn a_leader_that_slept_asks_before_it_counts() {
        let mut timers = timers();
        timers.leads(at(0));
        let woken = at(60_000);
        assert_eq!(all_due(&mut timers, woken), [Timer::Heartbeat]);
        assert_eq!(timers.next(), Some(woken.plus(HEARTBEAT)));
        let (mut checks, mut now) = (Vec::new(), woken);
        while now < woken.plus(TIMEOUT) {
            now = timers.next().unwrap_or_default();
            checks.extend(all_due(&mut timers, now));
        }
        assert_eq!(checks.len(), 11);
        assert_eq!(checks.last(), Some(&Timer::QuorumContact));
    }

    #[test]
    fn a_timer_is_hastened_and_never_delayed() {
        let mut timers = timers();
        timers.hasten(Timer::Heartbeat, at(1));
        assert_eq!(timers.next(), None);
        timers.leads(at(0));
        timers.hasten(Timer::Heartbeat, at(500));
        assert_eq!(timers.next(), Some(at(100)));
        timers.hasten(Timer::Heartbeat, at(10));
        assert_eq!(timers.next(), Some(at(10)));
        timers.leads_no_more();
        assert_eq!(timers.next(), None);
    }
}
