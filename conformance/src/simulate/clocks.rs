//! The clocks of simulated servers, where leases depend on them (rule C4).
//!
//! True time passes with every action. Each clock runs a little fast or slow, within a bound that the
//! drivers reckon with. In runs without leases there is no clock: whatever may happen may happen at any
//! time.

use super::fault::Fault;
use super::parameters::Parameters;
use kontiki_specs::{Input, Message, Output, RoleKind, ServerId};
use rand::Rng;
use rand::rngs::StdRng;
use std::ops::RangeInclusive;

/// The minimum election timeout, in actions.
const TIMEOUTS: RangeInclusive<u64> = 60..=400;
/// By how many thousandths clocks may run fast or slow.
const DRIFTS: RangeInclusive<u64> = 0..=150;

/// What the clocks of a run are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockParameters {
    /// The minimum election timeout, in actions.
    pub timeout: u64,
    /// By how many thousandths of the true time a clock may run fast or slow, at most.
    pub drift: u64,
    /// How much each clock shows for an action, in thousandths of one.
    pub rates: [u64; 7],
}

impl ClockParameters {
    pub(super) fn draw(random: &mut StdRng) -> ClockParameters {
        let drift = random.random_range(DRIFTS);
        // The extremes matter most.
        let mut rate = || match random.random_range(0..3) {
            0 => 1000 - drift,
            1 => 1000 + drift,
            _ => random.random_range(1000 - drift..=1000 + drift),
        };
        let rates = [(); 7].map(|()| rate());
        ClockParameters { timeout: random.random_range(TIMEOUTS), drift, rates }
    }

    /// How long contact lasts, on any clock.
    fn contact(&self) -> u64 {
        self.timeout * 1000
    }

    /// How long a lease lasts, on any clock: no longer than contact on any other.
    fn lease(&self) -> u64 {
        self.contact() * (1000 - self.drift) / (1000 + self.drift)
    }
}

/// What the drivers of a cluster know of time.
#[derive(Clone, Debug)]
pub(super) struct Clocks {
    parameters: ClockParameters,
    servers: Vec<Clock>,
}

/// What the driver of one server knows of time.
#[derive(Clone, Debug, Default)]
struct Clock {
    rate: u64,
    now: u64,
    /// When contact is over, if it has begun.
    contact_until: u64,
    /// When a leader looks next who has answered it (rule E9).
    quorum_check_at: u64,
    /// The leader's rounds whose time is not up, and when it is.
    rounds: Vec<(u64, u64)>,
    last_round: u64,
    leads: bool,
    stops_while_leading: bool,
}

impl Clocks {
    /// Of servers that start for the first time, if leases depend on clocks.
    pub(super) fn new(parameters: &Parameters) -> Option<Clocks> {
        let clocks = parameters.leases?;
        let of = |(server, rate): (u64, &u64)| {
            let fault = parameters.fault_of(ServerId(server));
            let stops_while_leading = fault == Some(Fault::ClockStopsWhileLeading);
            let contact_until = clocks.contact();
            Clock { rate: *rate, contact_until, stops_while_leading, ..Clock::default() }
        };
        let servers = (1..=parameters.servers).zip(&clocks.rates).map(of).collect();
        Some(Clocks { parameters: clocks, servers })
    }

    /// Time passes.
    pub(super) fn pass(&mut self, actions: u64) {
        for clock in &mut self.servers {
            if !(clock.leads && clock.stops_while_leading) {
                clock.now = clock.now.saturating_add(clock.rate.saturating_mul(actions));
            }
        }
    }

    /// A server starts: it is in contact from now on.
    pub(super) fn starts(&mut self, server: usize) {
        let contact = self.parameters.contact();
        if let Some(clock) = self.servers.get_mut(server) {
            clock.contact_until = clock.now + contact;
        }
    }

    /// Whether the time of a server's contact is up.
    pub(super) fn contact_is_over(&self, server: usize) -> bool {
        self.servers.get(server).is_none_or(|clock| clock.now >= clock.contact_until)
    }

    /// Whether it is time for a leader's quorum check. The next is a timeout later.
    pub(super) fn checks_quorum(&mut self, server: usize) -> bool {
        let contact = self.parameters.contact();
        let Some(clock) = self.servers.get_mut(server) else { return true };
        let is_time = clock.now >= clock.quorum_check_at;
        if is_time {
            clock.quorum_check_at = clock.now + contact;
        }
        is_time
    }

    /// The rounds whose time is up, which a leader's driver says before it gives the server anything else.
    pub(super) fn rounds_over(&mut self, server: usize) -> Vec<u64> {
        let Some(clock) = self.servers.get_mut(server) else { return Vec::new() };
        let now = clock.now;
        let over = clock.rounds.iter().filter(|(_, until)| *until <= now).map(|(round, _)| *round);
        let over = over.collect();
        clock.rounds.retain(|(_, until)| *until > now);
        over
    }

    /// What a step of a server tells its driver.
    pub(super) fn note(&mut self, server: usize, input: &Input, outputs: &[Output]) {
        let (contact, lease) = (self.parameters.contact(), self.parameters.lease());
        let Some(clock) = self.servers.get_mut(server) else { return };
        if let Input::Restart { .. } = input {
            clock.leads = false;
        }
        for output in outputs {
            match output {
                Output::ResetElectionTimer { leader_contact: true } => {
                    clock.contact_until = clock.now + contact;
                }
                Output::RoleChanged { role } => {
                    clock.leads = *role == RoleKind::Leader;
                    clock.quorum_check_at = clock.now + contact;
                }
                Output::Send { message: Message::ConfirmLeadership { round, .. }, .. }
                    if *round > clock.last_round =>
                {
                    clock.last_round = *round;
                    clock.rounds.push((*round, clock.now + lease));
                }
                _ => {}
            }
        }
        let ends = |output: &Output| matches!(output, Output::RoleChanged { role } if *role != RoleKind::Leader);
        if outputs.iter().any(ends) {
            clock.forget_rounds();
        }
    }
}

impl Clock {
    /// The next leadership counts its rounds anew.
    fn forget_rounds(&mut self) {
        self.rounds.clear();
        self.last_round = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_on_the_slowest_clock_is_over_before_contact_on_the_fastest() {
        for drift in DRIFTS {
            for timeout in [*TIMEOUTS.start(), 333, *TIMEOUTS.end()] {
                let clocks = ClockParameters { timeout, drift, rates: [1000; 7] };
                let actions = |shown: u64, rate: u64| shown.div_ceil(rate);
                assert!(
                    actions(clocks.lease(), 1000 - drift)
                        <= actions(clocks.contact(), 1000 + drift)
                );
            }
        }
    }
}
