// The dashboard: it listens to /events and asks the API. What comes from a DICOM header is text of
// anybody's making, so everything is put on the page as text, never as markup.
"use strict";

const MOST_ROWS = 100; // of a table that fills by itself
const MOST_FOLLOWED = 2000; // series and associations that are remembered
const PAGE = 50; // series in a list at one time
const MOST_DOTS = 1000; // instances of a timeline
const SECONDS = 120; // of a sparkline
const FORGOTTEN_AFTER = 30 * 60 * 1000; // an association of which nothing is heard
const SILENT_AFTER = 10 * 1000; // a series of which nothing is heard: the catalogue is asked
const GONE_AFTER = 10 * 60 * 1000; // a node that no longer answers is left out
const MOST_DETAILED = 20; // series that are asked for one by one
const TOLD_WITHIN = 1250; // after an instance was stored, its series says so
const JUST_NOW = 300;
const SHOWN_AGAIN_AFTER = 2000; // a series that goes on changing

const WHY = {}; // by the reason of a completion, what it means: filled in when the page is served

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const megabytes = (bytes) => short.format(bytes / 1e6);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = String(text);
  if (className) made.className = className;
  return made;
}

function drawn(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function row(cells) {
  const made = element("tr");
  for (const [content, className] of cells) {
    const cell = element("td", undefined, className);
    cell.append(content instanceof Node ? content : String(content ?? ""));
    made.append(cell);
  }
  return made;
}

function rows(table, made) {
  $(table).tBodies[0].replaceChildren(...made);
}

function link(uid, text) {
  const made = element("a", text || uid);
  made.href = "#/series/" + encodeURIComponent(uid);
  return made;
}

function why(reason, disagrees) {
  const made = element("span", reason ?? "");
  if (WHY[reason]) made.title = WHY[reason];
  if (disagrees) made.append(", ", disagreement(disagrees));
  return made;
}

// Of a series of several patients or studies.
function disagreement(disagrees) {
  const made = element("strong", "disagrees");
  made.className = "wrong";
  made.title = `Its instances disagree on ${disagrees.map((d) => d.Keyword).join(", ")}.`;
  return made;
}

function time(text) {
  const at = new Date(text);
  if (!text || Number.isNaN(at.getTime())) return "";
  const made = element("time", at.toLocaleTimeString());
  if (at.toDateString() !== new Date().toDateString()) made.textContent = at.toLocaleString();
  made.dateTime = at.toISOString();
  made.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  return made;
}

const date = (text) =>
  /^\d{8}$/.test(text ?? "") ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;

// A name as people write it: Family, Given.
const person = (text) =>
  (text ?? "").split("=")[0].split("^").filter(Boolean).slice(0, 2).join(", ");

/* What is arriving now: what instances were just seen of, and what the catalogue says is receiving. */

// Of each series what was last told of it; instances `seen`, and `bytes`, since it was opened (undefined
// until an event says so); those `before`, which only the catalogue has seen; when it was last `heard`
// of; when the catalogue was `asked`, and whether it has to `recount`.
const arriving = new Map();
// `told` are those of which nothing was missed. Some are known by their instances only.
const associations = new Map();
const completed = [];
let completedCount = 0;
const seconds = Array.from({ length: SECONDS }, () => ({ instances: 0, bytes: 0 }));
let second = performance.now(); // when the last one began
let changed = true;

function remember(map, key, value) {
  map.delete(key);
  map.set(key, value);
  if (map.size > MOST_FOLLOWED) map.delete(map.keys().next().value);
}

const instancesOf = (series) => series.before + (series.seen ?? 0);

function seen(data, opened) {
  const now = Date.now();
  const known = arriving.get(data.SeriesInstanceUID);
  let before = known?.before ?? 0;
  // Of one that opens now, nothing was before; unless this page was just opened.
  let recount = known?.recount ?? (!opened || looks);
  // Of a series that was there before we looked, only what is new from now on has a rate.
  let since = { seen: known?.seen ?? data.InstancesSeen, bytes: known?.bytes ?? data.BytesSeen };
  if (opened) {
    // It is counted from 1 again.
    before = known ? instancesOf(known) : 0;
    since = { seen: 0, bytes: 0 };
  } else if (known && known.seen === undefined) {
    // Nobody knows how many of these the catalogue had counted.
    before = Math.max(0, before - data.InstancesSeen);
    recount = true;
  }
  const over = opened || !known ? 0 : Math.min(now - known.heard, TOLD_WITHIN);
  arrived(data.InstancesSeen - since.seen, data.BytesSeen - since.bytes, over);
  const { InstancesSeen: instances, BytesSeen: bytes } = data;
  const series = { data, before, seen: instances, bytes, heard: now, asked: known?.asked, recount };
  remember(arriving, data.SeriesInstanceUID, series);
  if (recount && looked < now - SHOWN_AGAIN_AFTER) look();
  const association = associations.get(data.AssociationID);
  if (association) {
    association.heard = now;
  } else if (data.AssociationID) {
    const learnt = { data, state: "open", since: data.LastReceivedAt, heard: now, told: false };
    remember(associations, data.AssociationID, learnt);
  }
  follow(data.SeriesInstanceUID);
}

// Counts what came in the last milliseconds. A series says once a second at most what came of it, so
// it is spread over the time since it last did.
function arrived(instances, bytes, over) {
  let room = passSeconds();
  let left = Math.max(1, over);
  for (let at = SECONDS - 1; left > 0; at -= 1) {
    const part = Math.min(left, room);
    seconds[at].instances += Math.max(0, instances) * (part / Math.max(1, over));
    seconds[at].bytes += Math.max(0, bytes) * (part / Math.max(1, over));
    left -= part;
    room = 1000;
  }
}

// Begins a second for each that has passed, and says for how long the last has lasted. Not by a timer:
// a browser runs those less often for a page that nobody sees.
function passSeconds() {
  const passed = Math.floor((performance.now() - second) / 1000);
  second += passed * 1000;
  for (let i = 0; i < Math.min(passed, SECONDS); i += 1) {
    seconds.shift();
    seconds.push({ instances: 0, bytes: 0 });
  }
  return performance.now() - second;
}

const TOLD = {
  "series.opened": (data) => seen(data, true),
  "series.progress": (data) => seen(data, false),
  "series.completed": (data) => {
    ended(data.SeriesInstanceUID);
    completedCount += 1;
    completed.unshift(data);
    completed.length = Math.min(completed.length, MOST_ROWS);
  },
  "series.deleted": (data) => ended(data.SeriesInstanceUID),
  "series.kept": (data) => follow(data.SeriesInstanceUID),
  "series.purged": (data) => follow(data.SeriesInstanceUID),
  "association.opened": (data) => {
    const since = data.OpenedAt;
    const opened = { data, state: "open", since, heard: Date.now(), told: true };
    remember(associations, data.AssociationID, opened);
  },
  "association.released": (data) => closed(data, "released", data.ClosedAt),
  "association.aborted": (data) => closed(data, "aborted", data.ClosedAt),
  "association.rejected": (data) => closed(data, "rejected", data.RejectedAt),
};

function ended(uid) {
  arriving.delete(uid);
  if (looks) gone.add(uid);
  if (shown.page === "one" && shown.uid === uid) showOne(uid);
}

function closed(data, state, since) {
  remember(associations, data.AssociationID, { data, state, since, heard: Date.now(), told: true });
}

// Asks the catalogue what is receiving. A series that it does not name and that was not heard of for
// a while is not arriving: it was sent again unchanged, which no completion follows.
let looks = false;
let looked = 0;
const gone = new Set(); // what was completed or deleted while it was asked

async function look() {
  if (looks) return;
  looks = true;
  looked = Date.now();
  gone.clear();
  const fields = "SeriesInstanceUID,Modality,SeriesDescription,InstancesReceived";
  let path = `/series?State=receiving&sort=-Arrival&limit=1000&fields=${fields}`;
  const receiving = new Map();
  try {
    while (path && receiving.size < MOST_FOLLOWED) {
      const { body, next } = await ask(path);
      for (const record of body) receiving.set(record.SeriesInstanceUID, record);
      path = next;
    }
    for (const [uid, series] of arriving) {
      // A list that was not read to its end can't say that one is missing.
      if (path || receiving.has(uid) || !isSilent(series)) continue;
      arriving.delete(uid);
      changed = true;
    }
    const found = [...receiving.values()].filter((r) => !gone.has(r.SeriesInstanceUID));
    await detail(found.reverse().filter(learn));
  } catch {
    // It is asked again, and the link says whether events come.
  }
  looks = false;
}

const isSilent = (series) => series.heard < Date.now() - SILENT_AFTER;

// Takes over what the catalogue says of a series that is receiving; true of one not heard of before.
function learn({ SeriesInstanceUID: uid, InstancesReceived: count = 0, ...data }) {
  changed = true;
  const asked = Date.now();
  const known = arriving.get(uid);
  if (!known) {
    data.SeriesInstanceUID = uid;
    remember(arriving, uid, { data, before: count, heard: asked, asked, recount: false });
    return true;
  }
  known.asked = asked;
  // The two can be compared when all that was seen was just told.
  const isTold = known.heard > asked - JUST_NOW || known.heard < asked - TOLD_WITHIN;
  if (isTold && (known.recount || isSilent(known))) {
    known.before = Math.max(0, count - (known.seen ?? 0));
    known.recount = false;
  }
  return false;
}

// Asks who sends the latest of those of which nothing was heard yet, and since when.
async function detail(records) {
  await Promise.allSettled(records.slice(-MOST_DETAILED).map(async ({ SeriesInstanceUID: uid }) => {
    const { body } = await ask(`/series/${encodeURIComponent(uid)}`);
    const series = arriving.get(uid);
    if (series && series.seen === undefined) series.data = body;
    changed = true;
  }));
}

// Once a second: what time alone has changed.
function watch() {
  const now = Date.now();
  const named = new Set([...arriving.values()].map((s) => s.data.AssociationID));
  for (const [id, { told, state, heard }] of associations) {
    // Its end may have been missed as well.
    const isOver = !told && state === "open" && heard < now - SILENT_AFTER && !named.has(id);
    if (isOver || heard < now - FORGOTTEN_AFTER) {
      associations.delete(id);
      changed = true;
    }
  }
  if (shown.page !== "now" || document.hidden) return;
  const series = [...arriving.values()];
  const isUnknown = (s) => s.recount && s.heard < now - TOLD_WITHIN;
  const isForgotten = (s) => isSilent(s) && (s.asked ?? 0) < now - SILENT_AFTER;
  if (looked < now - SHOWN_AGAIN_AFTER && series.some(isUnknown)) look();
  if (looked < now - SILENT_AFTER && series.some(isForgotten)) look();
}

function listen() {
  const events = new EventSource("/events");
  const say = (state, text) => {
    if ($("link").dataset.state === state) return;
    $("link").dataset.state = state;
    $("link").textContent = text;
  };
  for (const [name, tell] of Object.entries(TOLD)) {
    events.addEventListener(name, (event) => {
      tell(JSON.parse(event.data));
      changed = true;
    });
  }
  // Both mean that something was missed; what it was is in the list of series.
  for (const name of ["gap", "dropped"]) {
    events.addEventListener(name, () => {
      arriving.clear();
      for (const association of associations.values()) association.told = false;
      look();
    });
  }
  events.onopen = () => {
    say("live", "live");
    look(); // only now, so that nothing is missed between what it says and what is told
  };
  events.onerror = () => {
    if (events.readyState === EventSource.CLOSED) {
      // An answer such as 503, after which a browser does not try again by itself.
      say("away", "no events: trying again");
      setTimeout(listen, 5000);
    } else {
      say("waiting", "connecting again");
    }
  };
}

function spark(svg, values) {
  const top = Math.max(1, ...values);
  const points = values.map((v, i) => `${(i * 120) / (values.length - 1)},${29 - (v / top) * 28}`);
  let line = svg.querySelector("polyline");
  if (!line) svg.append((line = drawn("polyline", {})));
  line.setAttribute("points", points.join(" "));
}

// Once a second. Of the last three not all may be told yet; a rate is the mean of those before.
function tick() {
  watch();
  passSeconds();
  const whole = seconds.slice(0, -3);
  const mean = (key) => whole.slice(-3).reduce((sum, s) => sum + s[key], 0) / 3;
  if (shown.page === "now") {
    $("rate").textContent = short.format(mean("instances"));
    $("bytes").textContent = megabytes(mean("bytes"));
    spark($("rate-line"), whole.map((s) => s.instances));
    spark($("bytes-line"), whole.map((s) => s.bytes));
  }
}

function drawNow() {
  if (!changed || shown.page !== "now") return;
  changed = false;
  const open = [...associations.values()].filter((a) => a.state === "open");
  $("open").textContent = number.format(open.length);
  $("arriving-count").textContent = number.format(arriving.size);
  $("completed-count").textContent = number.format(completedCount);

  const latest = (map) => [...map.values()].reverse().slice(0, MOST_ROWS);
  rows("arriving", latest(arriving).map((s) => row([
    [link(s.data.SeriesInstanceUID, s.data.SeriesDescription)], [s.data.Modality],
    [s.data.CallingAETitle], [number.format(instancesOf(s)), "number"],
    [s.bytes === undefined ? "" : megabytes(s.bytes), "number"], [time(s.data.LastReceivedAt), "time"],
  ])));
  const sorted = [...open.reverse(), ...latest(associations).filter((a) => a.state !== "open")];
  const style = { open: "wait", released: "good", aborted: "bad", rejected: "bad" };
  rows("associations", sorted.slice(0, MOST_ROWS).map(({ data, state, since }) => {
    const word = element("span", state, style[state]);
    if (data.Cause) word.textContent += `: ${data.Cause}`;
    const began = element("span", state === "open" && !data.OpenedAt ? "before " : undefined);
    began.append(time(since));
    return row([
      [data.CallingAETitle], [data.PeerAddress], [data.CalledAETitle], [word],
      [data.Acknowledged, "number"], [data.Failed, "number"], [began, "time"],
    ]);
  }));
  rows("completed", completed.map((s) => row([
    [link(s.SeriesInstanceUID, s.SeriesDescription)], [person(s.PatientName)], [s.Modality],
    [number.format(s.InstancesCount), "number"], [why(s.Reason)], [time(s.CompletedAt), "time"],
  ])));
  $("arriving-empty").hidden = arriving.size > 0;
  $("associations-empty").hidden = associations.size > 0;
  $("completed-empty").hidden = completed.length > 0;
}

/* Asking the API. */

// The JSON of an answer, with its link to the next page and how many there are in all; throws what went
// wrong in words.
async function ask(path, method = "GET") {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { Accept: "application/json" } });
  } catch {
    throw new Error("The API does not answer.");
  }
  const body = await answer.json().catch(() => ({}));
  // What is not ready says so with a status of its own.
  if (!answer.ok && path !== "/health/ready") {
    throw new Error(body.detail || `The API answers ${answer.status}.`);
  }
  const next = /<([^>]+)>;\s*rel="?next"?/.exec(answer.headers.get("Link") ?? "");
  return { body, next: next?.[1], total: Number(answer.headers.get("X-Total-Count")) };
}

