// The page System: nodes, brokers, streams, webhooks, dead letters, and what is not well.
"use strict";

async function showHealth() {
  const asking = shown;
  showLag(asking);
  showDeployment(asking);
  showHooks(asking);
  showDead(asking);
  const word = $("health-word");
  const say = (text, look) => {
    word.textContent = text;
    word.className = `word ${look}`;
  };
  try {
    const { body } = await ask("/health/ready");
    if (asking !== shown) return;
    say(body.status, body.status === "ready" ? "good" : "bad");
    rows("health-parts", Object.entries(body.parts ?? {}).map(([name, state]) => {
      const isReady = state === "ready";
      const cell = element("span");
      cell.append(element("span", state, isReady ? "good" : "bad"));
      if (!isReady) cell.append(element("br"), ADVICE[name] ?? SEE_LOG);
      return row([[name], [cell]]);
    }));
  } catch (error) {
    if (asking === shown) say(error.message, "bad");
  }
}

async function showLag(asking) {
  let text;
  try {
    const { body } = await ask("/stats");
    const behind = body.NotIndexed === undefined ? "how many is not known" : number.format(body.NotIndexed);
    text = `Events that are not in the catalogue yet: ${behind}. ` +
      `Completions that are not announced yet: ${number.format(body.Unannounced)}.`;
  } catch (error) {
    text = error.message;
  }
  if (asking === shown) note("lag", text);
}

/* All processes of the deployment, and the servers of NATS. */

const nodes = new Map(); // each that answered, with when it last did

async function showDeployment(asking) {
  // Without NATS an answer takes longer than the pause between two questions.
  if (asking.asksDeployment) return;
  asking.asksDeployment = true;
  try {
    const { body } = await ask("/health");
    if (asking !== shown) return;
    rememberNodes(body.Nodes);
    showNodes();
    showStreams(body.Streams);
    showBrokers(body.Streams);
  } catch (error) {
    if (asking !== shown) return;
    note("nodes-note", error.message, true);
    for (const table of ["nodes", "streams", "brokers"]) reveal(table, false);
  } finally {
    asking.asksDeployment = false;
  }
}

function reveal(table, is) {
  $(`${table}-title`).hidden = $(`${table}-scroll`).hidden = !is;
}

// NATS knows only who answers now, so the page remembers who did before.
function rememberNodes(answered) {
  const now = Date.now();
  for (const node of nodes.values()) node.gone = true;
  for (const node of answered) {
    const key = JSON.stringify([node.Service, node.Host, node.StartedAt]);
    const before = nodes.has(key) ? undefined : [...nodes].find(([, { gone, Service, Host }]) =>
      gone && Service === node.Service && Host === node.Host);
    // The same node, started again.
    if (before) nodes.delete(before[0]);
    nodes.set(key, { ...node, at: now });
  }
  for (const [key, node] of nodes) if (now - node.at > GONE_AFTER) nodes.delete(key);
}

function showNodes() {
  const all = [...nodes].sort(([a], [b]) => a.localeCompare(b)).map(([, node]) => node);
  const answering = all.filter((node) => !node.gone);
  const missing = ["indexer", "ingest"].filter((name) => !answering.some((n) => n.Service === name));
  const wrong = missing.map((name) => ` No ${name} answers.`);
  if (!missing.includes("indexer") && !answering.some((n) => n.Role === "active")) wrong.push(" No indexer is active.");
  const gone = all.length - answering.length;
  const processes = new Set(all.map((n) => JSON.stringify([n.Host, n.StartedAt])));
  const isOne = processes.size === 1 && !missing.length;
  reveal("nodes", !isOne);
  if (isOne) {
    const { Host, Version, StartedAt } = answering[0];
    const since = StartedAt ? `, since ${new Date(StartedAt).toLocaleString()}` : "";
    return note("nodes-note", `One process runs all services${Host ? ` on ${Host}` : ""}: version ${Version}${since}.`);
  }
  const versions = [...new Set(answering.map((n) => n.Version))];
  const several = versions.length > 1 ? ` Versions: ${versions.join(" and ")}.` : "";
  const lost = gone ? `, ${gone} no longer ${gone === 1 ? "does" : "do"}` : "";
  const answer = answering.length === 1 ? "1 node answers" : `${answering.length} nodes answer`;
  note("nodes-note", `${answer}${lost}.${several}${wrong.join("")}`, gone || wrong.length);
  rows("nodes", all.map((n) => row([
    [n.Service], [n.Host], [state(n), "state"], [n.Version], [time(n.StartedAt, true), "time"],
  ])));
}

function state({ Ready, Reason, Role, gone, at }) {
  if (gone) {
    const made = element("span", "no answer since ", "bad");
    made.append(time(at));
    return made;
  }
  if (Ready) return element("span", Role ?? "ready", Role === "standby" ? undefined : "good");
  return element("span", [Role, `not ready: ${Reason ?? "no reason given"}`].filter(Boolean).join(", "), "bad");
}

const HAS = {
  INSTANCES: "what was received, until it is indexed and old", SERIES: "completions, for 30 days",
  DEAD: "dead letters, for 30 days", AUDIT: "the audit trail",
};
const NEARLY_FULL = 0.9;

