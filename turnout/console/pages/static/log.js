// A log's page: follow what is written, fold its groups, wrap its lines, keep a link to one of them.

import { listen, say } from "./live.js";

const MOST = 6000; // lines that are kept while a log is followed

const view = document.querySelector("[data-log-page]");
const pane = view.querySelector(".log:not(.hits)");
const list = view.querySelector("[data-lines-list]");
const follow = view.querySelector("[data-follow]");
const pressed = (button) => button.getAttribute("aria-pressed") === "true";
const press = (button, on) => button.setAttribute("aria-pressed", String(on));

function toEnd() {
  if (!follow.hidden && pressed(follow)) scrollTo({ top: document.body.scrollHeight });
}

// --- groups -----------------------------------------------------------------------------------

function fold(head, shut) {
  head.classList.toggle("shut", shut);
  head.querySelector("span").setAttribute("aria-expanded", String(!shut));
  for (let each = head.nextElementSibling; each; each = each.nextElementSibling) {
    if (each.matches(".fold, .gap")) return;
    each.classList.toggle("folded", shut);
    if (each.matches(".end")) return;
  }
}

function heads() {
  for (const each of view.querySelectorAll("[data-fold] > span:not([role])")) {
    each.setAttribute("role", "button");
    each.setAttribute("tabindex", "0");
    each.setAttribute("aria-expanded", "true");
  }
}

view.addEventListener("click", (event) => {
  const head = event.target.closest("[data-fold] > span");
  if (head) fold(head.parentElement, !head.parentElement.classList.contains("shut"));
  const number = event.target.closest(".log:not(.hits) li > a");
  if (number && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    history.replaceState(null, "", number.getAttribute("href"));
    here();
  }
});
view.addEventListener("keydown", (event) => {
  const head = event.target.closest("[data-fold] > span");
  if (head && (event.key === "Enter" || event.key === " ")) {
    event.preventDefault();
    head.click();
  }
});
view.querySelector("[data-fold-all]").addEventListener("click", () => {
  const all = [...view.querySelectorAll("[data-fold]")];
  const shut = all.some((each) => !each.classList.contains("shut"));
  for (const each of all) fold(each, shut);
});
view.querySelector("[data-wrap]").addEventListener("click", (event) => {
  press(event.currentTarget, pane?.classList.toggle("wrap"));
});

// --- one line ---------------------------------------------------------------------------------

function here() {
  for (const each of view.querySelectorAll(".here")) each.classList.remove("here");
  const named = location.hash.match(/^#L(\d+)$/);
  if (!named) return;
  const line = document.getElementById(`L${named[1]}`);
  if (line) {
    line.classList.add("here");
    return line;
  }
  const url = new URL(location.href);
  if (url.searchParams.get("line") !== named[1]) {
    url.searchParams.set("line", named[1]); // it is in another part of the log
    location.replace(url);
  }
}

addEventListener("hashchange", here);
here()?.scrollIntoView({ block: "center" });

// --- follow -----------------------------------------------------------------------------------

let last = Number(view.dataset.last);
let fetching = false;
let again = false;

async function more() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  do {
    again = false;
    const answer = await fetch(`${view.dataset.lines}&first=${last + 1}&follow=1`, { headers: { "HX-Request": "true" } });
    if (!answer.ok) break;
    const text = await answer.text();
    if (!list) {
      location.reload(); // the first lines of all
      return;
    }
    list.insertAdjacentHTML("beforeend", text);
    const newest = list.lastElementChild?.id.slice(1);
    if (newest && Number(newest) - last >= 500) again = true;
    last = Number(newest) || last;
    while (list.childElementCount > MOST) list.firstElementChild.remove();
    heads();
    toEnd();
  } while (again);
  fetching = false;
}

if (view.dataset.liveLog) {
  listen(
    view.dataset.liveLog,
    {
      log: more,
      end: () => {
        follow.hidden = true;
        more();
      },
    },
    say,
  );
  follow.addEventListener("click", () => {
    press(follow, !pressed(follow));
    toEnd();
  });
  addEventListener("wheel", (event) => event.deltaY < 0 && press(follow, false), { passive: true });
}

document.addEventListener("htmx:afterSwap", heads);
heads();
if (!location.hash) toEnd();