function note(id, text, wrong) {
  // What says the same again is not read aloud again.
  if ($(id).textContent !== text) $(id).textContent = text;
  $(id).classList.toggle("wrong", Boolean(wrong));
}

/* The list of series. */

let more;

function listed(series) {
  return row([
    [link(series.SeriesInstanceUID, series.SeriesDescription)], [person(series.PatientName)],
    [series.PatientID], [series.Modality], [date(series.StudyDate), "time"],
    [number.format(series.InstancesCount), "number"], [series.Revision, "number"],
    [why(series.Reason, series.Disagrees)], [time(series.CompletedAt), "time"],
  ]);
}

async function showList(query) {
  const [field, text] = [query.get("in") ?? "PatientName", query.get("for") ?? ""];
  $("search-field").value = field;
  $("search-text").value = text;
  const asked = new URLSearchParams({ limit: PAGE, sort: "-CompletedAt" });
  if (text) asked.set(field, /Name$/.test(field) && !/[*?]/.test(text) ? `*${text}*` : text);
  note("series-note", "Asking.");
  // The server searches; this is for one that does not know how, and leaves out no more than it.
  const wanted = text.toLowerCase().split(/[\\,]/).map((one) => one.split(/[*?^= ]/));
  const has = (value) => wanted.some((parts) => parts.every((part) => value.toLowerCase().includes(part)));
  const fits = (s) => !(field in s) || s.Disagrees || has(s[field]);
  const asking = shown;
  asking.matching = text ? " that match" : "";
  await load(`/series?${asked}`, [], asking, fits);
  if (text || !more || asking !== shown) return;
  // Counting takes long where there are very many, so the list does not wait for it.
  const stats = await ask("/stats").catch(() => undefined);
  asking.total = stats?.body.SeriesComplete;
  if (asking === shown) noteList();
}

