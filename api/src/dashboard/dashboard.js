// Which page is shown, and what keeps it up to date.
"use strict";

const TITLES = { now: "Home", series: "Series", one: "Series", "sources-page": "Senders", health: "System" };

function show() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const [, page = "", uid] = path.split("/");
  const known = { "": "now", series: uid ? "one" : "series", senders: "sources-page", system: "health", health: "health" };
  const before = shown.page;
  shown = { page: known[page] ?? "now" };
  for (const name of Object.keys(TITLES)) $(name).hidden = name !== shown.page;
  for (const a of document.querySelectorAll("nav a[data-page]")) {
    const here = a.dataset.page === (shown.page === "one" ? "series" : shown.page);
    here ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
  }
  if (before && before !== shown.page) $("main").focus();
  changed = true;
  document.title = `${TITLES[shown.page]} \u2013 Collimator`;
  if (shown.page === "now") showHome();
  if (shown.page === "series") showList(new URLSearchParams(query));
  if (shown.page === "sources-page") showSendersPage();
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
setInterval(age, 5000);
setInterval(() => {
  if (document.hidden || shown.page !== "now") return;
  if (homeAsked < Date.now() - ASKED_EVERY) showHome();
}, 1000);
setInterval(() => {
  if (document.hidden || $("sure").open) return;
  if (shown.page === "health") showHealth();
  if (shown.page === "sources-page") showSendersPage();
}, 5000);
