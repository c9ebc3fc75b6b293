//! A server tells the others where clients reach it, through the log.

use super::Shared;
use super::batch::{clock, write};
use crate::client::ask;
use crate::machine::KnownServer;
use crate::operation::{Operation, begin_entry};
use kontiki_node::RequestError;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often a server looks whether the others know.
const OFTEN: Duration = Duration::from_millis(500);
/// How long the leader may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sees to it, for as long as the server runs, that the log says of this server what its configuration says.
pub(super) async fn introduce(shared: Arc<Shared>) {
    let Some(own) = shared.configured.get(&shared.id.0).cloned() else { return };
    loop {
        sleep(OFTEN).await;
        if shared.machine.servers().get(&own.id) != Some(&own) {
            tell(&shared, &own).await;
        }
    }
}

/// Tells it once. If this fails, the next look finds out.
async fn tell(shared: &Shared, own: &KnownServer) {
    let http = own.http.as_deref().unwrap_or_default();
    let mut entry = begin_entry(clock());
    Operation::Introduce { server: own.id, clients: &own.clients, http }.encode(&mut entry);
    let written = write(&shared.handle, entry).await;
    let Err(RequestError::NotLeader { leader: Some(leader) }) = written else { return };
    let Some(leader) = shared.clients_of(leader) else { return };
    let own = own.clone();
    let asked = spawn_blocking(move || {
        let id = own.id.to_string();
        let mut request = vec!["KONTIKI.SERVER", &id, &own.clients];
        request.extend(own.http.as_deref());
        drop(ask(&leader, &request, PATIENCE));
    });
    drop(asked.await);
}