function noteList() {
  const count = $("series-list").tBodies[0].rows.length;
  const { matching, total } = shown;
  let text = count ? `${number.format(count)} series${matching}, the latest first.` : "No such series.";
  if (more) text = `The latest ${number.format(count)} series${matching}; there are more.`;
  if (more && total > count) text = `The latest ${number.format(count)} of ${number.format(total)} series.`;
  note("series-note", text);
}

async function load(path, before, asking, fits = () => true) {
  try {
    const { body, next } = await ask(path);
    if (asking !== shown) return;
    const latest = (a, b) => (b.CompletedAt ?? "").localeCompare(a.CompletedAt ?? "");
    const found = next ? body : body.filter(fits).sort(latest).slice(0, PAGE);
    more = next;
    $("series-more").hidden = !next;
    rows("series-list", [...before, ...found.map(listed)]);
    noteList();
  } catch (error) {
    if (asking === shown) note("series-note", error.message, true);
  }
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const query = new URLSearchParams({ in: $("search-field").value, for: $("search-text").value.trim() });
  location.hash = `#/series?${query}`;
});

$("series-more").addEventListener("click", () => {
  load(more, [...$("series-list").tBodies[0].rows], shown);
});

/* One series. */

const FACTS = [
  ["Patient", (s) => person(s.PatientName)], ["Patient ID", (s) => s.PatientID],
  ["Modality", (s) => s.Modality], ["Study date", (s) => date(s.StudyDate)],
  ["Study", (s) => s.StudyDescription], ["Accession number", (s) => s.AccessionNumber],
  ["State", (s) => s.State], ["Instances", counted],
  ["Expected", (s) => s.ExpectedCount], ["From", (s) => s.CallingAETitle],
  ["Disagrees on", (s) => s.Disagreements?.map(disagreed).join("; ")],
  ["Announced", (s) => s.Held && "no: its completion is held back as a dead letter"],
  ["First received", (s) => time(s.FirstReceivedAt)], ["Last received", (s) => time(s.LastReceivedAt)],
  ["Folder in the store", (s) => s.Kept?.Place],
  ["Series Instance UID", (s) => s.SeriesInstanceUID], ["Study Instance UID", (s) => s.StudyInstanceUID],
];

