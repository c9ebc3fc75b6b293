"use strict";
// Walks through a cluster's states. The address holds the path: the place of the first state, then
// the place of each action among those possible. Step n is the n-th action.

const at = (id) => document.getElementById(id);
const answers = new Map();
let about = null;
let explored = null;
// The longest path seen, so that steps stay listed when an earlier one is looked at.
let farthest = [];

async function ask(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/// What may happen after a path, each with the state that it leads to.
async function choicesAfter(path) {
  const key = path.map((place) => "/" + place).join("");
  if (!answers.has(key)) {
    const found = (await ask("/.states" + key)).map((choice) => ({
      place: choice.actionIndex,
      action: choice.action,
      change: choice.outcome,
      text: choice.state,
      state: choice.state && JSON.parse(choice.state),
      svg: choice.svg,
    }));
    answers.set(key, found);
  }
  return answers.get(key);
}

async function statesAlong(path) {
  const states = [];
  for (let length = 0; length < path.length; length++) {
    const choices = await choicesAfter(path.slice(0, length));
    const taken = choices.find((choice) => choice.place === path[length]);
    if (!taken || !taken.state) throw new Error("There is no such path in this scope.");
    states.push(taken);
  }
  return states;
}

const address = (path) => "#/steps" + path.map((place) => "/" + place).join("");

function pathOf(hash) {
  const places = hash.replace(/^#\/steps/, "").split("/").filter((place) => /^\d+$/.test(place));
  return places.length ? places.map(Number) : [0];
}

function element(kind, text, className) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function link(text, path) {
  const made = element("a", text);
  made.href = address(path);
  return made;
}

function item(child, className) {
  const made = element("li", undefined, className);
  made.append(child);
  return made;
}

function fill(table, heads, rows) {
  const head = element("tr");
  heads.forEach((text) => head.append(element("th", text)));
  table.replaceChildren(head);
  for (const { cells, className } of rows) {
    const row = element("tr", undefined, className);
    cells.forEach((cell) => row.append(element("td", cell)));
    table.append(row);
  }
}

function showHeader() {
  at("scope").textContent = `Scope ${about.scope}: ${about.bounds.join(", ")}`;
  document.title = `${about.scope} – Kontiki Explorer`;
  if (!about.mutation) return;
  const { name, rule, does } = about.mutation;
  at("mutation").hidden = false;
  at("mutation").textContent = `Mutation ${name} (rule ${rule}): ${does}`;
  const found = about.counterexample;
  at("counterexample").hidden = false;
  if (!found) {
    at("counterexample").textContent = "It breaks no property in this scope.";
    return;
  }
  const steps = found.steps === 1 ? "1 step" : `${found.steps} steps`;
  const text = `Shortest counterexample: ${steps}, breaks ${found.breaks.join(", ")}`;
  at("counterexample").replaceChildren(link(text, pathOf(found.path)));
}

function showSteps(path, states) {
  const isAhead = path.every((place, index) => farthest[index] === place);
  if (!isAhead) farthest = path;
  const start = item(link("the first state", path.slice(0, 1)), path.length === 1 ? "here" : "");
  start.value = 0;
  at("steps").replaceChildren(start);
  for (let step = 1; step < farthest.length; step++) {
    const choices = answers.get(farthest.slice(0, step).map((place) => "/" + place).join(""));
    const taken = choices && choices.find((choice) => choice.place === farthest[step]);
    const className = step === path.length - 1 ? "here" : step >= path.length ? "later" : "";
    at("steps").append(item(link(taken ? taken.action : "…", farthest.slice(0, step + 1)), className));
  }
}

/// Choices after which every server and message is what it was are folded away.
function showChoices(path, here, choices) {
  const changes = choices.filter((choice) => choice.state && choice.text !== here.text);
  const idle = choices.filter((choice) => choice.state && choice.text === here.text);
  const listed = (choice) => {
    const listed = item(link(choice.action, [...path, choice.place]));
    const fresh = choice.state.broken.filter((name) => !here.state.broken.includes(name));
    if (fresh.length) listed.append(element("span", ` breaks ${fresh.join(", ")}`, "bad"));
    return listed;
  };
  at("choices").replaceChildren(...changes.map(listed));
  if (!changes.length) at("choices").append(element("li", "nothing that changes anything"));
  at("idle").hidden = idle.length === 0;
  at("idle").querySelector("summary").textContent = `${idle.length} more that change no server and no message`;
  at("idle").querySelector("ul").replaceChildren(...idle.map(listed));
}

function showState(path, here, before) {
  const step = path.length - 1;
  at("title").textContent = step ? `${step}. ${here.action}` : "The first state";
  at("change").textContent = step ? here.change : "";
  const { servers, progress, messages, broken } = here.state;
  const meaning = new Map(about.properties);
  at("broken").hidden = broken.length === 0;
  at("broken").textContent = broken.map((name) => `This breaks ${name}: ${meaning.get(name)}`).join("\n");
  const heads = ["", "role", "term", "vote", "log", "configuration", "commit", "applied", "on disk", "waiting for"];
  fill(at("servers"), heads, servers.map((row, place) => ({
    cells: [
      "S" + row.server, row.role, row.term, row.vote, row.log, row.configuration,
      row.commit, row.applied, row.disk, row.waiting_for,
    ],
    className: row.kind + (before && isOther(row, before.state.servers[place]) ? " changed" : ""),
  })));
  at("progress-section").hidden = progress.length === 0;
  const known = ["leader", "follower", "mode", "match", "next", "catching up"];
  fill(at("progress"), known, progress.map((row) => ({
    cells: ["S" + row.leader, "S" + row.follower, row.mode, row.matched, row.next, row.catch_up],
  })));
  at("messages").replaceChildren(...messages.map((message) => element("li", message)));
  if (!messages.length) at("messages").append(element("li", "none"));
  at("diagram").innerHTML = here.svg || "";
}

const isOther = (one, other) => JSON.stringify(one) !== JSON.stringify(other);

/// What is known to break: by the counterexample from the start, by stateright as it finds it.
function showProperties() {
  const ways = new Map();
  for (const [expectation, name, path] of explored ? explored.properties : []) {
    if (path) ways.set(name, { path: pathOf(path), isGoal: expectation !== "Always" });
  }
  const found = about.counterexample;
  if (found) found.breaks.forEach((name) => ways.set(name, { path: pathOf(found.path) }));
  const shown = about.properties.map(([name, meaning]) => {
    const way = ways.get(name);
    const shown = way ? item(link(`✗ ${name} is broken`, way.path), "bad") : element("li", name);
    shown.title = meaning;
    return shown;
  });
  shown.sort((one, other) => other.className.localeCompare(one.className));
  at("properties").replaceChildren(...shown);
  if (explored) {
    const count = explored.unique_state_count.toLocaleString("en").replaceAll(",", " ");
    const all = explored.done ? "all of them" : "so far";
    at("explored").textContent = `States that stateright has visited: ${count}, ${all}.`;
    at("explore").hidden = explored.done;
  }
}

async function show() {
  const path = pathOf(location.hash);
  try {
    const states = await statesAlong(path);
    const choices = await choicesAfter(path);
    if (address(path) !== address(pathOf(location.hash))) return; // The reader has gone on.
    const here = states[states.length - 1];
    showSteps(path, states);
    showChoices(path, here, choices);
    showState(path, here, states[states.length - 2]);
    at("error").hidden = true;
  } catch (problem) {
    at("error").hidden = false;
    at("error").textContent = problem.message;
  }
}

async function watch() {
  try {
    explored = await ask("/.status");
    showProperties();
  } catch {
    // The program has ended; what is on the page stays.
  }
  if (!explored || !explored.done) setTimeout(watch, 3000);
}

async function begin() {
  about = await ask("/about");
  showHeader();
  showProperties();
  at("explore").onclick = () => fetch("/.runtocompletion", { method: "POST" });
  window.onhashchange = show;
  await show();
  watch();
}

begin();
