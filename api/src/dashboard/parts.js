// What all pages of the dashboard need. The dashboard listens to /events and asks the API. What comes from a
// DICOM header is text of anybody's making, so everything is put on the page as text, never as markup.
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
const MOST_OF_UID = 12; // characters of a UID that are shown
const SHOWN_AGAIN_AFTER = 2000; // a series that goes on changing

const WHY = {}; // by the reason of a completion, what it means: filled in when the page is served

let shown = {}; // the page that is shown, and what it asks for

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const amount = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;
const megabytes = (bytes) => short.format(bytes / 1e6);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = String(text);
  if (className) made.className = className;
  return made;
}

function small(...parts) {
  const made = element("small");
  made.append(...parts);
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

// Makes these the rows of a table. A row that says what it said before stays as it is, with the focus or the press of
// a button that it may have.
function rows(table, made) {
  const body = $(table).tBodies[0];
  const known = new Map([...body.rows].map((old) => [old.textContent, old]));
  const all = made.map((one) => {
    const old = known.get(one.textContent);
    if (!old?.isEqualNode(one)) return one;
    known.delete(one.textContent);
    return old;
  });
  const kept = new Set(all);
  for (const old of [...body.rows]) if (!kept.has(old)) old.remove();
  all.forEach((one, at) => {
    if (body.rows[at] !== one) body.insertBefore(one, body.rows[at] ?? null);
  });
}

// A link to a series, and below it the end of its UID with a button that copies all of it.
function link(uid, text) {
  const made = element("span", undefined, "series");
  const to = element("a", text || shortened(uid));
  to.href = "#/series/" + encodeURIComponent(uid);
  to.title = uid;
  made.append(to);
  const copy = copier(uid, `Copy the Series Instance UID ${shortened(uid)}`);
  const end = element("span", undefined, "uid");
  if (text) {
    const small = element("small", shortened(uid));
    small.title = uid;
    made.append(element("br"), end);
    end.append(small, copy);
  } else {
    made.append(end);
    end.append(to, copy);
  }
  return made;
}

// Of a UID what tells it from others: its end.
const shortened = (uid) => (uid.length > MOST_OF_UID + 1 ? `\u2026${uid.slice(-MOST_OF_UID)}` : uid);

// A button that copies a text. It has no text itself, so that what is copied of a table is its content.
function copier(text, label) {
  const made = element("button", undefined, "copy");
  made.type = "button";
  made.title = label;
  made.setAttribute("aria-label", label);
  made.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text); // a page over plain HTTP has no clipboard
    }
    made.classList.add("done");
    $("copied").textContent = "Copied.";
    setTimeout(() => {
      made.classList.remove("done");
      $("copied").textContent = "";
    }, 1500);
  });
  return made;
}

function copyBySelection(text) {
  const field = element("textarea", text, "away");
  const before = document.activeElement;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
  before?.focus();
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

// A time as long ago as it is, or after a day its date; with `whole` both. Its title has all of it.
function time(text, whole) {
  const at = new Date(text);
  if (!text || Number.isNaN(at.getTime())) return "";
  const made = element("time", ago(at));
  made.dateTime = at.toISOString();
  made.title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  if (whole) made.textContent = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  made.dataset.whole = whole ? "yes" : "no";
  return made;
}

// How long ago it is, and below that when.
function when(text) {
  const passed = time(text);
  if (!passed) return "";
  const made = element("span");
  const at = new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  made.append(passed);
  if (passed.textContent !== at) made.append(element("br"), small(at));
  return made;
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });

function ago(at) {
  const passed = Math.max(0, Math.round((Date.now() - at.getTime()) / 1000));
  if (passed < 60) return relative.format(-passed, "second");
  if (passed < 3600) return relative.format(-Math.floor(passed / 60), "minute");
  if (passed < 24 * 3600) return relative.format(-Math.floor(passed / 3600), "hour");
  return at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

// What is a while ago is longer ago now.
function age() {
  for (const shown of document.querySelectorAll("time[data-whole='no']")) {
    const text = ago(new Date(shown.dateTime));
    if (shown.textContent !== text) shown.textContent = text;
  }
}

const date = (text) =>
  /^\d{8}$/.test(text ?? "") ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;

// A name as people write it: Family, Given.
const person = (text) =>
  (text ?? "").split("=")[0].split("^").filter(Boolean).slice(0, 2).join(", ");

/* Asking people. */

let answered = () => {}; // who waits for the answer to the question that is shown

// Asks whether to do something that is not undone. Resolves to true once they say so.
function sure(text, verb) {
  $("sure-text").textContent = text;
  $("sure-yes").textContent = verb;
  $("sure").showModal();
  return new Promise((resolve) => {
    answered = resolve;
  });
}

function answer(is) {
  $("sure").close();
  answered(is);
}

$("sure-yes").addEventListener("click", () => answer(true));
$("sure-no").addEventListener("click", () => answer(false));
$("sure").addEventListener("cancel", () => answered(false)); // the Escape key

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
