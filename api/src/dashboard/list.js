// The list of series. All that decides what it shows is in the address: it can be kept, shared and gone back to.
"use strict";

const MOST_LISTED = 1000; // series on one page, as the API has it
const MOST_CHIPS = 12; // of one filter
const DAYS = [[1, "today"], [7, "7 days"], [30, "30 days"]];
const FIRST = "-CompletedAt"; // how it is sorted unless somebody says otherwise

let more; // the path of the rest
let listing = []; // what is shown
let filters; // the modalities and the senders that there are

function listed(series) {
  return row([
    [link(series.SeriesInstanceUID, series.SeriesDescription)], [person(series.PatientName)],
    [series.PatientID], [series.Modality], [series.CallingAETitle], [date(series.StudyDate), "time"],
    [number.format(series.InstancesCount), "number"], [series.Revision, "number"],
    [why(series.Reason, series.Disagrees)], [when(series.CompletedAt), "time"],
  ]);
}

// What the address asks for.
function wanted(query) {
  const rowsShown = Math.min(MOST_LISTED, Math.max(PAGE, Number(query.get("rows")) || PAGE));
  return {
    in: query.get("in") ?? "PatientName", for: query.get("for") ?? "",
    Modality: query.get("Modality") ?? "", CallingAETitle: query.get("CallingAETitle") ?? "",
    days: query.get("days") ?? "", sort: query.get("sort") ?? FIRST, rows: rowsShown,
  };
}

// The address of this list with something else; without what goes without saying.
function address(asked, other) {
  const all = { ...asked, rows: PAGE, ...other };
  const query = new URLSearchParams();
  if (all.for) query.set("in", all.in);
  for (const key of ["for", "Modality", "CallingAETitle", "days"]) if (all[key]) query.set(key, all[key]);
  if (all.sort !== FIRST) query.set("sort", all.sort);
  if (all.rows > PAGE) query.set("rows", all.rows);
  return query.size ? `#/series?${query}` : "#/series";
}

async function showList(query) {
  const asked = wanted(query);
  const asking = shown;
  asking.asked = asked;
  $("search-field").value = asked.in;
  $("search-text").value = asked.for;
  showSorting(asked);
  showFilters(asked);
  note("series-note", "Loading.");
  const path = new URLSearchParams({ limit: asked.rows, sort: asked.sort });
  const { in: field, for: text } = asked;
  if (text) path.set(field, /Name$/.test(field) && !/[*?]/.test(text) ? `*${text}*` : text);
  for (const key of ["Modality", "CallingAETitle"]) if (asked[key]) path.set(key, asked[key]);
  const days = Number(asked.days);
  if (days > 0) {
    // From the beginning of a day of the reader.
    const from = new Date();
    from.setHours(0, 0, 0, -1);
    from.setDate(from.getDate() - days + 1);
    path.set("CompletedAfter", from.toISOString());
  }
  const isPart = text || asked.Modality || asked.CallingAETitle || asked.days;
  asking.matching = isPart ? " that match" : "";
  await load(`/series?${path}`, false, asking);
  if (asking !== shown) return;
  // Counting takes long where there are very many, so the list does not wait for it.
  const [stats, senders] = await Promise.allSettled([ask("/stats"), filters ? undefined : ask("/sources")]);
  if (asking !== shown) return;
  const modalities = Object.entries(stats.value?.body.SeriesByModality ?? {});
  if (senders.value) {
    const latest = senders.value.body.sort((a, b) => b.LastSeenAt.localeCompare(a.LastSeenAt));
    filters = { senders: latest.map((sender) => sender.CallingAETitle) };
  }
  filters = {
    senders: filters?.senders ?? [],
    modalities: modalities.filter(([name]) => name).sort(([, a], [, b]) => b - a).map(([name]) => name),
  };
  showFilters(asked);
  if (isPart || !more) return;
  asking.total = stats.value?.body.SeriesComplete;
  noteList();
}