function disagreed({ Keyword, Values, OtherInstances }) {
  const told = Values.map((v) => `${v.Value || "none"} (${number.format(v.Instances)})`);
  if (OtherInstances) told.push(`others (${number.format(OtherInstances)})`);
  return `${Keyword}: ${told.join(", ")}`;
}

function counted(series) {
  const { State, Revision, InstancesCount, InstancesReceived } = series;
  if (State !== "receiving") return InstancesCount === undefined ? undefined : number.format(InstancesCount);
  const before = Revision ? `; ${number.format(InstancesCount)} when it was last complete` : "";
  return `${number.format(InstancesReceived)} so far${before}`;
}

// More of a series came: if it is the one that is shown, it is shown again in a while.
let again;

function follow(uid) {
  const isShown = () => shown.page === "one" && shown.uid === uid;
  if (!isShown() || again) return;
  again = setTimeout(() => {
    again = undefined;
    if (isShown()) showOne(uid);
  }, SHOWN_AGAIN_AFTER);
}

async function showOne(uid) {
  const asking = {};
  shown.asking = asking;
  const path = `/series/${encodeURIComponent(uid)}`;
  const [series, history, instances] = await Promise.allSettled([
    ask(path), ask(`${path}/history`), ask(`${path}/instances?limit=${MOST_DOTS}`),
  ]);
  if (asking !== shown.asking) return;
  const facts = series.value?.body ?? { SeriesInstanceUID: uid };
  $("one-title").textContent = facts.SeriesDescription || uid;
  const made = FACTS.map(([name, of]) => [name, of(facts)]);
  const known = made.filter(([, value]) => value !== undefined && value !== null && value !== "");
  $("one-facts").replaceChildren(...known.flatMap(([name, value]) => {
    const detail = element("dd");
    detail.append(value instanceof Node ? value : String(value));
    return [element("dt", name), detail];
  }));
  const { Kept, StudyInstanceUID } = facts;
  $("one-download").hidden = !Kept || !StudyInstanceUID;
  if (Kept && StudyInstanceUID) {
    const [study, series] = [StudyInstanceUID, uid].map(encodeURIComponent);
    $("one-download").href = `/dicom-web/studies/${study}/series/${series}?accept=application/zip`;
  }
  const revisions = history.value?.body ?? [];
  rows("history", revisions.map((r) => row([
    [r.Revision, "number"], [WHY[r.Reason] ? `${r.Reason}: ${WHY[r.Reason]}` : r.Reason],
    [number.format(r.InstancesCount), "number"], [number.format(r.InstancesAdded), "number"],
    [number.format(r.InstancesCorrected), "number"], [r.CallingAETitle], [time(r.CompletedAt), "time"],
  ])));
  timeline(instances.value?.body ?? [], revisions, facts.InstancesReceived);
  const wrong = history.reason;
  const still = revisions.length ? "" : "It has not been complete yet.";
  note("one-note", wrong ? wrong.message : still, wrong);
}

