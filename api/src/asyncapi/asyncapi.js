// Shows /asyncapi.json: for each event its subject, keys and example. All text is put in as text.
"use strict";

/** An element with children: elements, or texts whose `code` and **words** are marked up. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  for (const child of children) {
    if (child instanceof Node) { element.append(child); continue; }
    for (const part of String(child).split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*)/)) {
      const mark = part.startsWith("`") ? "code" : part.startsWith("**") ? "strong" : part.startsWith("*") ? "em" : null;
      if (!mark) { element.append(part); continue; }
      const inner = document.createElement(mark);
      inner.textContent = part.replace(/^[`*]+|[`*]+$/g, "");
      element.append(inner);
    }
  }
  return element;
}

/** What a reference of the document is to. */
function follow(document_, value) {
  if (!value || !value.$ref) return value;
  return value.$ref.slice(2).split("/").reduce((at, key) => at[key], document_);
}

/** What a value may be, in a word or two. */
function type(document_, schema) {
  const it = follow(document_, schema) || {};
  if (it.enum) return it.enum.map((word) => "`" + word + "`").join(", ");
  if (it.const !== undefined) return "`" + it.const + "`";
  if (it.anyOf || it.oneOf) return (it.anyOf || it.oneOf).map((one) => type(document_, one)).join(" or ");
  const word = [].concat(it.type || "any").join(" or ");
  if (it.items) return "array of " + type(document_, it.items);
  return it.format ? `${word} (${it.format})` : word;
}

/** The properties of a schema; `required` are marked. */
function properties(document_, schema) {
  const list = make("dl", {});
  for (const [key, value] of Object.entries(schema.properties || {})) {
    const optional = (schema.required || []).includes(key) ? "" : ", optional";
    list.append(make("dt", {}, "`" + key + "`"));
    const about = value.description || (follow(document_, value) || {}).description || "";
    list.append(make("dd", {}, about, " ", make("span", { class: "dim" }, type(document_, value) + optional)));
  }
  return list;
}

function section(document_, kind, channel) {
  const message = document_.components.messages[kind];
  const schema = follow(document_, message.payload);
  const card = make("section", { id: kind });
  card.append(make("h3", {}, kind), make("p", {}, channel.description));
  card.append(make("p", {}, "Subject: `" + channel.address + "`"));
  const parameters = make("dl", {});
  for (const [name, reference] of Object.entries(channel.parameters)) {
    parameters.append(make("dt", {}, "`" + name + "`"), make("dd", {}, follow(document_, reference).description));
  }
  card.append(parameters);
  if (schema && schema.properties) {
    const link = make("a", { href: `/schemas/${kind}.json` }, "JSON Schema");
    card.append(make("details", {}, make("summary", {}, "Payload"), make("p", {}, link), properties(document_, schema)));
  }
  for (const example of message.examples || []) {
    const headers = Object.entries(example.headers).map(([name, value]) => `${name}: ${value}\n`).join("");
    const text = make("pre", { tabindex: "0" });
    text.textContent = headers + "\n" + JSON.stringify(example.payload, null, 2);
    card.append(make("details", {}, make("summary", {}, `Example ${example.name.replaceAll("_", " ")}`), text));
  }
  return card;
}

/** Paragraphs, and lists of the lines that begin with a dash. */
function about(text) {
  return text.split("\n\n").map((block) => {
    if (!block.startsWith("- ")) return make("p", {}, block);
    return make("ul", {}, ...block.split("\n").map((line) => make("li", {}, line.slice(2))));
  });
}

async function show() {
  const note = document.getElementById("note");
  try {
    const answer = await fetch("/asyncapi.json");
    if (!answer.ok) throw new Error(`it was answered with ${answer.status}`);
    const document_ = await answer.json();
    document.getElementById("about").append(...about(document_.info.description));
    const [contents, channels] = [document.getElementById("contents"), document.getElementById("channels")];
    for (const { name: stream, description } of document_.info.tags) {
      const list = make("ul", {});
      contents.append(make("p", {}, `**Stream ${stream}**`), list);
      channels.append(make("h2", {}, `Stream ${stream}`), make("p", { class: "dim" }, description));
      for (const [kind, channel] of Object.entries(document_.channels)) {
        if (channel.tags[0].name !== stream) continue;
        list.append(make("li", {}, make("a", { href: `#${kind}` }, kind)));
        channels.append(section(document_, kind, channel));
      }
    }
    note.remove();
    // What the address names is there only now.
    document.getElementById(location.hash.slice(1))?.scrollIntoView();
  } catch (error) {
    note.textContent = `The document can't be shown: ${error.message}. Reload the page, or open /asyncapi.json.`;
  }
}

show();
