// The page Home: whether all is well, what was completed lately, who sends.
"use strict";

const ASKED_EVERY = 15 * 1000; // what Home asks the API for
const ASKED_SOON = 3 * 1000; // and at least so long after it last did when a series is complete
const MOST_COMPLETED = 10; // completed series on Home
const BACKLOG = 1000; // events that wait for the indexer, of which more are worth a warning
const HOUR = 60 * 60 * 1000;

// What to do about a part that is not well; the text of the part itself says what is wrong.
const ADVICE = {
  nats: "Check that nats-server runs and that NATS_URL names it. Senders get a failure Status until it is back.",
  catalogue: "Check DATABASE_URL, the file or server that it names, and the space on its disk.",
  ingest: "Instances are refused until it is ready. Its log has the reason; the space on the disk of NATS is the usual one.",
  store: "Check STORE_URL and the space there. Instances are refused until they can be stored.",
  indexer: "Instances are received and wait in NATS. The log of the indexer has the reason.",
  announcer: "Completions wait in the catalogue until NATS takes them.",
  keeper: "Check the instance store: series wait to be put together there.",
  instances_stream: "NATS has lost events. Ask the senders to send again what is missing, and see the log of the indexer.",
  streams: "Check the streams with `collimator doctor`.",
};

const SEE_LOG = "See the log of the service.";

let homeAsked = 0; // when Home last asked
let homeAsks = false;
let wasBehind = 0; // events that were not in the catalogue when it last asked
let newest = null; // the latest completed series of the catalogue, once it has answered
let isEmpty = false; // nothing was ever received
let senders = []; // everyone who ever sent an instance
let active = []; // what came from each in 24 hours
let receiver; // a node that receives; undefined until one answers

// The end of the reader's hour: so the hours of the chart, and the days, are the reader's.
function endOfHour() {
  const end = new Date();
  end.setMinutes(60, 0, 0);
  return end;
}

// Asks for all that Home shows, each by itself: what takes long or fails leaves the rest as it is.
async function showHome() {
  if (homeAsks) return;
  homeAsks = true;
  homeAsked = Date.now();
  const known = {};
  const paths = {
    ready: "/health/ready", stats: "/stats", senders: "/sources", dead: "/dead-letters?limit=1", webhooks: "/webhooks",
    activity: `/stats/activity?${new URLSearchParams({ Until: endOfHour().toISOString() })}`,
    list: `/series?${new URLSearchParams({ sort: "-CompletedAt", limit: MOST_COMPLETED })}`, health: "/health",
  };
  const asked = await Promise.allSettled(Object.entries(paths).map(async ([name, path]) => {
    known[name] = await ask(path);
    PARTS_OF_HOME[name]?.(known[name].body);
    // Without NATS the others take seconds.
    if (name === "ready" && known.ready.body.status !== "ready") showVerdict(warnings(known, []));
  }));
  homeAsks = false;
  showVerdict(warnings(known, asked.map((one) => one.reason?.message).filter(Boolean)));
}

const PARTS_OF_HOME = {
  stats: ({ SeriesComplete, SeriesReceiving, InstancesCount, Patients }) => {
    const wasEmpty = isEmpty;
    isEmpty = !(SeriesComplete || SeriesReceiving);
    $("catalogued").textContent = number.format(SeriesComplete);
    $("catalogued-more").textContent = `${amount(InstancesCount, "instance")}, ${amount(Patients, "patient")}`;
    showFirst();
    if (wasEmpty && hoursShown) showActivity(hoursShown); // a hidden chart has no width
  },
  activity: (activity) => {
    active = activity.Senders;
    showActivity(activity.Hours);
    showSenders();
  },
  senders: (all) => {
    senders = all;
    showSenders();
  },
  list: (records) => {
    newest = records;
    changed = true;
  },
  health: ({ Nodes }) => {
    receiver = Nodes.find((node) => node.Service === "ingest");
    showFirst();
  },
};

// Home again in a while, since something changed.
function homeChanged() {
  homeAsked = Math.min(homeAsked, Date.now() - ASKED_EVERY + ASKED_SOON);
}

/* Is all well? */

