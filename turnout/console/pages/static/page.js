// What every page can do: light and dark, the keyboard, time travel, live parts in which nothing jumps.

import { listen, say } from "./live.js";

const root = document.documentElement;

function theme() {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  document.cookie = `turnout_theme=${root.dataset.theme}; path=/; max-age=31536000; samesite=lax`;
}

// --- keyboard ---------------------------------------------------------------------------------

const PAGES = { r: "/runs", p: "/projects", a: "/agents", d: "/deliveries", l: "/ledger" };
let went = 0;

function typing(target) {
  return target.closest("input:not([type=range]), select, textarea, [contenteditable]");
}

function step(by) {
  const all = [...document.querySelectorAll("[data-step]")].filter((each) => each.offsetParent);
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  "?": () => document.getElementById("keys").showModal(),
  "/": () => document.querySelector("[data-first]")?.focus(),
  j: () => step(1),
  k: () => step(-1),
  t: theme,
  "[": () => travel(-1),
  "]": () => travel(1),
  n: () => document.querySelector("[data-now]")?.click(),
  f: () => document.querySelector("[data-follow]")?.click(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "g") {
    went = Date.now();
    return;
  }
  if (Date.now() - went < 1500 && PAGES[event.key]) {
    location.assign(PAGES[event.key]);
    return;
  }
  const does = KEYS[event.key];
  if (does) {
    event.preventDefault();
    does();
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-switch]")) theme();
  if (event.target.closest("[data-keys]")) KEYS["?"]();
});

document.addEventListener("submit", (event) => {
  const asks = event.target.dataset?.confirm;
  if (asks && !confirm(asks)) event.preventDefault();
});

// --- time travel ------------------------------------------------------------------------------

function travel(by) {
  const slider = document.getElementById("at");
  if (!slider) return;
  slider.value = Number(slider.value) + by;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-back], [data-forth]");
  if (!link || !document.getElementById("at") || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  travel(link.hasAttribute("data-back") ? -1 : 1);
});

function travelled(part) {
  const now = part.dataset.version === part.dataset.of;
  const url = new URL(location.href);
  if (now) url.searchParams.delete("at");
  else url.searchParams.set("at", part.dataset.version);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}

// --- live -------------------------------------------------------------------------------------

let listening = null; // the element whose events are listened to, and what ends that

function follow() {
  const holder = document.querySelector("[data-live]");
  if (holder === listening?.holder) return;
  listening?.end();
  listening = null;
  if (!holder?.dataset.live) return;
  const asked = (name) => () => {
    for (const each of holder.querySelectorAll(`[hx-trigger="live:${name}"]`)) htmx.trigger(each, `live:${name}`);
  };
  listening = { holder, end: listen(holder.dataset.live, { runs: asked("runs"), run: asked("run") }, say) };
}

addEventListener("load", follow);
document.addEventListener("htmx:afterSettle", follow);

// While somebody looks at the past, the present may go on without them.
document.addEventListener("htmx:beforeRequest", (event) => {
  const part = document.getElementById("part");
  const live = event.detail.requestConfig?.triggeringEvent?.type?.startsWith("live:");
  if (live && part && part.querySelector("[data-past]")) event.preventDefault();
});

// Parts are morphed into what they have become: the focus, the scrolled and the opened stay as they are.
const chosen = new WeakMap(); // what somebody has opened or shut, and the light that it had then

document.addEventListener("click", (event) => {
  const it = event.target.closest("summary")?.parentElement;
  if (it) chosen.set(it, it.dataset.light ?? "");
});

Idiomorph.defaults.ignoreActiveValue = true;
Object.assign(Idiomorph.defaults.callbacks, {
  // a stage whose state has changed opens or shuts by itself, any other as somebody has left it
  beforeAttributeUpdated: (name, node) => !(name === "open" && chosen.get(node) === (node.dataset.light ?? "")),
  beforeNodeMorphed: (old, fresh) => {
    if (old.matches?.("[data-keep-content]") && old.childElementCount) return false;
    if (old.matches?.("[data-since]") && fresh.matches?.("[data-since]")) fresh.textContent = old.textContent;
    return true;
  },
});

let stood = null; // where the slider was: what comes and goes above it must not move it under the hand

document.addEventListener("htmx:beforeSwap", () => {
  const slider = document.activeElement?.id === "at" ? document.activeElement : null;
  stood = slider && slider.getBoundingClientRect().top;
});

document.addEventListener("htmx:afterSwap", () => {
  const part = document.getElementById("part");
  if (!part) return;
  travelled(part);
  if (stood !== null) scrollBy(0, document.getElementById("at").getBoundingClientRect().top - stood);
});

document.addEventListener("htmx:responseError", () => say("could not be loaded", "away"));
document.addEventListener("htmx:sendError", () => say("not reachable", "away"));

// --- what goes on -----------------------------------------------------------------------------

function duration(seconds) {
  if (seconds < 9.95) return `${Math.max(seconds, 0).toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

setInterval(() => {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("[data-since]")) {
    each.textContent = duration((Date.now() - Date.parse(each.dataset.since)) / 1000);
  }
}, 1000);

// A link to a stage opens it.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target?.matches("details")) {
    target.open = true;
    target.scrollIntoView({ block: "start" });
  }
}
addEventListener("hashchange", reveal);
reveal();