function noteList() {
  const count = listing.length;
  const { matching, total, asked } = shown;
  const isUsual = asked.sort === FIRST;
  let text = count ? `${number.format(count)} series${matching}${isUsual ? ", the latest first" : ""}.` : "No such series.";
  const some = isUsual ? "The latest" : "The first";
  if (more) text = `${some} ${number.format(count)} series${matching}; there are more.`;
  if (more && total > count) text = `${some} ${number.format(count)} of ${number.format(total)} series.`;
  if (more && count >= MOST_LISTED) text += " Search or filter to see others.";
  note("series-note", text);
}

async function load(path, isMore, asking) {
  try {
    const { body, next } = await ask(path);
    if (asking !== shown) return;
    more = next;
    listing = isMore ? [...listing, ...body] : body;
    $("series-more").hidden = !next || listing.length >= MOST_LISTED;
    $("series-csv").hidden = !listing.length;
    offerCsv();
    $("series-scroll").hidden = !listing.length;
    if (isMore) $("series-list").tBodies[0].append(...body.map(listed));
    else rows("series-list", body.map(listed));
    noteList();
  } catch (error) {
    if (asking === shown) note("series-note", error.message, true);
  }
}

/* Sorting and filters: links, so that they are in the address. */

function showSorting(asked) {
  for (const header of document.querySelectorAll("#series-list th[data-sort]")) {
    const key = header.dataset.sort;
    const isBy = asked.sort.replace(/^-/, "") === key;
    const isDown = asked.sort.startsWith("-");
    if (isBy) header.setAttribute("aria-sort", isDown ? "descending" : "ascending");
    else header.removeAttribute("aria-sort");
    header.querySelector("a").href = address(asked, { sort: isBy && isDown ? key : `-${key}` });
  }
}

function showFilters(asked) {
  const chips = (id, key, choices) => {
    const all = choices.slice(0, MOST_CHIPS);
    if (asked[key] && !all.some(([value]) => String(value) === asked[key])) all.unshift([asked[key], asked[key]]);
    $(id).parentElement.hidden = !all.length;
    $(id).replaceChildren(...all.map(([value, text]) => {
      const isOn = String(value) === asked[key];
      const chip = element("a", text, "chip");
      chip.href = address(asked, { [key]: isOn ? "" : String(value), ...(asked.in === key ? { for: "" } : {}) });
      if (isOn) chip.setAttribute("aria-current", "true");
      const item = element("li");
      item.append(chip);
      return item;
    }));
  };
  const named = (names) => (names ?? []).map((name) => [name, name]);
  chips("chips-modality", "Modality", named(filters?.modalities));
  chips("chips-sender", "CallingAETitle", named(filters?.senders));
  chips("chips-days", "days", DAYS);
}

$("search").addEventListener("submit", (event) => {
  event.preventDefault();
  const [field, text] = [$("search-field").value, $("search-text").value.trim()];
  location.hash = address(shown.asked, { in: field, for: text, ...(field === "Modality" ? { Modality: "" } : {}) });
});

$("series-more").addEventListener("click", async () => {
  const asking = shown;
  await load(more, true, asking);
  if (asking !== shown) return;
  asking.asked.rows = Math.min(MOST_LISTED, listing.length);
  // No new page, and no step back to the shorter list.
  history.replaceState(null, "", address(asking.asked, { rows: asking.asked.rows }));
  showSorting(asking.asked);
});

/* What is shown as CSV (RFC 4180). */

const COLUMNS = [
  "SeriesInstanceUID", "StudyInstanceUID", "PatientID", "PatientName", "Modality", "SeriesNumber", "SeriesDescription",
  "StudyDate", "InstancesCount", "State", "Revision", "Reason", "CompletedAt", "CallingAETitle",
];

function csv(records) {
  // A text that begins like a formula is one to a spreadsheet.
  const safe = (value) => (typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value ?? ""));
  const cell = (value) => (/[",\r\n]/.test(safe(value)) ? `"${safe(value).replaceAll('"', '""')}"` : safe(value));
  const lines = [COLUMNS, ...records.map((record) => COLUMNS.map((column) => record[column]))];
  return lines.map((line) => line.map(cell).join(",") + "\r\n").join("");
}

// The link to it: what is loaded is there before anybody presses it.
function offerCsv() {
  URL.revokeObjectURL($("series-csv").href);
  $("series-csv").href = URL.createObjectURL(new Blob([csv(listing)], { type: "text/csv" }));
}
