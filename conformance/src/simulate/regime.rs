//! What the weather in a cluster is like for a while.

use super::action::Action;
use kontiki_specs::ServerId;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// The classes of actions that a schedule chooses between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Deliver,
    Duplicate,
    Drop,
    CompleteWrite,
    Heartbeat,
    ContactExpires,
    Election,
    QuorumContactExpires,
    Propose,
    Read,
    ReadAgain,
    Crash,
    Start,
    ChangeMembership,
    Transfer,
    TransferExpires,
    DiskStalls,
    TakeSnapshot,
    CompleteSnapshot,
    Wait,
}

impl Class {
    pub(super) const ALL: [Class; 20] = [
        Class::Deliver,
        Class::Duplicate,
        Class::Drop,
        Class::CompleteWrite,
        Class::Heartbeat,
        Class::ContactExpires,
        Class::Election,
        Class::QuorumContactExpires,
        Class::Propose,
        Class::Read,
        Class::ReadAgain,
        Class::Crash,
        Class::Start,
        Class::ChangeMembership,
        Class::Transfer,
        Class::TransferExpires,
        Class::DiskStalls,
        Class::TakeSnapshot,
        Class::CompleteSnapshot,
        Class::Wait,
    ];
}

/// How likely the classes are against each other, and in what order messages arrive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Regime {
    weights: [u32; Class::ALL.len()],
    total: u32,
    pub(super) order: Order,
    pub(super) partition: Partition,
}

/// Which message of a link arrives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The oldest.
    Kept,
    /// Any.
    Any,
    /// The newest: others become very old.
    Reversed,
    /// The oldest that brings neither entries nor a snapshot; those that do take long. A leader that
    /// asks about entries may take them for lost, let go of them and offer a snapshot instead, and the
    /// entries come before that.
    LightFirst,
}

/// How links are cut when a regime begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Partition {
    /// All links are whole.
    None,
    /// Two groups that do not hear each other.
    Halves,
    /// One server that neither hears the others nor is heard: it falls behind.
    One,
    /// Two groups, of which only one hears the other.
    OneWay,
    /// Two groups that do not hear each other, and one server that hears and is heard by all.
    Bridge,
    /// Some links, taken one by one.
    Scattered,
}

/// Weights in the order of [`Class::ALL`].
const CALM: [u32; 20] = [100, 0, 0, 60, 8, 1, 1, 1, 5, 2, 1, 0, 2, 15, 1, 2, 0, 6, 10, 1];
const LOSSY: [u32; 20] = [100, 15, 20, 50, 10, 2, 2, 2, 5, 12, 24, 0, 2, 10, 1, 2, 0, 6, 10, 1];
const SLOW_DISKS: [u32; 20] = [100, 2, 2, 8, 8, 2, 2, 1, 6, 4, 6, 1, 2, 15, 1, 2, 3, 6, 2, 1];
const CRASHING: [u32; 20] = [100, 3, 3, 30, 8, 4, 4, 1, 6, 3, 3, 2, 6, 15, 1, 2, 1, 6, 6, 2];
const ELECTIONS: [u32; 20] = [100, 4, 4, 40, 5, 12, 10, 6, 4, 3, 2, 1, 2, 10, 4, 4, 1, 5, 6, 4];
const CONTEST: [u32; 20] = [100, 6, 6, 12, 8, 10, 8, 5, 10, 2, 2, 1, 4, 20, 4, 4, 2, 6, 4, 3];
const STORM: [u32; 20] = [100, 15, 15, 25, 8, 6, 6, 4, 6, 3, 3, 2, 5, 12, 3, 4, 2, 6, 6, 2];
/// One server is cut off while the others elect a leader and go on. Clients ask it all the same: if it
/// leads, and has a lease, its answers must end in time (rule C4).
const CUT_OFF: [u32; 20] = [100, 0, 0, 60, 12, 10, 8, 1, 8, 10, 6, 0, 2, 4, 1, 1, 0, 4, 6, 4];

impl Regime {
    fn of(weights: [u32; 20], order: Order, partition: Partition) -> Regime {
        Regime { weights, total: weights.iter().sum(), order, partition }
    }

    pub(super) fn draw(random: &mut StdRng) -> Regime {
        let partitions = [
            Partition::One,
            Partition::Halves,
            Partition::OneWay,
            Partition::Bridge,
            Partition::Scattered,
        ];
        let partition = partitions[random.random_range(0..partitions.len())];
        let cut = |some: bool| if some { partition } else { Partition::None };
        match random.random_range(0..14) {
            0 => Regime::of(CALM, Order::Kept, Partition::None),
            1 => Regime::of(LOSSY, Order::Any, Partition::None),
            2 => Regime::of(LOSSY, Order::Reversed, cut(random.random())),
            3 => Regime::of(CALM, Order::Kept, partition),
            13 => Regime::of(CUT_OFF, Order::Kept, Partition::One),
            10 => Regime::of(CALM, Order::Kept, Partition::One),
            11 => Regime::of(CALM, Order::LightFirst, Partition::None),
            12 => Regime::of(LOSSY, Order::LightFirst, cut(random.random())),
            4 => Regime::of(ELECTIONS, Order::Any, partition),
            5 => Regime::of(SLOW_DISKS, Order::Kept, cut(random.random())),
            6 => Regime::of(CRASHING, Order::Any, cut(random.random())),
            7 => Regime::of(ELECTIONS, Order::Kept, Partition::None),
            8 => Regime::of(CONTEST, Order::Any, cut(random.random())),
            _ => Regime::of(STORM, Order::Any, cut(random.random())),
        }
    }

    pub(super) fn class(&self, random: &mut StdRng) -> Class {
        let mut drawn = random.random_range(0..self.total);
        for (class, weight) in Class::ALL.iter().zip(self.weights) {
            if drawn < weight {
                return *class;
            }
            drawn -= weight;
        }
        Class::Deliver
    }
}

impl Partition {
    /// The links to cut: groups, bridge and direction are drawn anew.
    pub(super) fn cuts(self, servers: u64, random: &mut StdRng) -> Vec<Action> {
        let mut ids: Vec<ServerId> = (1..=servers).map(ServerId).collect();
        ids.shuffle(random);
        if self == Partition::Bridge && ids.len() > 2 {
            ids.pop();
        }
        let some = match self {
            Partition::One => 1.min(ids.len()),
            _ => random.random_range(0..ids.len().max(1)),
        };
        let (one, other) = ids.split_at(some);
        let across = one.iter().flat_map(|a| other.iter().map(|b| (*a, *b)));
        let cut = |(from, to)| Action::Cut { from, to };
        match self {
            Partition::None => Vec::new(),
            Partition::OneWay => across.map(cut).collect(),
            Partition::One | Partition::Halves | Partition::Bridge => {
                across.flat_map(|(a, b)| [cut((a, b)), cut((b, a))]).collect()
            }
            Partition::Scattered => {
                let pairs = ids.iter().flat_map(|a| ids.iter().map(|b| (*a, *b)));
                let pairs = pairs.filter(|(a, b)| a != b);
                pairs.filter(|_| random.random_ratio(1, 4)).map(cut).collect()
            }
        }
    }
}
