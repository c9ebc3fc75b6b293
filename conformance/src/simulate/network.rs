//! The links between simulated servers, and what is under way on them.

use kontiki_specs::{Message, ServerId};
use std::collections::VecDeque;

/// The most messages under way on one link; a further one pushes out the oldest. It keeps memory
/// bounded when a server is fed faster than it hears.
const LINK_CAPACITY: usize = 32;

/// A link for each ordered pair of servers. Each keeps the order of sending; whoever takes
/// messages out may take any.
#[derive(Clone, Debug)]
pub(super) struct Network {
    servers: u64,
    links: Vec<Link>,
    cut: u64,
    capacity: usize,
}

#[derive(Clone, Debug, Default)]
struct Link {
    under_way: VecDeque<Message>,
    cut: bool,
}

impl Network {
    pub(super) fn new(servers: u64) -> Network {
        let links = (0..servers * servers).map(|_| Link::default()).collect();
        Network { servers, links, cut: 0, capacity: LINK_CAPACITY }
    }

    fn place(&self, from: ServerId, to: ServerId) -> Option<usize> {
        let known = |server: ServerId| (1..=self.servers).contains(&server.0);
        let place = known(from) && known(to) && from != to;
        place.then(|| usize::try_from((from.0 - 1) * self.servers + to.0 - 1).ok()).flatten()
    }

    fn link(&mut self, from: ServerId, to: ServerId) -> Option<&mut Link> {
        let place = self.place(from, to)?;
        self.links.get_mut(place)
    }

    /// Puts a message on its way, if the link is whole.
    pub(super) fn send(&mut self, from: ServerId, to: ServerId, message: Message) {
        let capacity = self.capacity;
        if let Some(link) = self.link(from, to).filter(|link| !link.cut) {
            if link.under_way.len() >= capacity {
                link.under_way.pop_front();
            }
            link.under_way.push_back(message);
        }
    }

    /// Takes out the `nth` oldest message of a link that is whole, counted round.
    pub(super) fn take(&mut self, from: ServerId, to: ServerId, nth: u64) -> Option<Message> {
        let link = self.link(from, to).filter(|link| !link.cut)?;
        let place = round(nth, link.under_way.len())?;
        link.under_way.remove(place)
    }

    /// A copy of the message that [`Network::take`] would take out.
    pub(super) fn copy(&mut self, from: ServerId, to: ServerId, nth: u64) -> Option<Message> {
        let link = self.link(from, to).filter(|link| !link.cut)?;
        link.under_way.get(round(nth, link.under_way.len())?).cloned()
    }

    /// Which of the messages under way on a link is the oldest that brings neither entries nor a
    /// snapshot.
    pub(super) fn first_light(&self, from: ServerId, to: ServerId) -> Option<u64> {
        let link = self.links.get(self.place(from, to)?)?;
        let brings = |message: &Message| match message {
            Message::AppendEntries { entries, .. } => !entries.is_empty(),
            Message::InstallSnapshot { .. } => true,
            _ => false,
        };
        let place = link.under_way.iter().position(|message| !brings(message))?;
        Some(place as u64)
    }

    /// Cuts a link. Whether it was the first to be cut of a network that was whole.
    pub(super) fn cut(&mut self, from: ServerId, to: ServerId) -> bool {
        let newly = self.link(from, to).filter(|link| !link.cut).map(|link| link.cut = true);
        self.cut += u64::from(newly.is_some());
        newly.is_some() && self.cut == 1
    }

    /// Nothing is under way any more.
    pub(super) fn lose_messages(&mut self) {
        self.links.iter_mut().for_each(|link| link.under_way.clear());
    }

    /// From now on no message is pushed out.
    pub(super) fn lose_nothing(&mut self) {
        self.capacity = usize::MAX;
    }

    pub(super) fn heal(&mut self) {
        self.links.iter_mut().for_each(|link| link.cut = false);
        self.cut = 0;
    }

    /// The links that something can be taken from, with how much is under way on each, in a fixed
    /// order.
    pub(super) fn loaded(&self) -> impl Iterator<Item = (ServerId, ServerId, u64)> {
        let pairs =
            (1..=self.servers).flat_map(|from| (1..=self.servers).map(move |to| (from, to)));
        self.links
            .iter()
            .zip(pairs)
            .filter(|(link, _)| !link.cut && !link.under_way.is_empty())
            .map(|(link, (from, to))| (ServerId(from), ServerId(to), link.under_way.len() as u64))
    }
}

/// `nth` counted round a list of this length.
fn round(nth: u64, length: usize) -> Option<usize> {
    usize::try_from(nth.checked_rem(length as u64)?).ok()
}
