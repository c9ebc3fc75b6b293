// Shows how the servers are, and asks again every second.
"use strict";

const PAUSE = 1000;
const MOST_EVENTS = 30;
const OFTEN_SHOWN = 1000; // Entries in a bar, if the log has so many.

const byId = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// What was seen last, by the number of the server.
let before = new Map();
let leaderBefore;
let events = [];

function happened(what) {
  events.unshift({ at: new Date(), what });
  events.length = Math.min(events.length, MOST_EVENTS);
}

function compare(servers, leader, term) {
  for (const server of servers) {
    const last = before.get(server.id);
    if (!last) continue;
    if (last.answers && !server.report) happened(`Server ${server.id} does not answer.`);
    if (!last.answers && server.report) happened(`Server ${server.id} answers again.`);
  }
  if (leaderBefore !== undefined && leaderBefore !== leader) {
    happened(leader ? `Server ${leader} leads in term ${term}.` : "Nobody leads.");
  }
  leaderBefore = leader;
}

function rates(server, now) {
  const last = before.get(server.id);
  const requests = server.report?.requests;
  before.set(server.id, { answers: Boolean(server.report), requests, now });
  if (!last?.requests || !requests) return { writes: 0, reads: 0 };
  const seconds = (now - last.now) / 1000;
  // After a restart it counts from 0 again.
  const rate = (what) => Math.max(0, Math.round((requests[what] - last.requests[what]) / seconds));
  return { writes: rate("writes"), reads: rate("reads") };
}

function bar(report, newest, shown) {
  const first = newest - shown;
  const share = (from, to) => Math.max(0, to - Math.max(from, first)) / Math.max(1, shown) * 100;
  const parts = [
    ["executed", share(0, report["executed-index"])],
    ["committed", share(report["executed-index"], report["commit-index"])],
    ["appended", share(report["commit-index"], report["last-index"])],
  ];
  const drawn = parts.map(([kind, width]) => {
    const part = element("span", { class: kind });
    part.style.width = `${width}%`;
    return part;
  });
  const missing = newest - report["last-index"];
  const label = missing > 0 ? `${number(missing)} entries are not there` : "the log is complete";
  return element("div", { class: "bar", role: "img", "aria-label": label, title: label }, ...drawn);
}

function facts(pairs) {
  const list = element("dl", {});
  for (const [name, value] of pairs) {
    list.append(element("dt", {}, name), element("dd", {}, String(value)));
  }
  return list;
}

function card(server, context) {
  const { report } = server;
  const where = element("p", { class: "where" }, `clients ${server.clients}`);
  if (server.http) {
    const own = server.id === context.asked;
    const link = element("a", { href: `http://${server.http}/` }, own ? "this page" : "its page");
    where.append(" · ", link);
  }
  const title = (role) =>
    element("h3", {}, `Server ${server.id}`, element("span", { class: "role" }, role));
  if (!report) {
    return element("article", { class: "server down" }, title("no answer"), where,
      element("p", { class: "error" }, server.error ?? ""));
  }
  const member = context.voters.includes(server.id) ? "" :
    context.learners.includes(server.id) ? ", learner" : ", no member";
  const kind = report.stopped ? "down" : report.role === "leader" ? "leader" :
    report.role === "follower" ? "follows" : "campaigns";
  const lag = Math.max(0, context.newest - report["last-index"]);
  const made = element("article", { class: `server ${kind}` },
    title(report.stopped ? "stopped" : report.role + member), where,
    bar(report, context.newest, context.shown),
    facts([
      ["term", number(report.term)], ["lag", number(lag)],
      ["log ends", number(report["last-index"])], ["committed", number(report["commit-index"])],
      ["executed", number(report["executed-index"])],
      ["snapshot", report["snapshot-index"] === null ? "none" : number(report["snapshot-index"])],
      ["keys", number(report.keys)], ["clients", number(report.clients)],
      ["writes / s", number(server.rates.writes)], ["reads / s", number(server.rates.reads)],
    ]));
  const troubles = [];
  if (report.stopped) troubles.push(report.stopped);
  if (report.apart) troubles.push(`It takes no part: ${report.apart}.`);
  if (report["disk-stalls"]) troubles.push("Its disk makes no progress.");
  for (const peer of report.peers) {
    if (!peer.connected) troubles.push(`It does not reach server ${peer.id}.`);
  }
  for (const trouble of troubles) made.append(element("p", { class: "error" }, trouble));
  return made;
}

function show(cluster) {
  const now = Date.now();
  const servers = cluster.servers;
  const reports = servers.map((server) => server.report).filter(Boolean);
  // Two may believe that they lead. The one of the later term does.
  const leading = reports.filter((report) => report.role === "leader" && !report.stopped)
    .sort((one, other) => other.term - one.term)[0];
  const leader = leading?.id ?? null;
  compare(servers, leader, leading?.term);
  for (const server of servers) server.rates = rates(server, now);

  const newest = Math.max(0, ...reports.map((report) => report["last-index"]));
  const known = leading ?? reports[0];
  const context = {
    asked: cluster.asked,
    newest,
    shown: Math.min(newest, OFTEN_SHOWN),
    voters: known ? [...known.voters, ...known.outgoing] : [],
    learners: known?.learners ?? [],
  };
  const led = leading ? `Server ${leader} leads in term ${number(leading.term)}.` : "Nobody leads.";
  byId("summary").textContent = `${led} ${reports.length} of ${servers.length} servers answer.`;
  byId("window").textContent = number(context.shown);
  const notes = [];
  if (leading?.["change-under-way"]) {
    notes.push(`The membership is being changed: ${leading.voters.join(", ")} vote` +
      (leading.outgoing.length ? `, and as before ${leading.outgoing.join(", ")}.` : "."));
  }
  if (leading?.["transfers-to"]) notes.push(`Server ${leading["transfers-to"]} is to lead next.`);
  if (reports.some((report) => report["takes-snapshot"])) notes.push("A snapshot is being taken.");
  byId("notes").replaceChildren(...notes.map((note) => element("li", {}, note)));
  byId("servers").replaceChildren(...servers.map((server) => card(server, context)));
  if (events.length > 0) {
    byId("events").replaceChildren(...events.map(({ at, what }) =>
      element("li", {}, element("time", {}, at.toLocaleTimeString("en-GB")), what)));
  }
}

async function ask() {
  try {
    const answer = await fetch("cluster.json");
    if (!answer.ok) throw new Error(await answer.text());
    show(await answer.json());
  } catch (error) {
    byId("summary").textContent = `The server that this page comes from does not answer: ${error.message}`;
    byId("servers").replaceChildren();
  }
  setTimeout(ask, PAUSE);
}

ask();
