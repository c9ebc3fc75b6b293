//! Chooses at random what happens next in a simulated cluster.

use super::action::Action;
use super::cluster::SimulatedCluster;
use super::operator::Operator;
use super::parameters::Parameters;
use super::regime::{Class, Order, Regime};
use kontiki_specs::ServerId;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::ops::RangeInclusive;

/// How many actions a regime lasts.
const REGIME_ACTIONS: RangeInclusive<u32> = 100..=600;
/// How many proposals there are in a run that is not long: logs stay short enough to be compared often.
const PROPOSALS: RangeInclusive<u32> = 5..=80;
/// Commands are proposed so many at a time, and now and then many.
const COMMANDS: [RangeInclusive<u64>; 2] = [1..=3, 4..=20];
/// Bytes in a command, besides its number; now and then more than limits in bytes have room for.
const COMMAND_BYTES: [RangeInclusive<u64>; 2] = [0..=40, 41..=500];
/// Reads are asked for so many at a time, and now and then many.
const READS: [RangeInclusive<u64>; 2] = [1..=2, 3..=8];
/// No more are asked for at a server where so many wait.
const WAITING_READS: u64 = 8;
/// How often it is not now and then.
const USUAL: (u32, u32) = (15, 16);
/// How fast the clock or the disk of one server may be against another's.
const RATES: RangeInclusive<u32> = 1..=8;
/// How many chances to be complete a snapshot that is being taken may pass by, about.
const SNAPSHOT_TAKES: [u32; 4] = [1, 1, 4, 64];
/// How often another class is drawn when nothing of the first can happen.
const REDRAWS: u32 = 16;

/// A source of actions: all that is random in a run comes from here.
pub(super) struct Schedule {
    random: StdRng,
    servers: u64,
    rates: Vec<Rates>,
    regime: Regime,
    /// Actions until the regime changes.
    left: u32,
    proposals_left: u32,
    operator: Operator,
    /// What is to happen before anything else is drawn.
    pending: Vec<Action>,
}

/// How fast the clocks and the disk of a server are. They differ from server to server, and from
/// each other, for a whole run.
struct Rates {
    election: u32,
    heartbeat: u32,
    contact: u32,
    quorum_contact: u32,
    disk: u32,
    snapshots: u32,
    /// A snapshot that it takes is complete at one of so many chances.
    snapshot_takes: u32,
}

impl Rates {
    fn draw(random: &mut StdRng) -> Rates {
        let snapshot_takes = SNAPSHOT_TAKES[random.random_range(0..SNAPSHOT_TAKES.len())];
        let mut rate = || random.random_range(RATES);
        Rates {
            election: rate(),
            heartbeat: rate(),
            contact: rate(),
            quorum_contact: rate(),
            disk: rate(),
            snapshots: rate(),
            snapshot_takes,
        }
    }
}

impl Schedule {
    /// A schedule for a cluster with these parameters, in a run that lasts so many times as long as
    /// others. `random` goes on from where the parameters were drawn, so that one seed gives both.
    pub(super) fn new(parameters: &Parameters, times: u64, mut random: StdRng) -> Schedule {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let servers = parameters.servers;
        let rates = (0..servers).map(|_| Rates::draw(&mut random)).collect();
        let proposals_left = times * random.random_range(PROPOSALS);
        let operator = Operator::new(parameters, times, &mut random);
        Schedule {
            regime: Regime::draw(&mut random),
            random,
            servers,
            rates,
            left: 0,
            proposals_left,
            operator,
            pending: Vec::new(),
        }
    }

    /// What happens next.
    pub(super) fn next(&mut self, cluster: &SimulatedCluster) -> Action {
        if self.left == 0 {
            self.change_regime();
        }
        self.left -= 1;
        if let Some(action) = self.pending.pop() {
            return action;
        }
        for _ in 0..REDRAWS {
            let class = self.regime.class(&mut self.random);
            if let Some(action) = self.of_class(class, cluster) {
                return action;
            }
        }
        Action::HeartbeatTimeout(ServerId(self.random.random_range(1..=self.servers)))
    }

    /// Links are cut as the new regime has it; what was cut before is healed, or now and then
    /// stays as it is.
    fn change_regime(&mut self) {
        self.left = self.random.random_range(REGIME_ACTIONS);
        self.regime = Regime::draw(&mut self.random);
        self.pending = self.regime.partition.cuts(self.servers, &mut self.random);
        if self.random.random_ratio(9, 10) {
            self.pending.push(Action::Heal);
        }
    }