// What is not well: each what it is, what to do, and where more is.
function warnings({ ready, stats, dead, webhooks, senders, health }, failed) {
  const found = [];
  for (const [part, state] of Object.entries(ready?.body.parts ?? {})) {
    if (state !== "ready") found.push([`${part}: ${state.replace(/^not ready: /, "")}`, ADVICE[part] ?? SEE_LOG, "#/system"]);
  }
  const nodes = health?.body.Nodes;
  for (const service of nodes ? ["ingest", "indexer"] : []) {
    if (nodes.some((node) => node.Service === service)) continue;
    const what = service === "ingest" ? "nothing is received" : "no series becomes complete";
    found.push([`No ${service} answers on NATS`, `Start one; until then ${what}.`, "#/system"]);
  }
  for (const { Service, Host, Ready, Reason } of nodes ?? []) {
    // Of a part of this process it is said already.
    if (Ready || found.length) continue;
    found.push([`${Service} on ${Host ?? "an unnamed host"} is not ready`, Reason ?? SEE_LOG, "#/system"]);
  }
  const behind = stats?.body.NotIndexed ?? 0;
  if (behind > BACKLOG && behind >= wasBehind && wasBehind) {
    found.push([`${number.format(behind)} events wait for the indexer, and it does not catch up`,
      "Series become complete late. Check the load and the disk of the indexer and the catalogue.", "#/system"]);
  }
  wasBehind = behind;
  if (dead?.total) {
    found.push([`${amount(dead.total, "dead letter")}: not processed, and kept`,
      "Look at each; replay what was mended, drop what is not wanted.", "#/system"]);
  }
  for (const { Name, Pending, LastFailure, LastFailureAt, LastSuccessAt } of webhooks?.body ?? []) {
    if (!Pending || !LastFailureAt || LastSuccessAt > LastFailureAt) continue;
    found.push([`Webhook ${Name} is owed ${amount(Pending, "delivery", "deliveries")}`,
      `The last one failed: ${LastFailure ?? "no reason given"}. Deliveries are tried again by themselves.`]);
  }
  for (const { CallingAETitle: title, Released } of senders?.body ?? []) {
    if (Released.Trusted) continue;
    found.push([`${title} released an association before its series was whole`,
      "Its series now wait for the quiet period. Once the sender is mended, trust it again.", "#/senders", true]);
  }
  // Where a part is not well this is what comes of it.
  for (const message of found.length ? [] : new Set(failed)) {
    found.push([message.split(/[:;.] ?/)[0], `${message} Some of this page is out of date.`]);
  }
  return found;
}

function showVerdict(found) {
  const wrong = found.filter(([, , , isHint]) => !isHint);
  const text = wrong.length ? `${amount(wrong.length, "thing")} to look at.`
    : isEmpty ? "Ready to receive." : "All is well.";
  note("verdict", text);
  $("verdict").className = `word ${wrong.length ? "bad" : "good"}`;
  $("warnings").hidden = !found.length;
  $("warnings").replaceChildren(...found.map(([what, todo, where, isHint]) => {
    const made = element("li", undefined, isHint ? "hint" : undefined);
    made.append(element("strong", `${what}.`), ` ${todo} `);
    if (where) {
      const more = element("a", where === "#/senders" ? "Senders" : "System");
      more.href = where;
      made.append(more);
    }
    return made;
  }));
}

/* The last 24 hours. */

let hoursShown; // what the charts were last drawn of

addEventListener("resize", () => hoursShown && shown.page === "now" && showActivity(hoursShown));

function showActivity(hours) {
  hoursShown = hours;
  const midnight = new Date().setHours(0, 0, 0, 0);
  const sum = (some, key) => some.reduce((total, hour) => total + hour[key], 0);
  const today = hours.filter((hour) => new Date(hour.From) >= midnight);
  for (const [id, some] of [["today", today], ["day", hours]]) {
    $(id).textContent = number.format(sum(some, "Series"));
    $(`${id}-more`).textContent = amount(sum(some, "Instances"), "instance");
  }
  for (const [id, key] of [["chart-series", "Series"], ["chart-instances", "Instances"]]) chart($(id), hours, key);
}

