// The page of one series.
"use strict";

const MOST_EARLIER = 20; // completions before the last one whose evidence is shown

const FACTS = [
  ["Patient", (s) => person(s.PatientName)], ["Patient ID", (s) => s.PatientID],
  ["Modality", (s) => s.Modality], ["Study date", (s) => date(s.StudyDate)],
  ["Study", (s) => s.StudyDescription], ["Accession number", (s) => s.AccessionNumber],
  ["State", (s) => s.State], ["Instances", counted],
  ["Expected", expected], ["From", (s) => s.CallingAETitle],
  ["Disagrees on", (s) => s.Disagreements?.map(disagreed).join("; ")],
  ["Announced", (s) => s.Held && "no: its completion is held back as a dead letter"],
  ["First received", (s) => time(s.FirstReceivedAt, true)], ["Last received", (s) => time(s.LastReceivedAt, true)],
  ["Folder in the store", (s) => s.Kept?.Place],
  ["Series Instance UID", (s) => copyable(s.SeriesInstanceUID, "Series")],
  ["Study Instance UID", (s) => copyable(s.StudyInstanceUID, "Study")],
];

function disagreed({ Keyword, Values, OtherInstances }) {
  const told = Values.map((v) => `${v.Value || "none"} (${number.format(v.Instances)})`);
  if (OtherInstances) told.push(`others (${number.format(OtherInstances)})`);
  return `${Keyword}: ${told.join(", ")}`;
}

// A whole UID, with a button that copies it.
function copyable(uid, of) {
  if (!uid) return undefined;
  const made = element("span", `${uid} `);
  made.append(copier(uid, `Copy the ${of} Instance UID`));
  return made;
}

// How many instances there are to be, and how many of them are not there.
function expected({ ExpectedCount: count, InstancesReceived, InstancesCount }) {
  if (count === undefined) return undefined;
  const missing = count - (InstancesReceived ?? InstancesCount ?? 0);
  if (missing <= 0) return number.format(count);
  const made = element("span", `${number.format(count)}, `);
  made.append(element("strong", `${number.format(missing)} missing`, "bad"));
  return made;
}

// What was known when it was last complete. An earlier completion has a line of its own.
function showEvidence(completions) {
  const { Evidence = [], MissingInstances = [], Fetched = 0 } = completions.at(-1) ?? {};
  const said = evidence(Evidence);
  if (Fetched) said.push(`${amount(Fetched, "instance")} fetched from its source`);
  for (const { Revision, Evidence: known, MissingInstances: missing } of completions.slice(0, -1).reverse().slice(0, MOST_EARLIER)) {
    const lacked = missing.length ? `; ${amount(missing.length, "instance")} missing` : "";
    if (known.length || lacked) said.push(`Revision ${Revision}: ${evidence(known).join("; ") || "none"}${lacked}`);
  }
  $("one-evidence").hidden = !said.length;
  $("evidence-list").replaceChildren(...said.map((text) => element("li", text)));
  $("one-missing").hidden = !MissingInstances.length;
  $("missing-list").replaceChildren(...MissingInstances.map((uid) => element("li", uid)));
}

function evidence(known) {
  return known.map(({ Kind, CallingAETitle, InstancesCount, MissingCount, Discontinued }) => [
    Kind, CallingAETitle && `by ${CallingAETitle}`, InstancesCount !== undefined && amount(InstancesCount, "instance"),
    MissingCount && `${number.format(MissingCount)} missing`, Discontinued && "discontinued",
  ].filter(Boolean).join(", "));
}

// The same as JSON, for programs.
function showLinks(uid, study) {
  const path = `/series/${encodeURIComponent(uid)}`;
  const places = [["JSON", path], ["History as JSON", `${path}/history`], ["Evidence as JSON", `${path}/evidence`], ["Instances as JSON", `${path}/instances?limit=${MOST_DOTS}`]];
  if (study) {
    const query = `/dicom-web/studies/${encodeURIComponent(study)}/series/${encodeURIComponent(uid)}/instances`;
    places.push(["QIDO-RS", query]);
  }
  $("one-links").replaceChildren(...places.map(([text, href]) => {
    const made = element("a", text);
    made.href = href;
    return made;
  }));
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
  const [series, history, instances, evidenced] = await Promise.allSettled([
    ask(path), ask(`${path}/history`), ask(`${path}/instances?limit=${MOST_DOTS}`), ask(`${path}/evidence`),
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
  showStrip(Boolean(Kept), StudyInstanceUID, uid, instances.value?.body ?? []);
  showLinks(uid, StudyInstanceUID);
  showEvidence(evidenced.value?.body ?? completed.filter((event) => event.SeriesInstanceUID === uid).slice(0, 1));
  const revisions = history.value?.body ?? [];
  rows("history", revisions.map((r) => row([
    [r.Revision, "number"], [WHY[r.Reason] ? `${r.Reason}: ${WHY[r.Reason]}` : r.Reason],
    [number.format(r.InstancesCount), "number"], [expected(r) ?? "", "number"],
    [number.format(r.InstancesAdded), "number"],
    [number.format(r.InstancesCorrected), "number"], [r.CallingAETitle], [time(r.CompletedAt ?? r.DeletedAt, true), "time"],
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
