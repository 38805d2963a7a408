// The page Senders: what each sender did in the last 24 hours, what it was told, and whether its evidence is trusted.
"use strict";

// The rules by which a sender's evidence completes a series, and what each takes for the end of it.
const RULES = [
  ["Released", "released", "the release of an association"], ["Expected", "expected", "the number that it announces"],
  ["Confirmed", "confirmed", "a storage commitment"], ["Performed", "performed", "a performed procedure step"],
  ["Available", "available", "a notification of availability"],
];

const trustSaid = new Map(); // what came of trusting a sender again, by AE title
let sendersAsk = false;

async function showSendersPage() {
  if (sendersAsk) return;
  sendersAsk = true;
  const asking = shown;
  const [known, activity, associations] = await Promise.allSettled([
    ask("/sources"), ask(`/stats/activity?${new URLSearchParams({ Until: endOfHour().toISOString() })}`),
    ask("/stats/associations"),
  ]);
  sendersAsk = false;
  if (asking !== shown) return;
  const failed = [known, activity, associations].filter((one) => one.reason).map((one) => one.reason.message);
  note("sources-note", [...new Set(failed)].join(" "), true);
  const all = merged(known.value?.body, activity.value?.body.Senders, associations.value?.body.Senders);
  const shownSenders = all.slice(0, MOST_ROWS);
  rows("sources", shownSenders.map(senderRow));
  $("sources-scroll").hidden = !all.length;
  $("sources-empty").hidden = all.length > 0 || failed.length > 0;
  const left = all.length - shownSenders.length;
  note("sources-left", left > 0 ? `${amount(left, "sender")} more, whose last association is longer ago, ${left === 1 ? "is" : "are"} not shown.` : "");
  showRefusals(all, associations.value?.body.Since);
  showPauses(all);
}

// What is known of each sender, the latest first.
function merged(known = [], activity = [], associations = []) {
  const by = new Map();
  const add = (name, list) => list.forEach((one) => {
    by.set(one.CallingAETitle, { ...by.get(one.CallingAETitle), [name]: one });
  });
  add("source", known);
  add("volume", activity);
  add("ended", associations);
  const all = [...by].map(([title, one]) => ({ title, ...one }));
  const latest = ({ ended, source }) => ended?.LastAt ?? source?.LastSeenAt ?? "";
  return all.sort((a, b) => latest(b).localeCompare(latest(a)));
}

function senderRow({ title, source, volume, ended }) {
  const { Series = 0, Instances = 0 } = volume ?? {};
  const to = element("a", title || "(no AE title)");
  to.href = `#/series?${new URLSearchParams({ CallingAETitle: title })}`;
  const name = element("span");
  name.append(to);
  if (ended) name.append(element("br"), element("small", ended.Addresses.slice(-2).join(", ")));
  const made = row([
    [name], [lastAssociation(ended, source)], [encryption(ended), "time"],
    [ended ? number.format(ended.Released) : "", "number"], [count(ended?.Aborted), "number"],
    [count(ended?.Rejected), "number"], [number.format(Series), "number"], [number.format(Instances), "number"],
    [count(ended?.Refused), "number"], [trustOf(title, source)],
  ]);
  return made;
}

// A number that should be 0.
function count(of) {
  if (of === undefined) return "";
  return element("span", number.format(of), of ? "bad" : undefined);
}

const ENDINGS = { released: "good", aborted: "bad", rejected: "bad" };

function lastAssociation(ended, source) {
  const made = element("span");
  if (!ended) {
    made.append("none in 24 h");
    if (source) made.append(element("br"), small("last instance ", time(source.LastSeenAt, true)));
    return made;
  }
  made.append(element("span", ended.LastEnding, ENDINGS[ended.LastEnding]), " ", time(ended.LastAt, true));
  if (ended.LastEnding !== "released" && ended.LastCause) made.append(element("br"), small(ended.LastCause));
  return made;
}

