//! What operators see: the metrics and notices of nodes that run are those of the operator's page.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails in a helper fails the test")]

#[path = "node/cluster.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod cluster;
#[path = "node/journal.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod journal;

use cluster::{Cluster, eventually};
use kontiki_node::{METRICS, Metric, MetricKind};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, span};

const PAGE: &str = include_str!("../OPERATING.md");

/// Every metric that was asked for, by its name and labels.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Values>>);

type Values = BTreeMap<(String, String), Arc<AtomicU64>>;

impl Seen {
    fn value(&self, key: &Key) -> Arc<AtomicU64> {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = (key.name().to_owned(), labels.join(" "));
        Arc::clone(self.0.lock().unwrap().entry(name).or_default())
    }

    /// The values of a metric, by its labels.
    fn values(&self, name: &str) -> Vec<(String, u64)> {
        let all = self.0.lock().unwrap();
        let named = all.iter().filter(|((found, _), _)| found == name);
        named.map(|((_, labels), value)| (labels.clone(), value.load(Ordering::Relaxed))).collect()
    }

    fn gauges(&self, name: &str) -> f64 {
        self.values(name).iter().map(|(_, bits)| f64::from_bits(*bits)).sum()
    }
}

/// Counts what is recorded.
struct Count(Arc<AtomicU64>);

impl HistogramFn for Count {
    fn record(&self, _: f64) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Recorder for Seen {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.value(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.value(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(Arc::new(Count(self.value(key))))
    }
}

/// Every notice that was given.
#[derive(Clone, Default)]
struct Notices(Arc<Mutex<BTreeSet<String>>>);

impl Subscriber for Notices {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("kontiki")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Message(&self.0));
    }
}

struct Message<'a>(&'a Mutex<BTreeSet<String>>);

impl Visit for Message<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0.lock().unwrap().insert(format!("{value:?}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_tell_what_the_page_says() {
    let (seen, notices) = (Seen::default(), Notices::default());
    metrics::set_global_recorder(seen.clone()).unwrap();
    tracing::subscriber::set_global_default(notices.clone()).unwrap();
    let mut cluster = Cluster::start(3).await;
    for _ in 0..10 {
        cluster.write().await;
    }
    cluster.check().await;
    eventually("metrics of all servers", async || {
        let led = seen.gauges("kontiki_leads") == 1.0;
        let executed = seen.values("kontiki_executed_index");
        let all =
            executed.len() == 3 && executed.iter().all(|(_, bits)| f64::from_bits(*bits) >= 10.0);
        let connected = seen.gauges("kontiki_peers_connected") == 6.0;
        (led && all && connected).then_some(())
    })
    .await;
    assert_eq!(seen.gauges("kontiki_takes_part"), 3.0);
    assert_eq!(seen.gauges("kontiki_runs"), 3.0);
    assert_eq!(seen.gauges("kontiki_voters"), 9.0);
    let done: u64 = seen.values("kontiki_requests_done").iter().map(|(_, count)| count).sum();
    assert!(done >= 10, "{done}");
    for histogram in ["kontiki_sync_seconds", "kontiki_sync_writes"] {
        let values = seen.values(histogram);
        assert!(values.len() == 3 && values.iter().all(|(_, count)| *count > 0), "{values:?}");
    }
    let lags = seen.values("kontiki_follower_lag");
    assert!(lags.len() >= 2 && lags.iter().all(|(labels, _)| labels.contains("follower=")));
    let labels = &seen.values("kontiki_term")[0].0;
    assert!(labels.contains("group=0") && labels.contains("server=1"), "{labels}");

    // No metric is missing, and none is there that the table has not.
    let names: BTreeSet<String> = seen.0.lock().unwrap().keys().map(|key| key.0.clone()).collect();
    let known: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.to_owned()).collect();
    assert_eq!(names, known);

    let told = notices.0.lock().unwrap().clone();
    for expected in ["role changed", "leader changed", "takes part in the cluster"] {
        assert!(told.contains(expected), "{told:?}");
    }
    for message in told {
        assert!(PAGE.contains(&format!("| `{message}` |")), "the page lacks {message}");
    }
}

#[test]
fn the_page_has_every_metric() {
    for Metric { name, kind, says } in METRICS {
        let kind = match kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        };
        assert!(PAGE.contains(&format!("\n| `{name}` | {kind} | {says} |\n")), "{name}");
    }
    let words = PAGE.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let named = words.filter(|word| word.starts_with("kontiki_") && *word != "kontiki_node");
    for name in named {
        assert!(METRICS.iter().any(|metric| metric.name == name), "there is no {name}");
    }
}

/// The sources of this package.
fn sources(directory: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all.extend(sources(&path)),
            false => all.push((path.display().to_string(), fs::read_to_string(&path).unwrap())),
        }
    }
    all
}

#[test]
fn the_page_has_every_notice() {
    let mut count = 0;
    for (file, source) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        for level in ["error", "warn", "info", "debug"] {
            for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                // Fields have no text, so the first text is the message.
                let message = call.split('"').nth(1).unwrap();
                let row = format!("\n| `{message}` | {level} |");
                assert!(PAGE.contains(&row), "{file}: the page lacks {message}");
                count += 1;
            }
        }
    }
    assert_eq!(
        PAGE.matches(" | info |").count()
            + PAGE.matches(" | warn |").count()
            + PAGE.matches(" | error |").count()
            + PAGE.matches(" | debug |").count(),
        count
    );
}

/// What stands in backquotes with two colons is there.
#[test]
fn what_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let all: String = [root.join("src"), root.join("../src/driver"), root.join("../../specs/src")]
        .iter()
        .flat_map(|directory| sources(directory))
        .map(|(_, source)| source)
        .collect();
    let quoted = PAGE.split('`').skip(1).step_by(2).filter(|text| text.contains("::"));
    let mut count = 0;
    for text in quoted {
        let (kind, item) = text.rsplit_once("::").unwrap();
        let is_function = all.contains(&format!("fn {item}"));
        let is_field = all.contains(&format!("pub {item}:"));
        let is_variant = ["{", "(", ","].iter().any(|end| {
            all.contains(&format!("    {item}{end}")) || all.contains(&format!("    {item} {end}"))
        });
        let is_module = all.contains(&format!("pub mod {item}"));
        let kind = kind.rsplit("::").next().unwrap();
        let is_kind = ["struct", "enum", "trait", "mod"]
            .iter()
            .any(|word| all.contains(&format!("{word} {kind}")));
        let is_kind = is_kind || kind == "kontiki_node";
        assert!(is_kind && (is_function || is_field || is_variant || is_module), "{text}");
        count += 1;
    }
    assert!(count > 10);
}