    fn of_class(&mut self, class: Class, cluster: &SimulatedCluster) -> Option<Action> {
        match class {
            Class::Deliver => {
                self.message(cluster, |from, to, nth| Action::Deliver { from, to, nth })
            }
            Class::Duplicate => {
                self.message(cluster, |from, to, nth| Action::Duplicate { from, to, nth })
            }
            Class::Drop => self.message(cluster, |from, to, nth| Action::Drop { from, to, nth }),
            Class::CompleteWrite => self.write(cluster),
            Class::TakeSnapshot => self.snapshot(cluster),
            Class::CompleteSnapshot => self.complete_snapshot(cluster),
            Class::DiskStalls => {
                self.server(|server| cluster.is_writing(server), |_| 1).map(Action::DiskStalls)
            }
            Class::Heartbeat => self
                .server(|server| cluster.is_leader(server), |rates| rates.heartbeat)
                .map(Action::HeartbeatTimeout),
            Class::Wait => self.wait(cluster),
            Class::ContactExpires => self
                .server(|server| cluster.contact_may_expire(server), |rates| rates.contact)
                .map(Action::LeaderContactExpired),
            Class::Election => self
                .server(|server| cluster.may_time_out(server), |rates| rates.election)
                .map(Action::ElectionTimeout),
            Class::QuorumContactExpires => self
                .server(|server| cluster.is_leader(server), |rates| rates.quorum_contact)
                .map(Action::QuorumContactExpired),
            Class::Propose => self.proposal(cluster),
            Class::Read => self.read(cluster),
            Class::ReadAgain => self.read_again(cluster),
            Class::Crash => self.crash(cluster),
            Class::Start => self.server(|server| !cluster.is_up(server), |_| 1).map(Action::Start),
            Class::ChangeMembership => self.change(cluster),
            Class::Transfer => self.transfer(cluster),
            Class::TransferExpires => self
                .server(|server| cluster.is_handing_over(server), |rates| rates.election)
                .map(Action::TransferExpired),
        }
    }

    /// Time matters to leases only.
    fn wait(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let timeout = cluster.parameters().leases?.timeout;
        Some(Action::Wait { actions: self.random.random_range(1..=timeout) })
    }

    /// One of the servers of which `applies` is true, by their rates.
    fn server(
        &mut self,
        applies: impl Fn(ServerId) -> bool,
        rate: impl Fn(&Rates) -> u32,
    ) -> Option<ServerId> {
        let rate_of = |(server, rates): (u64, &Rates)| {
            let server = ServerId(server);
            (server, if applies(server) { rate(rates) } else { 0 })
        };
        let total: u32 = (1..).zip(&self.rates).map(rate_of).map(|(_, rate)| rate).sum();
        if total == 0 {
            return None;
        }
        let mut drawn = self.random.random_range(0..total);
        (1..).zip(&self.rates).map(rate_of).find_map(|(server, rate)| {
            let here = drawn < rate;
            drawn = drawn.saturating_sub(rate);
            here.then_some(server)
        })
    }

    /// A message that is under way, as the regime orders them.
    fn message(
        &mut self,
        cluster: &SimulatedCluster,
        action: impl Fn(ServerId, ServerId, u64) -> Action,
    ) -> Option<Action> {
        let links = cluster.loaded_links().count();
        if links == 0 {
            return None;
        }
        let drawn = self.random.random_range(0..links);
        let (from, to, under_way) = cluster.loaded_links().nth(drawn)?;
        let nth = match self.regime.order {
            Order::Kept => 0,
            Order::Any => self.random.random_range(0..under_way),
            Order::Reversed => under_way - 1,
            Order::LightFirst if self.random.random_ratio(15, 16) => {
                cluster.first_light(from, to)?
            }
            Order::LightFirst => 0,
        };
        Some(action(from, to, nth))
    }

    /// Clients and operators know a leader as a rule, and sometimes ask any server.
    fn asked(&mut self, cluster: &SimulatedCluster) -> Option<ServerId> {
        let anywhere = self.random.random_ratio(1, 16);
        self.server(|server| anywhere || cluster.is_leader(server), |_| 1)
    }

