// Server-Sent Events of one address, for as long as somebody looks: a browser has few connections to a server, so a tab
// that is not looked at gives its own back, and asks for what it has missed when it is looked at again.

const HIDDEN = 10_000; // milliseconds
const AGAIN = 3_000;

// `heard`: event name to what it does. `say`: a word and its kind. Gives back what ends it.
export function listen(address, heard, say) {
  let source = null;
  let seen = "";
  let ended = false;
  let timer = 0;

  const shut = () => {
    source?.close();
    source = null;
  };

  const open = () => {
    clearTimeout(timer);
    if (source || ended) return;
    const url = new URL(address, location.href);
    if (seen) url.searchParams.set("after", seen);
    source = new EventSource(url);
    source.onopen = () => say("live", "live");
    source.onerror = () => {
      say("reconnecting", "away");
      if (source?.readyState === EventSource.CLOSED) {
        shut(); // the browser has given up
        timer = setTimeout(open, AGAIN);
      }
    };
    for (const [name, does] of Object.entries(heard)) {
      source.addEventListener(name, (event) => {
        if (event.lastEventId) seen = event.lastEventId;
        does(event);
      });
    }
    source.addEventListener("end", () => {
      ended = true;
      shut();
      say("ended", "ended");
    });
  };

  const turn = () => {
    clearTimeout(timer);
    if (!document.hidden) open();
    else
      timer = setTimeout(() => {
        shut();
        if (!ended) say("paused", "off");
      }, HIDDEN);
  };

  document.addEventListener("visibilitychange", turn);
  addEventListener("pagehide", shut);
  addEventListener("pageshow", turn);
  open();
  turn();
  return () => {
    ended = true;
    clearTimeout(timer);
    shut();
    document.removeEventListener("visibilitychange", turn);
    removeEventListener("pagehide", shut);
    removeEventListener("pageshow", turn);
  };
}

const shown = () => document.querySelector("[data-live-state]");

export function say(word, kind) {
  const at = shown();
  if (!at) return;
  at.dataset.state = kind;
  at.textContent = word;
}
