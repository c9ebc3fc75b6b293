//! Which connections of others are kept when there are too many.
//!
//! Whoever has not shown who he is waits in the lobby. If the lobby is full, a newcomer takes the place of
//! somebody there: of the network that has most places, the one who has waited longest. So a crowd from one
//! network pushes out its own, and servers of other networks come in. A server that is known has one place for each
//! lane, which nobody else can take.

use super::Lane;
use crate::error::TransportError;
use kontiki::ServerId;
use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};

/// Places for connections, each of which is served by a `T`.
#[derive(Debug)]
pub(super) struct Places<T> {
    most_unknown: usize,
    most_known: usize,
    /// In the order in which they came.
    lobby: BTreeMap<u64, (IpAddr, T)>,
    known: HashMap<(ServerId, Lane), (u64, T)>,
    next: u64,
}

impl<T> Places<T> {
    pub(super) fn new(most_unknown: usize, most_known: usize) -> Self {
        let (lobby, known) = (BTreeMap::new(), HashMap::new());
        Places { most_unknown, most_known, lobby, known, next: 0 }
    }

    /// Somebody comes, and gets a number. Gives who has to leave.
    pub(super) fn enter(&mut self, from: IpAddr, serve: impl FnOnce(u64) -> T) -> Option<T> {
        let leaves = match self.lobby.len() >= self.most_unknown {
            true => self.least_wanted().and_then(|number| self.lobby.remove(&number)),
            false => None,
        };
        let number = self.next;
        self.next += 1;
        self.lobby.insert(number, (network(from), serve(number)));
        leaves.map(|(_, serving)| serving)
    }

    /// Of the network that has most places, the one who has waited longest.
    fn least_wanted(&self) -> Option<u64> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (network, _) in self.lobby.values() {
            *counts.entry(*network).or_default() += 1;
        }
        let most = counts.values().max()?;
        let mut in_order = self.lobby.iter();
        in_order.find(|(_, (network, _))| counts[network] == *most).map(|(number, _)| *number)
    }

    /// Somebody has shown who he is. An older connection of the same server, for the same, has to leave.
    pub(super) fn admit(
        &mut self,
        number: u64,
        server: ServerId,
        lane: Lane,
    ) -> Result<Option<T>, TransportError> {
        let most = self.most_known;
        if self.known.len() >= most && !self.known.contains_key(&(server, lane)) {
            return Err(TransportError::TooManyConnections { most, known: true });
        }
        match self.lobby.remove(&number) {
            Some((_, serving)) => {
                let older = self.known.insert((server, lane), (number, serving));
                Ok(older.map(|(_, serving)| serving))
            }
            // He was to leave, and has not noticed yet.
            None => {
                Err(TransportError::TooManyConnections { most: self.most_unknown, known: false })
            }
        }
    }

    /// Somebody leaves by himself.
    pub(super) fn leave(&mut self, number: u64) {
        self.lobby.remove(&number);
        self.known.retain(|_, (other, _)| *other != number);
    }

    pub(super) fn most_unknown(&self) -> usize {
        self.most_unknown
    }
}

/// What one person has, as a rule: an address, or the last 64 bits of one in version 6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn places() -> Places<u64> {
        Places::new(4, 2)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn a_crowd_pushes_out_its_own() {
        let mut places = places();
        assert_eq!(places.enter(address(1), |number| number), None);
        for expected in [None, None, None, Some(1), Some(2), Some(3)] {
            assert_eq!(places.enter(address(2), |number| number), expected);
        }
        assert_eq!(places.admit(0, ServerId(1), Lane::Usual).unwrap(), None);
        assert!(places.admit(1, ServerId(2), Lane::Usual).is_err());
    }

    #[test]
    fn many_addresses_of_one_network_are_one_crowd() {
        let mut places = places();
        assert_eq!(places.enter(address(1), |number| number), None);
        let crowd = |last: u128| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8 << 96) + last));
        let leave: Vec<_> =
            (0..5).filter_map(|last| places.enter(crowd(last), |number| number)).collect();
        assert_eq!(leave, [1, 2]);
    }

    #[test]
    fn a_server_has_one_place_for_each_lane() {
        let mut places = places();
        for _ in 0..4 {
            places.enter(address(1), |number| number);
        }
        assert_eq!(places.admit(0, ServerId(1), Lane::Usual).unwrap(), None);
        assert_eq!(places.admit(1, ServerId(1), Lane::Bulk).unwrap(), None);
        assert_eq!(places.admit(2, ServerId(1), Lane::Usual).unwrap(), Some(0));
        places.leave(0); // It has been replaced, so that changes nothing.
        let full = places.admit(3, ServerId(2), Lane::Usual);
        assert!(matches!(full, Err(TransportError::TooManyConnections { most: 2, known: true })));
        places.leave(2);
        assert_eq!(places.admit(3, ServerId(2), Lane::Usual).unwrap(), None);
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_a_lone_caller_stays(
            crowd in proptest::collection::vec(2_u8..4, 0..40),
        ) {
            let mut places = places();
            places.enter(address(1), |number| number);
            for last in crowd {
                let left = places.enter(address(last), |number| number);
                prop_assert_ne!(left, Some(0));
                prop_assert!(places.lobby.len() <= 4);
            }
        }
    }
}
