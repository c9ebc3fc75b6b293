//! The Explorer: a page of its own, in front of stateright's.
//!
//! stateright's `serve` answers with its own page at `/`, so it listens where only this program
//! looks, and what the page asks of it is passed on. The page itself is three files without a
//! build step.

use super::{About, ReadableCluster};
use crate::cluster::Cluster;
use serde_json::to_vec;
use stateright::Model;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tiny_http::{Header, Method, Request, Response, Server, StatusCode};

const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/explorer.js");
const STYLE: &str = include_str!("page/explorer.css");

/// How often stateright's server is looked for while it starts, every [`PAUSE`].
const LOOKS: u32 = 250;
const PAUSE: Duration = Duration::from_millis(20);

/// An Explorer that listens.
pub struct Explorer {
    server: Server,
    address: SocketAddr,
    about: Vec<u8>,
    /// Where stateright's Explorer listens.
    behind: SocketAddr,
}

impl Explorer {
    /// Listens at an address, and has stateright's Explorer listen at another of this machine's.
    ///
    /// # Errors
    /// Those of the operating system, if it cannot listen.
    pub fn bind(address: SocketAddr, cluster: Cluster, about: &About) -> io::Result<Explorer> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let server = Server::from_listener(listener, None).map_err(io::Error::other)?;
        // stateright takes an address, not a listener, and panics where it cannot listen.
        let behind = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        thread::spawn(move || {
            ReadableCluster::new(cluster).checker().serve(behind);
        });
        (0..LOOKS)
            .any(|_| {
                let listens = TcpStream::connect(behind).is_ok();
                if !listens {
                    thread::sleep(PAUSE);
                }
                listens
            })
            .then_some(())
            .ok_or_else(|| io::Error::other("stateright's Explorer does not start"))?;
        Ok(Explorer { server, address, about: to_vec(about)?, behind })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests for as long as the program runs.
    ///
    /// # Errors
    /// Those of the operating system, if it cannot listen any more.
    pub fn run(&self) -> io::Result<()> {
        loop {
            // One that goes away without its answer is no concern of the others.
            let _ = self.answer(self.server.recv()?);
        }
    }

    fn answer(&self, request: Request) -> io::Result<()> {
        let (status, kind, body) = match (request.method(), request.url()) {
            (Method::Get, "/") => (200, "text/html; charset=utf-8", PAGE.into()),
            (Method::Get, "/explorer.js") => (200, "text/javascript; charset=utf-8", SCRIPT.into()),
            (Method::Get, "/explorer.css") => (200, "text/css; charset=utf-8", STYLE.into()),
            (Method::Get, "/about") => (200, "application/json", self.about.clone()),
            (Method::Get, url) if url == "/.status" || url.starts_with("/.states") => {
                self.pass_on("GET", url)
            }
            (Method::Post, "/.runtocompletion") => self.pass_on("POST", "/.runtocompletion"),
            _ => (404, "text/plain", b"there is nothing here; the page is at /".to_vec()),
        };
        let response = Response::from_data(body).with_status_code(StatusCode(status));
        let header = Header::from_bytes("Content-Type", kind);
        request.respond(match header {
            Ok(header) => response.with_header(header),
            Err(()) => response,
        })
    }

    /// Asks stateright.
    fn pass_on(&self, method: &str, url: &str) -> (u16, &'static str, Vec<u8>) {
        match ask(self.behind, method, url) {
            Ok((200, body)) => (200, "application/json", body),
            Ok((status, body)) => (status, "text/plain; charset=utf-8", body),
            Err(error) => (502, "text/plain; charset=utf-8", error.to_string().into_bytes()),
        }
    }
}

/// A request of HTTP 1.0: its answer ends where the connection does.
fn ask(address: SocketAddr, method: &str, url: &str) -> io::Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{method} {url} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let malformed = || io::Error::other("stateright's Explorer answers with something else");
    let end = answer.windows(4).position(|part| part == b"\r\n\r\n").ok_or_else(malformed)?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(malformed)?, answer.split_off(end + 4)))
}