    fn change(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        if !self.operator.wants() {
            return None;
        }
        let server = self.asked(cluster)?;
        let now = cluster.configuration(server)?;
        Some(self.operator.change(server, now, &mut self.random))
    }

    fn transfer(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        if !self.operator.wants() {
            return None;
        }
        let server = self.asked(cluster)?;
        Some(self.operator.transfer(server, &mut self.random))
    }

    fn proposal(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        if self.proposals_left == 0 {
            return None;
        }
        let server = self.asked(cluster)?;
        self.proposals_left -= 1;
        let commands = self.few_or_many(COMMANDS);
        let bytes = self.few_or_many(COMMAND_BYTES);
        Some(Action::Propose { server, commands, bytes })
    }

    /// Clients know a leader or a follower that knows one as a rule, and sometimes ask any server.
    fn read(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let (anywhere, leader) = (self.random.random_ratio(1, 16), self.random.random_ratio(1, 2));
        let asked = |server| {
            let is_one = match leader {
                true => cluster.is_leader(server),
                false => cluster.knows_leader(server),
            };
            let fits = anywhere && cluster.is_up(server) || is_one;
            fits && cluster.waiting_reads(server) < WAITING_READS
        };
        let server = self.server(asked, |_| 1)?;
        Some(Action::Read { server, reads: self.few_or_many(READS) })
    }

    fn read_again(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let server = self.server(|server| cluster.unanswered_reads(server) > 0, |_| 1)?;
        let nth = self.random.random_range(0..cluster.unanswered_reads(server));
        Some(Action::ReadAgain { server, nth })
    }

    /// A number from the first range as a rule, from the second now and then.
    fn few_or_many(&mut self, [few, many]: [RangeInclusive<u64>; 2]) -> u64 {
        let (usual, all) = USUAL;
        let range = if self.random.random_ratio(usual, all) { few } else { many };
        self.random.random_range(range)
    }

    /// Half of the time of who is sent another server's snapshot, if there is one.
    fn snapshot(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let receives = |server| cluster.is_receiving_snapshot(server);
        let receivers = self.random.random() && cluster.ids().any(receives);
        let may_take = |server| cluster.is_up(server) && (!receivers || receives(server));
        let server = self.server(may_take, |rates| rates.snapshots)?;
        let (settled, covered) = cluster.settled(server)?;
        let action = self.operator.snapshot(server, settled, covered, &mut self.random)?;
        // A state machine that compacts by itself says how far, and is done (rule S5).
        if self.random.random_ratio(1, 4) {
            self.pending.push(Action::CompleteSnapshot(server));
        }
        Some(action)
    }

    fn complete_snapshot(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let server = self.server(|server| cluster.is_taking_snapshot(server), |_| 1)?;
        let rates = self.rates.get(usize::try_from(server.0 - 1).ok()?)?;
        let complete = self.random.random_ratio(1, rates.snapshot_takes);
        complete.then_some(Action::CompleteSnapshot(server))
    }

    /// A write is complete, or now and then a server crashes in the midst of a snapshot's.
    fn write(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let server = self.server(|server| cluster.is_writing(server), |rates| rates.disk)?;
        if cluster.is_writing_snapshot(server) && self.random.random_ratio(1, 8) {
            return Some(self.crash_of(server, cluster));
        }
        Some(Action::CompleteWrite(server))
    }

    /// A crash, half of the time of a server that is writing what can be torn, if there is one.
    fn crash(&mut self, cluster: &SimulatedCluster) -> Option<Action> {
        let may_tear = |server| !cluster.tears(server).is_empty();
        let writes = self.random.random() && cluster.ids().any(may_tear);
        let may_crash = |server| cluster.is_up(server) && (!writes || may_tear(server));
        let server = self.server(may_crash, |_| 1)?;
        Some(self.crash_of(server, cluster))
    }

    /// Half of the time it tears what is being written.
    fn crash_of(&mut self, server: ServerId, cluster: &SimulatedCluster) -> Action {
        let tears = cluster.tears(server);
        let ways = Some(tears.end - tears.start).filter(|ways| *ways > 0);
        let ways = ways.filter(|_| self.random.random());
        let torn = ways.map(|ways| self.random.random_range(0..ways));
        Action::Crash { server, torn }
    }
}

/// The randomness of a run.
pub(super) fn randomness(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}
