// Keeps an open page up to date, filters the list, copies, and listens to keys.  Everything is on the page
// without this script: on the list it puts in the rows that the gateway sends, on a request it fetches the
// page again.
"use strict";

const KEPT = 200;
const { base, mark, watch } = document.body.dataset;
const live = document.querySelector("[data-live]");

function element(html) {
  const template = document.createElement("template");
  template.innerHTML = html.trim();
  return template.content.firstElementChild;
}

function say(text, state) {
  live.hidden = false;
  live.textContent = text;
  live.dataset.live = state;
}

function replace(old, fresh) {
  const inside = old.contains(document.activeElement);
  const path = inside ? document.activeElement.getAttribute("href") : null;
  old.replaceWith(fresh);
  if (path !== null) {
    for (const link of fresh.querySelectorAll("a")) {
      if (link.getAttribute("href") === path) {
        link.focus({ preventScroll: true });
        break;
      }
    }
  }
}

function takeRow({ id, html, count }) {
  const rows = document.querySelector("[data-rows]");
  const old = document.getElementById(`r${id}`);
  const fresh = element(`<table><tbody>${html}</tbody></table>`).querySelector("tr");
  if (old) {
    replace(old, fresh);
  } else {
    fresh.classList.add("fresh");
    rows.prepend(fresh);
    while (rows.children.length > KEPT) rows.lastElementChild.remove();
  }
  filterRows();
  document.querySelector("[data-empty]").hidden = true;
  document.querySelector("[data-count]").textContent = count;
}

let fetching = false;
let again = false;

// The ids of what the reader has opened, and not closed since; a part that is not on the page for now, as of
// a request under way, is open again when it comes back.
const opened = new Set();

async function refresh() {
  again = true;
  if (fetching) return;
  fetching = true;
  try {
    while (again) {
      again = false;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const { id, open } of document.querySelectorAll("details")) {
        if (open) opened.add(id);
        else opened.delete(id);
      }
      const main = page.querySelector("main");
      for (const id of opened) {
        const details = main.querySelector(`#${CSS.escape(id)}`);
        if (details) details.open = true;
      }
      for (const one of main.querySelectorAll("[data-copy], [data-again]")) one.hidden = false;
      document.title = page.title;
      replace(document.querySelector("main"), document.adoptNode(main));
    }
  } catch {
    // The gateway is away: the event source tells, and tries again.
  } finally {
    fetching = false;
  }
}

function concerns(id) {
  const last = document.querySelector(".steps") && !document.querySelector("#newer");
  return watch === "latest" || watch === id || (watch !== "none" && last);
}

// -- the filter: kept in the address, so that a reload and a way back find it as it was

const filter = document.querySelector("[data-filter]");

function matches(row, { text, plugin, status }) {
  const { status: got, plugins, bugs } = row.dataset;
  if (plugin && !plugins.split(" ").includes(plugin)) return false;
  if (status === "bugs" ? bugs === "0" : status && !got.startsWith(status)) return false;
  const said = [".request a", ".who", ".status"].map((one) => row.querySelector(one).textContent);
  return said.join(" ").toLowerCase().includes(text.trim().toLowerCase());
}

function wanted() {
  const fields = filter.querySelectorAll("[name]");
  return Object.fromEntries([...fields].map(({ name, value }) => [name, value]));
}

function offerPlugins(rows) {
  const select = filter.querySelector("[name=plugin]");
  const known = new Set([...select.options].map((option) => option.value));
  for (const name of new Set(rows.flatMap((row) => row.dataset.plugins.split(" ")))) {
    if (name && !known.has(name)) select.append(new Option(name, name));
  }
}

function filterRows() {
  const rows = [...document.querySelectorAll("[data-rows] tr")];
  offerPlugins(rows);
  const by = wanted();
  for (const row of rows) row.hidden = !matches(row, by);
  const shown = rows.filter((row) => !row.hidden).length;
  const filtered = Boolean(by.text.trim() || by.plugin || by.status);
  document.querySelector("[data-none]").hidden = !rows.length || shown > 0;
  document.querySelector("[data-shown]").textContent = filtered ? `${shown} of ${rows.length}` : "";
}

if (filter) {
  filter.hidden = false;
  const given = new URLSearchParams(location.hash.slice(1));
  offerPlugins([...document.querySelectorAll("[data-rows] tr")]);
  for (const field of filter.querySelectorAll("[name]")) {
    const value = given.get(field.name) ?? "";
    if (field.name === "plugin" && value) field.append(new Option(value, value));
    field.value = value;
  }
  filter.addEventListener("input", () => {
    const kept = new URLSearchParams(Object.entries(wanted()).filter(([, value]) => value));
    history.replaceState(null, "", `${location.pathname}${kept.size ? `#${kept}` : ""}`);
    filterRows();
  });
  filterRows();
  if (given.has("find")) filter.querySelector("[name=text]").focus();
}

// -- copying

function select(node) {
  const range = document.createRange();
  range.selectNodeContents(node);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

async function copy(button) {
  const text = document.getElementById(button.dataset.copy);
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  } catch {
    // Not allowed here, as on a page that came without TLS from another machine: show it, selected.
    text.closest("details").open = true;
    select(text);
    text.scrollIntoView({ block: "nearest" });
  }
}

async function runAgain(button) {
  button.disabled = true;
  try {
    const answer = await fetch(`${button.dataset.again}/again`, { method: "POST" });
    if (answer.ok) location.href = `${base}/requests/${(await answer.json()).id}`;
    else say("The request is not remembered any more", "off");
  } catch {
    // The gateway is away: the event source tells, and tries again.
  } finally {
    button.disabled = false;
  }
}

for (const one of document.querySelectorAll("[data-copy], [data-again]")) one.hidden = false;

// -- the keyboard

const help = document.querySelector("[data-keys]");
const helper = document.querySelector("[data-help]");
helper.hidden = false;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-copy]");
  const again = event.target.closest("[data-again]");
  if (button) copy(button);
  else if (again) runAgain(again);
  else if (event.target.closest("[data-help]")) help.showModal();
  else if (event.target === help) help.close();
});

function step(by) {
  if (!filter) {
    document.querySelector(by > 0 ? "#older" : "#newer")?.click();
    return;
  }
  const links = [...document.querySelectorAll("[data-rows] tr:not([hidden]) a")];
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : links.length - 1) : at + by;
  links[Math.min(Math.max(next, 0), links.length - 1)]?.focus();
}

const keys = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => {
    if (filter) filter.querySelector("[name=text]").focus();
    else location.href = `${base}#find=`;
  },
  "?": () => (help.open ? help.close() : help.showModal()),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const act = keys[event.key];
  if (act && (event.key === "?" || !help.open)) {
    event.preventDefault();
    act();
  }
});

const events = new EventSource(`${base}/events?since=${encodeURIComponent(mark)}`);
events.addEventListener("open", () => say("Live", "on"));
events.addEventListener("error", () => say("Reconnecting", "off"));
events.addEventListener("afresh", () => location.reload());
events.addEventListener("request", (event) => {
  const change = JSON.parse(event.data);
  if (watch === "") takeRow(change);
  else if (watch === "plugins") return;
  else if (concerns(change.id)) refresh();
});
events.addEventListener("plugins", (event) => {
  const plugins = document.querySelector("section[data-plugins]");
  if (plugins) plugins.replaceWith(element(JSON.parse(event.data).html));
  else if (watch === "plugins") refresh();
});
