//! What can happen next in a cluster.

/// An action, by the numbers of the [`super::Cluster`] it belongs to: small, because there are
/// very many. [`super::Cluster::explain`] says what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The message of this number is delivered. It stays in the network.
    Deliver(u32),
    /// An event happens to a server.
    Event {
        /// The server's place, counted from 0.
        server: u8,
        /// Which of the events that are possible in its state.
        event: u8,
    },
}
