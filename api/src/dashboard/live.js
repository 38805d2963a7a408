// What is arriving, from the events and the catalogue.
"use strict";

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
  "series.opened": (data) => {
    seen(data, true);
    if (isEmpty) homeChanged();
  },
  "series.progress": (data) => seen(data, false),
  "series.completed": (data) => {
    ended(data.SeriesInstanceUID);
    completedCount += 1;
    completed.unshift(data);
    completed.length = Math.min(completed.length, MOST_ROWS);
    homeChanged();
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
  // Those that the events brought, and below what the catalogue had.
  const brought = new Set(completed.map((s) => s.SeriesInstanceUID));
  const before = (newest ?? []).filter((s) => !brought.has(s.SeriesInstanceUID));
  const latestFew = [...completed, ...before].slice(0, Math.max(MOST_COMPLETED, completed.length));
  rows("completed", latestFew.map((s) => row([
    [link(s.SeriesInstanceUID, s.SeriesDescription)], [person(s.PatientName)], [s.Modality],
    [number.format(s.InstancesCount), "number"], [why(s.Reason, s.Disagrees)], [time(s.CompletedAt), "time"],
  ])));
  $("arriving-empty").hidden = arriving.size > 0;
  $("associations-empty").hidden = associations.size > 0;
  $("completed-empty").hidden = newest === null || latestFew.length > 0;
  $("arriving-scroll").hidden = arriving.size === 0;
  $("associations-scroll").hidden = associations.size === 0;
  $("completed-scroll").hidden = latestFew.length === 0;
  if (arriving.size || completed.length) $("first").hidden = true;
}