let drawnLast; // what the timeline was last drawn of

function timeline(instances, revisions, count) {
  drawnLast = [instances, revisions, count];
  const at = (text) => new Date(text).getTime();
  const came = instances.map((i) => at(i.ReceivedAt)).filter(Number.isFinite);
  const decided = revisions.map((r) => [at(r.CompletedAt), r.Revision]).filter(([t]) => t);
  const all = [...came, ...decided.map(([t]) => t)];
  $("timeline").toggleAttribute("hidden", all.length === 0);
  if (!all.length) return note("timeline-text", "Nothing is known of when it came.");
  const [first, last] = [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))];
  // As wide as it is on the page, so that its text is as large on a phone.
  const width = $("timeline").clientWidth || 600;
  $("timeline").setAttribute("viewBox", `0 0 ${width} 70`);
  const x = (t) => 20 + ((width - 40) * (t - first)) / Math.max(1, last - first);
  const parts = [drawn("line", { x1: 20, x2: width - 20, y1: 30, y2: 30 })];
  for (const t of came) parts.push(drawn("circle", { cx: x(t), cy: 30, r: 4 }));
  let labelled = -Infinity;
  for (const [t, revision] of decided) {
    parts.push(drawn("path", { d: `M${x(t)} 21l7 9-7 9-7-9z` }));
    if (x(t) < labelled + 18) continue;
    labelled = x(t);
    const name = drawn("text", { x: labelled, y: 58, "text-anchor": "middle" });
    name.textContent = revision;
    parts.push(name);
  }
  $("timeline").replaceChildren(...parts);
  const span = short.format((last - first) / 1000);
  const some = number.format(came.length);
  const of = count > came.length ? ` of ${number.format(count)}` : "";
  const instance = Math.max(came.length, count ?? 0) === 1 ? "instance" : "instances";
  const dots = came.length ? `${some}${of} ${instance} (dots)` : "Its instances are not listed here";
  const diamonds = `${decided.length} ${decided.length === 1 ? "completion" : "completions"} (diamonds)`;
  note("timeline-text", `${dots} and ${diamonds}, in ${span} s.`);
}

