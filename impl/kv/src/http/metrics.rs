//! Metrics, as Prometheus reads them: those of the node, which its documentation lists, and those of the
//! key-value server.

use crate::server::Shared;
use anyhow::anyhow;
use kontiki_node::{METRICS, Metric, MetricKind};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often what was recorded is summed up.
const OFTEN: Duration = Duration::from_secs(5);

/// What collects the metrics of nodes.
#[derive(Clone, Debug)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Collects the metrics of all nodes of this process that start from now on. It is done once.
    ///
    /// # Errors
    /// If the process collects them already.
    pub fn install() -> anyhow::Result<Metrics> {
        let handle = PrometheusBuilder::new().install_recorder();
        let handle = handle.map_err(|error| anyhow!("cannot collect metrics: {error}"))?;
        for Metric { name, kind, says } in METRICS {
            match kind {
                MetricKind::Gauge => describe_gauge!(*name, *says),
                MetricKind::Counter => describe_counter!(*name, *says),
                MetricKind::Histogram => describe_histogram!(*name, *says),
            }
        }
        Ok(Metrics(handle))
    }

    /// Sums up what was recorded, for as long as it is polled. Until this is done, every single value is kept.
    pub async fn sum_up(self) {
        loop {
            self.0.run_upkeep();
            tokio::time::sleep(OFTEN).await;
        }
    }

    /// All metrics.
    pub(super) fn text(&self, shared: &Shared) -> String {
        self.0.run_upkeep();
        let mut text = self.0.render();
        let counts = &shared.counts;
        let own = [
            ("keys", "gauge", "How many keys there are.", shared.machine.count()),
            ("clients", "gauge", "How many are connected.", counts.clients.load(Ordering::Relaxed)),
            (
                "connections",
                "counter",
                "Connections of clients.",
                counts.connections.load(Ordering::Relaxed),
            ),
            ("writes", "counter", "Operations that write.", counts.writes.load(Ordering::Relaxed)),
            ("reads", "counter", "Operations that read.", counts.reads.load(Ordering::Relaxed)),
            (
                "failed",
                "counter",
                "Operations that had no answer but an error.",
                counts.failed.load(Ordering::Relaxed),
            ),
        ];
        let server = shared.id.0;
        for (name, kind, says, value) in own {
            // Writing into memory does not fail.
            let _ = write!(
                text,
                "# HELP kontiki_kv_{name} {says}\n# TYPE kontiki_kv_{name} {kind}\n\
                 kontiki_kv_{name}{{server=\"{server}\"}} {value}\n\n"
            );
        }
        text
    }
}
