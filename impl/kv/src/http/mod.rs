//! Metrics and a page that shows the cluster, for this machine only.

mod metrics;

pub use metrics::Metrics;

use crate::cluster_report::ClusterReport;
use crate::server::{Server, ServerReport, Shared};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use tiny_http::{Header, Method, Request, Response, StatusCode};
use tokio::runtime;

const PAGE: &str = include_str!("page/index.html");
const SCRIPT: &str = include_str!("page/status.js");
const STYLE: &str = include_str!("page/status.css");

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// The format of metrics that Prometheus reads.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers browsers and collectors of metrics until it is dropped.
pub struct Http {
    server: Arc<tiny_http::Server>,
    thread: Option<JoinHandle<()>>,
    address: SocketAddr,
}

impl Http {
    /// Listens at an address of this machine. To be called within the runtime of the server.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn start(address: SocketAddr, server: &Server, metrics: Metrics) -> io::Result<Http> {
        let listener = std::net::TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let listening = tiny_http::Server::from_listener(listener, None);
        let listening = Arc::new(listening.map_err(io::Error::other)?);
        let (shared, runtime) = (server.shared(), runtime::Handle::current());
        let thread = thread::Builder::new().name("http".to_owned()).spawn({
            let listening = Arc::clone(&listening);
            move || {
                for request in listening.incoming_requests() {
                    // One that goes away without its answer is no concern of the others.
                    drop(answer(request, &shared, &metrics, &runtime));
                }
            }
        })?;
        Ok(Http { server: listening, thread: Some(thread), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(
    request: Request,
    shared: &Shared,
    metrics: &Metrics,
    runtime: &runtime::Handle,
) -> io::Result<()> {
    let (status, kind, body) = content(&request, shared, metrics, runtime);
    let headers = [
        ("Content-Type", kind),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", "default-src 'self'; img-src data:"),
    ];
    let mut response = Response::from_data(body).with_status_code(StatusCode(status));
    for (name, value) in headers {
        if let Ok(header) = Header::from_bytes(name, value) {
            response.add_header(header);
        }
    }
    request.respond(response)
}

fn content(
    request: &Request,
    shared: &Shared,
    metrics: &Metrics,
    runtime: &runtime::Handle,
) -> (u16, &'static str, Vec<u8>) {
    if !is_for_this_machine(request) {
        return (403, TEXT, b"ask for localhost or 127.0.0.1\n".to_vec());
    }
    let report = || runtime.block_on(ServerReport::of(shared));
    match (request.method(), request.url()) {
        (Method::Get, "/") => (200, HTML, PAGE.into()),
        (Method::Get, "/status.js") => (200, JAVASCRIPT, SCRIPT.into()),
        (Method::Get, "/status.css") => (200, CSS, STYLE.into()),
        (Method::Get, "/metrics") => (200, METRICS, metrics.text(shared).into()),
        (Method::Get, "/cluster.json") => match report() {
            Ok(report) => match serde_json::to_vec(&ClusterReport::gather(report)) {
                Ok(json) => (200, JSON, json),
                Err(error) => (500, TEXT, format!("{error}\n").into()),
            },
            Err(error) => (503, TEXT, format!("{error}\n").into()),
        },
        _ => (404, TEXT, b"there are /, /metrics and /cluster.json\n".to_vec()),
    }
}

/// Whether the browser knows this server by a name of this machine. Another name may have been made to lead
/// here by somebody whose page asks.
fn is_for_this_machine(request: &Request) -> bool {
    let host = request.headers().iter().find(|header| header.field.equiv("Host"));
    let Some(host) = host.map(|header| header.value.as_str()) else { return true };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_loopback = |name: &str| {
        name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    name.eq_ignore_ascii_case("localhost") || is_loopback(name) || is_loopback(host)
}
