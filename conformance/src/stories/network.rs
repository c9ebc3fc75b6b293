//! The messages under way.

use kontiki_specs::{Message, ServerId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What has been sent and has not arrived: for each link the messages in the order of sending.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    links: BTreeMap<(ServerId, ServerId), VecDeque<Message>>,
    cut_off: BTreeSet<ServerId>,
}

impl Network {
    /// Sends a message. If one of the two is cut off, it is lost.
    pub(super) fn send(&mut self, from: ServerId, to: ServerId, message: Message) {
        if !self.cut_off.contains(&from) && !self.cut_off.contains(&to) {
            self.links.entry((from, to)).or_default().push_back(message);
        }
    }

    /// Takes the oldest message of a link off the network.
    pub(super) fn take(&mut self, from: ServerId, to: ServerId) -> Option<Message> {
        self.links.get_mut(&(from, to))?.pop_front()
    }

    /// The first link with a message on it.
    pub(super) fn busy_link(&self) -> Option<(ServerId, ServerId)> {
        self.links.iter().find(|(_, messages)| !messages.is_empty()).map(|(link, _)| *link)
    }

    /// Loses everything that is under way.
    pub(super) fn clear(&mut self) {
        self.links.clear();
    }

    /// Loses everything that is under way from a server or to it, and from now on all that is sent.
    pub(super) fn cut_off(&mut self, server: ServerId) {
        self.links.retain(|(from, to), _| *from != server && *to != server);
        self.cut_off.insert(server);
    }

    /// Ends what [`Network::cut_off`] has begun.
    pub(super) fn reconnect(&mut self, server: ServerId) {
        self.cut_off.remove(&server);
    }
}
