//! How sockets are set up.

use super::failed;
use crate::error::TransportError;
use std::time::Duration;
use tokio::net::TcpStream;

/// Messages are small, and each is waited for. The other side may go without a word, as when its machine loses
/// power: then the connection has to end, too. Otherwise the system would send again for a quarter of an hour,
/// at ever longer intervals, and after a network was cut for long it would be late to notice that it is whole.
pub(super) fn set_up(socket: &TcpStream, patience: Duration) -> Result<(), TransportError> {
    let action = "set up the connection";
    socket.set_nodelay(true).map_err(failed(action))?;
    keep_alive(socket, patience).map_err(|error| failed(action)(error.into()))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn keep_alive(socket: &TcpStream, patience: Duration) -> rustix::io::Result<()> {
    use rustix::net::sockopt;
    let milliseconds = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, patience.max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepintvl(socket, patience.max(Duration::from_secs(1)))?;
    sockopt::set_tcp_keepcnt(socket, 3)?;
    sockopt::set_tcp_user_timeout(socket, milliseconds)
}

/// Elsewhere the intervals are those of the system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keep_alive(socket: &TcpStream, _: Duration) -> rustix::io::Result<()> {
    rustix::net::sockopt::set_socket_keepalive(socket, true)
}

#[cfg(all(test, any(target_os = "linux", target_os = "android")))]
mod tests {
    use super::*;
    use rustix::net::sockopt;

    #[tokio::test]
    async fn whoever_is_gone_without_a_word_is_noticed_in_time() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        set_up(&socket, Duration::from_secs(5)).unwrap();
        assert!(socket.nodelay().unwrap());
        assert!(sockopt::socket_keepalive(&socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(5));
        assert_eq!(sockopt::tcp_user_timeout(&socket).unwrap(), 5000);
    }
}