// A bar an hour, with the hour and the number in its title.
function chart(svg, hours, key) {
  const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
  // As wide as it is on the page, so that its text is as large on a phone.
  const [width, height, foot] = [svg.clientWidth || 480, 120, 20];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const most = hours.reduce((top, hour) => Math.max(top, hour[key]), 0);
  const step = width / hours.length;
  const parts = [drawn("line", { x1: 0, x2: width, y1: height - foot, y2: height - foot })];
  hours.forEach((hour, at) => {
    const tall = most ? (hour[key] / most) * (height - foot - 18) : 0;
    const from = clock.format(new Date(hour.From));
    const top = height - foot - Math.max(tall, hour[key] ? 2 : 0);
    const bar = drawn("rect", { x: at * step + 1.5, width: step - 3, y: top, height: height - foot - top });
    const title = drawn("title", {});
    title.textContent = `From ${from}: ${key === "Series" ? amount(hour[key], "series", "series") : amount(hour[key], "instance")}`;
    // Can be pointed at where there is no bar, too.
    const all = drawn("rect", { x: at * step, width: step, y: 0, height: height - foot, class: "all" });
    all.append(title);
    parts.push(bar, all);
    if (at % 6 === 0) {
      const label = drawn("text", { x: at * step + 1.5, y: height - 4 });
      label.textContent = from;
      parts.push(label);
    }
  });
  if (most) {
    const label = drawn("text", { x: 0, y: 12 });
    label.textContent = `most in an hour: ${number.format(most)}`;
    parts.push(label);
  }
  svg.replaceChildren(...parts);
  const total = hours.reduce((sum, hour) => sum + hour[key], 0);
  svg.setAttribute("aria-label", `${key} completed in the last 24 hours, by hour: ${number.format(total)} in all, ` +
    `${number.format(most)} at most in an hour`);
}

/* Senders. */

function showSenders() {
  const by = new Map(active.map((one) => [one.CallingAETitle, one]));
  const latest = [...senders].sort((a, b) => b.LastSeenAt.localeCompare(a.LastSeenAt)).slice(0, MOST_ROWS);
  rows("senders", latest.map((sender) => {
    const { Series = 0, Instances = 0 } = by.get(sender.CallingAETitle) ?? {};
    const to = element("a", sender.CallingAETitle);
    to.href = `#/series?${new URLSearchParams({ CallingAETitle: sender.CallingAETitle })}`;
    return row([
      [to], [time(sender.LastSeenAt), "time"], [number.format(Series), "number"],
      [number.format(Instances), "number"], [trust(sender)],
    ]);
  }));
  $("senders-scroll").hidden = !latest.length;
  $("senders-empty").hidden = latest.length > 0;
}

// Which evidence of a sender has proved wrong.
function trust(sender) {
  const wrong = ["Released", "Expected", "Confirmed", "Performed", "Available"].filter((rule) => sender[rule] && !sender[rule].Trusted);
  if (!wrong.length) return element("span", "trusted", "good");
  const made = element("span", `not trusted: ${wrong.join(", ").toLowerCase()}`, "bad");
  made.title = `A series grew again after it was complete by this rule: ${wrong.map((rule) => sender[rule].DisprovedBy).join(", ")}`;
  return made;
}

/* Where nothing was ever received: how to send the first instance. */

function showFirst() {
  $("charts").hidden = isEmpty;
  $("first").hidden = !isEmpty || arriving.size > 0 || completed.length > 0;
  if ($("first").hidden) return;
  const { AETitle = "COLLIMATOR", DicomPort: plain, DicomTlsPort: tls } = receiver ?? {};
  const port = plain ?? tls ?? 11112;
  const host = location.hostname.replace(/^\[|\]$/g, "");
  const url = host.includes(":") ? `[${host}]` : host;
  $("first-address").replaceChildren(...[
    ["AE title", AETitle], ["Host", host], ["Port", `${port}${plain || !tls ? "" : " (TLS)"}`],
  ].flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  const lines = [
    ["collimator", `collimator send --to ${url}:${port} --called-ae ${AETitle} FOLDER`],
    ["DCMTK", `dcmsend --aec ${AETitle} --scan-directories --recurse ${host} ${port} FOLDER`],
    ["Orthanc, in DicomModalities", JSON.stringify({ collimator: [AETitle, host, port] }).slice(1, -1)],
    ["DICOMweb (STOW-RS)", `collimator send --to ${location.origin} FOLDER`],
  ];
  if (tls && !plain) lines.splice(0, 3);
  const shownNow = [...$("first-lines").querySelectorAll("code")].map((code) => code.textContent).join();
  if (shownNow === lines.map(([, line]) => line).join()) return;
  $("first-lines").replaceChildren(...lines.map(([name, line]) => {
    const made = element("li");
    made.append(element("span", name), element("code", line), copier(line, `Copy the line for ${name}`));
    return made;
  }));
}