// How full each stream is. AUDIT drops its oldest messages where it is full; of INSTANCES those that are indexed go.
function showStreams(streams) {
  reveal("streams", streams.length > 0);
  rows("streams", streams.map(({ Name, Messages, Bytes, MaxBytes, Reason }) => {
    const full = MaxBytes ? Bytes / MaxBytes : undefined;
    const isNear = Name === "INSTANCES" && full > NEARLY_FULL;
    const part = Reason ? element("span", "no answer", "bad") : full === undefined ? "no limit"
      : element("span", `${full && full < 0.01 ? "below 1" : Math.round(full * 100)} %`, isNear ? "bad" : undefined);
    if (Reason) part.title = Reason;
    return row([
      [Name], [HAS[Name]], [Messages === undefined ? "" : number.format(Messages), "number"],
      [Bytes === undefined ? "" : megabytes(Bytes), "number"], [MaxBytes ? megabytes(MaxBytes) : "", "number"], [part],
    ]);
  }));
}

async function showHooks(asking) {
  try {
    const { body } = await ask("/webhooks");
    if (asking !== shown) return;
    $("hooks-scroll").hidden = !body.length;
    rows("hooks", body.map((hook) => {
      const failure = element("span");
      if (hook.LastFailureAt) failure.append(time(hook.LastFailureAt, true), element("br"), small(hook.LastFailure ?? ""));
      const { DeadLetters: dead } = hook;
      return row([
        [hook.Name], [hook.URL], [number.format(hook.Pending), "number"], [number.format(hook.InFlight), "number"],
        [element("span", number.format(dead), dead ? "bad" : undefined), "number"], [time(hook.LastSuccessAt, true), "time"], [failure],
      ]);
    }));
    note("hooks-note", body.length ? "" : "None. Programs that take completions by HTTP are set in WEBHOOKS_FILE.");
  } catch (error) {
    if (asking === shown) note("hooks-note", error.message, true);
  }
}

// Where NATS is one server there is no replication to show.
function showBrokers(streams) {
  const isCluster = streams.some((s) => s.Followers.length || s.Replicas > 1 || s.Reason);
  reveal("brokers", isCluster);
  if (!isCluster) return;
  rows("brokers", streams.map((s) => row([
    [s.Name], [s.Replicas, "number"], [s.Leader ?? noLeader(s)], [followers(s.Followers)],
  ])));
}

function noLeader({ Reason }) {
  const made = element("span", Reason ? "no answer" : "none", "bad");
  if (Reason) made.title = Reason;
  return made;
}

function followers(all) {
  const made = element("span");
  all.forEach(({ Name, Away, Behind, Lag }, index) => {
    if (index) made.append(", ");
    const lag = Lag ? `${number.format(Lag)} behind` : "behind";
    if (Away) made.append(element("span", `${Name} (away)`, "bad"));
    else if (Behind) made.append(element("span", `${Name} (${lag})`, "wait"));
    else made.append(Name);
  });
  return made;
}

async function showDead(asking) {
  try {
    const { body, total } = await ask(`/dead-letters?limit=${MOST_ROWS}`);
    if (asking !== shown) return;
    $("dead-scroll").hidden = !body.length;
    const known = [...$("dead").tBodies[0].rows].map((r) => r.dataset.sequence).join();
    // Whoever is about to press a button finds it where it was.
    if (known !== body.map((l) => l.Sequence).join()) {
      rows("dead", body.map((l) => {
        const made = row([
          [l.Reason], [l.Error], [l.OriginalSubject], [number.format(l.Bytes), "number"],
          [time(l.DeadAt, true), "time"], [actions(l)],
        ]);
        made.dataset.sequence = l.Sequence;
        return made;
      }));
    }
    const rest = total > body.length ? ` The oldest ${body.length} are shown.` : "";
    if (!pressed) note("dead-note", total > 0 ? `${number.format(total)} in all.${rest}` : "None.");
  } catch (error) {
    if (asking === shown) note("dead-note", error.message, true);
  }
}

let pressed = false; // what came of a button stays until the next one

function actions(letter) {
  const made = element("span", undefined, "actions");
  const replay = element("button", "Replay");
  const drop = element("button", "Drop");
  replay.setAttribute("aria-label", `Replay letter ${letter.Sequence}`);
  drop.setAttribute("aria-label", `Drop letter ${letter.Sequence}`);
  const act = async (method, path, done) => {
    replay.disabled = drop.disabled = true;
    pressed = true;
    try {
      await ask(path, method);
      note("dead-note", done);
    } catch (error) {
      note("dead-note", error.message, true);
    }
    replay.disabled = drop.disabled = false;
    showHealth();
  };
  const path = `/dead-letters/${letter.Sequence}`;
  replay.addEventListener("click", async () => {
    const text = `Replay letter ${letter.Sequence}? It is processed again as it came. What is still wrong with it makes a new letter.`;
    if (await sure(text, "Replay")) act("POST", `${path}/replay`, `Letter ${letter.Sequence} was replayed.`);
  });
  drop.addEventListener("click", async () => {
    if (await sure(`Drop letter ${letter.Sequence} for good? It is not processed any more.`, "Drop")) act("DELETE", path, `Letter ${letter.Sequence} was dropped.`);
  });
  made.append(replay, " ", drop);
  return made;
}
