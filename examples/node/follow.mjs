// Prints each series as it is complete: node follow.mjs. Node.js 20 or newer, no packages.
// The types are made of the OpenAPI document; `tsc --checkJs` checks this file with them.
// @ts-check

/** @typedef {import("../../clients/typescript/openapi").Series} Series */

/** @type {Record<string, string | undefined>} */
const environment = /** @type {any} */ (globalThis).process.env;
const api = environment.API_URL ?? "http://127.0.0.1:8000";
/** @type {Record<string, string>} */
const headers = environment.TOKEN ? { Authorization: `Bearer ${environment.TOKEN}` } : {};
// Where a listener begins that was here before: keep it, and completions that came meanwhile come again.
let position = environment.LAST_EVENT_ID ?? "";

const answer = await fetch(`${api}/series?limit=5&sort=-CompletedAt`, { headers });
if (!answer.ok) throw new Error(`${api}/series: ${answer.status}`);
/** @type {Series[]} */
const latest = await answer.json();
for (const series of latest) console.log("listed:", series.SeriesInstanceUID, series.InstancesCount);

for (;;) {
  try {
    await follow();
  } catch (error) {
    console.error("the connection broke:", error instanceof Error ? error.message : error);
  }
  await new Promise((resolve) => setTimeout(resolve, 2000));
}

/** Reads events until the connection ends. */
async function follow() {
  if (position) headers["Last-Event-ID"] = position;
  const events = await fetch(`${api}/events`, { headers });
  if (!events.ok || !events.body) throw new Error(`${api}/events: ${events.status}`);
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of events.body) {
    const frames = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = frames.pop() ?? "";
    for (const frame of frames) {
      const fields = Object.fromEntries(
        frame.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]),
      );
      if (fields.id) position = fields.id;
      if (fields.event !== "series.completed") continue;
      const series = JSON.parse(fields.data);
      console.log("complete:", series.SeriesInstanceUID, series.InstancesCount, series.Reason);
    }
  }
}