function encryption(ended) {
  if (ended?.TLS === undefined) return "";
  return element("span", ended.TLS ? "TLS" : "not encrypted", ended.TLS ? "good" : "wait");
}

// Which rules are believed of a sender, and a button that has the others believed again.
function trustOf(title, source) {
  if (!source) return "";
  const wrong = RULES.filter(([rule]) => source[rule] && !source[rule].Trusted);
  if (!wrong.length) {
    trustSaid.delete(title);
    return element("span", "all rules trusted", "good");
  }
  const made = element("span");
  for (const [rule, word, what] of wrong) {
    const { DisprovedBy, DisprovedAt } = source[rule];
    const line = element("span", `${word}: not trusted`, "bad");
    line.title = `A series grew again after ${what} was taken for its end.`;
    made.append(line, " since ", time(DisprovedAt, true));
    if (DisprovedBy) made.append(" by ", link(DisprovedBy));
    made.append(element("br"));
  }
  const button = element("button", "Trust again");
  button.type = "button";
  button.setAttribute("aria-label", `Trust again: ${title}`);
  button.addEventListener("click", () => trustAgain(title, button));
  made.append(button);
  const said = trustSaid.get(title);
  if (said) made.append(" ", element("small", said.text, said.wrong ? "bad" : "good"));
  return made;
}

async function trustAgain(title, button) {
  const text = `Trust ${title} again? What has proved its evidence wrong is forgotten, and its series are complete by its ` +
    "evidence from now on. Do this once the sender is mended: if it still releases too early, series are announced incomplete.";
  if (!await sure(text, "Trust again")) return;
  button.disabled = true;
  try {
    await ask(`/sources/${encodeURIComponent(title)}/trust`, "POST");
    trustSaid.set(title, { text: "requested; the indexer does it in a moment" });
  } catch (error) {
    trustSaid.set(title, { text: error.message, wrong: true });
  }
  showSendersPage();
}

// What senders were told of refused instances, the latest first.
function showRefusals(all, since) {
  const told = all.flatMap(({ title, ended }) => (ended?.Refusals ?? []).map((one) => ({ title, ...one })));
  told.sort((a, b) => b.LastAt.localeCompare(a.LastAt));
  rows("refusals", told.slice(0, MOST_ROWS).map((one) => row([
    [one.title], [meaning(one.Status), "state"], [one.ErrorComment], [number.format(one.Count), "number"], [time(one.LastAt, true), "time"],
  ])));
  $("refusals-scroll").hidden = !told.length;
  const day = since && Date.now() - new Date(since) < 23.5 * HOUR;
  const from = day ? ` There is so much that only what came since ${new Date(since).toLocaleString()} is counted.` : "";
  note("refusals-note", `${told.length ? "" : "No instance was refused in 24 hours."}${from}`.trim());
}

// A Status and what it means (PS3.4 table B.2-1).
function meaning(status) {
  const words = { "0xA7": "out of resources: send again", "0xA9": "data set does not match its SOP class", "0xC": "cannot understand" };
  const found = Object.entries(words).find(([begin]) => status.startsWith(begin));
  const made = element("span", status);
  if (found) made.append(element("br"), small(found[1]));
  return made;
}

// The longest pauses of the series of each sender, where the indexer has learnt them.
function showPauses(all) {
  const learnt = all.filter(({ source }) => source?.Pauses?.SeriesCount);
  rows("pauses", learnt.slice(0, MOST_ROWS).map(({ title, source: { Pauses: p } }) => row([
    [title], [number.format(p.SeriesCount), "number"], [pause(p.P50), "number"], [pause(p.P99), "number"],
    [pause(p.Max), "number"], [pause(p.SuggestedQuietPeriod) || "after more series", "number"],
  ])));
  $("pauses-part").hidden = !learnt.length;
}

// A pause, in seconds.
const pause = (of) => (of === undefined ? "" : `${short.format(of)} s`);
