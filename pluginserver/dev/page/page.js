// Keeps an open page up to date.  Everything is on the page without this script; it only listens for
// changes: on the list it puts in the rows that the gateway sends, on a request it fetches the page again.
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
  document.querySelector("[data-empty]").hidden = true;
  document.querySelector("[data-count]").textContent = count;
}

let fetching = false;
let again = false;

async function refresh() {
  again = true;
  if (fetching) return;
  fetching = true;
  try {
    while (again) {
      again = false;
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const opened = [...document.querySelectorAll("details[open]")].map((one) => one.id);
      const main = page.querySelector("main");
      for (const id of opened) {
        const details = main.querySelector(`#${CSS.escape(id)}`);
        if (details) details.open = true;
      }
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
  return watch === "latest" || watch === id || !document.querySelector("#newer");
}

const events = new EventSource(`${base}/events?since=${encodeURIComponent(mark)}`);
events.addEventListener("open", () => say("Live", "on"));
events.addEventListener("error", () => say("Reconnecting", "off"));
events.addEventListener("afresh", () => location.reload());
events.addEventListener("request", (event) => {
  const change = JSON.parse(event.data);
  if (watch === "") takeRow(change);
  else if (concerns(change.id)) refresh();
});
events.addEventListener("plugins", (event) => {
  const plugins = document.querySelector("[data-plugins]");
  if (plugins) plugins.replaceWith(element(JSON.parse(event.data).html));
});