addEventListener("resize", () => {
  if (shown.page === "one" && drawnLast) timeline(...drawnLast);
});

/* Health. */

async function showHealth() {
  const asking = shown;
  showLag(asking);
  showDeployment(asking);
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
    rows("health-parts", Object.entries(body.parts ?? {}).map(([name, state]) =>
      row([[name], [element("span", state, state === "ready" ? "good" : "bad")]])));
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
    showBrokers(body.Streams);
  } catch (error) {
    if (asking !== shown) return;
    note("nodes-note", error.message, true);
    reveal("nodes", false);
    reveal("brokers", false);
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
    [n.Service], [n.Host], [state(n), "state"], [n.Version], [time(n.StartedAt), "time"],
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
    const known = [...$("dead").tBodies[0].rows].map((r) => r.dataset.sequence).join();
    // Whoever is about to press a button finds it where it was.
    if (known !== body.map((l) => l.Sequence).join()) {
      rows("dead", body.map((l) => {
        const made = row([
          [l.Reason], [l.Error], [l.OriginalSubject], [number.format(l.Bytes), "number"],
          [time(l.DeadAt), "time"], [actions(l)],
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
  replay.addEventListener("click", () => act("POST", `${path}/replay`, `Letter ${letter.Sequence} was replayed.`));
  drop.addEventListener("click", () => {
    if (confirm("Drop this letter for good?")) act("DELETE", path, `Letter ${letter.Sequence} was dropped.`);
  });
  made.append(replay, " ", drop);
  return made;
}

/* Which page. */

let shown = {};

function show() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const [, page = "", uid] = path.split("/");
  const known = { "": "now", series: uid ? "one" : "series", health: "health" };
  const before = shown.page;
  shown = { page: known[page] ?? "now" };
  for (const name of ["now", "series", "one", "health"]) $(name).hidden = name !== shown.page;
  for (const a of document.querySelectorAll("nav a[data-page]")) {
    const here = a.dataset.page === (shown.page === "one" ? "series" : shown.page);
    here ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  }
  if (before && before !== shown.page) $("main").focus();
  changed = true;
  if (shown.page === "series") showList(new URLSearchParams(query));
  if (shown.page === "health") showHealth();
  if (shown.page === "one") {
    try {
      shown.uid = decodeURIComponent(uid);
    } catch {
      shown.uid = uid;
    }
    showOne(shown.uid);
  }
  drawNow();
}

addEventListener("hashchange", show);
show();
listen();
setInterval(tick, 1000);
setInterval(drawNow, 300);
setInterval(() => !document.hidden && shown.page === "health" && showHealth(), 5000);
