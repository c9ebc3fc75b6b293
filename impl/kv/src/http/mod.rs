//! Metrics and a page that shows the cluster, for this machine only.

mod metrics;

pub use metrics::Metrics;

use crate::cluster_report::ClusterReport;
use crate::server::{Server, ServerReport, Shared};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

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

/// So many connections are served at the same time. Others wait.
const MOST_CONNECTIONS: usize = 32;
/// A connection ends after so long, whatever the other side does. It serves one request.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a request may take up. Nothing here needs a body, and none is read.
const REQUEST_BYTES: usize = 16 << 10;
/// If no connection can be accepted, because too many files are open for example, it is tried again after so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers browsers and collectors of metrics until it is dropped.
#[derive(Debug)]
pub struct Http {
    task: JoinHandle<()>,
    address: SocketAddr,
}

impl Http {
    /// Listens at an address of this machine. To be called within the runtime of the server.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn start(address: SocketAddr, server: &Server, metrics: Metrics) -> io::Result<Http> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let page = Arc::new(Page { shared: server.shared(), metrics });
        Ok(Http { task: tokio::spawn(serve(listener, page)), address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections until it is aborted. Those that are open end with it.
async fn serve(listener: TcpListener, page: Arc<Page>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Nobody closes these places.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        let page = Arc::clone(&page);
        connections.spawn(async move {
            // One that goes away without its answer, or takes too long, is no concern of the others.
            drop(timeout(PATIENCE, converse(stream, page)).await);
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one request.
async fn converse(stream: TcpStream, page: Arc<Page>) -> Result<(), hyper::Error> {
    let answer = service_fn(|request| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(page.answer(&request).await) }
    });
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST_BYTES);
    http.serve_connection(TokioIo::new(stream), answer).await
}

/// What there is to show.
struct Page {
    shared: Arc<Shared>,
    metrics: Metrics,
}

impl Page {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (status, kind, body) = self.content(request).await;
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let policy = HeaderValue::from_static("default-src 'self'; img-src data:");
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        response
    }

    async fn content(&self, request: &Request<Incoming>) -> (StatusCode, &'static str, Bytes) {
        if !is_for_this_machine(request) {
            let here = Bytes::from_static(b"ask for localhost or 127.0.0.1\n");
            return (StatusCode::FORBIDDEN, TEXT, here);
        }
        let found =
            |kind, body: &'static str| (StatusCode::OK, kind, Bytes::from_static(body.as_bytes()));
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/") => found(HTML, PAGE),
            (&Method::GET, "/status.js") => found(JAVASCRIPT, SCRIPT),
            (&Method::GET, "/status.css") => found(CSS, STYLE),
            (&Method::GET, "/metrics") => {
                (StatusCode::OK, METRICS, self.metrics.text(&self.shared).into())
            }
            (&Method::GET, "/cluster.json") => match self.cluster().await {
                Ok(json) => (StatusCode::OK, JSON, json.into()),
                Err(error) => (StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{error}\n").into()),
            },
            _ => {
                let there = Bytes::from_static(b"there are /, /metrics and /cluster.json\n");
                (StatusCode::NOT_FOUND, TEXT, there)
            }
        }
    }

    /// How all servers are, as JSON. The others are asked by threads, since that waits.
    async fn cluster(&self) -> anyhow::Result<Vec<u8>> {
        let own = ServerReport::of(&self.shared).await?;
        let gathered = tokio::task::spawn_blocking(|| ClusterReport::gather(own)).await?;
        Ok(serde_json::to_vec(&gathered)?)
    }
}

/// Whether the browser knows this server by a name of this machine. Another name may have been made to lead
/// here by somebody whose page asks.
fn is_for_this_machine(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(header::HOST) else { return true };
    let Ok(host) = host.to_str() else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let is_loopback = |name: &str| {
        name.trim_matches(['[', ']']).parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    };
    name.eq_ignore_ascii_case("localhost") || is_loopback(name) || is_loopback(host)
}
