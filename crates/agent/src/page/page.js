// Keeps the page of one device fresh. Without this the page works all the same: its buttons are forms, and it can be reloaded.
"use strict";

(() => {
  // A link to a step opens it.
  const open = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const details = id && document.getElementById(id)?.querySelector("details");
    if (details) details.open = true;
  };
  addEventListener("hashchange", open);
  open();

  // What came of a form is said in the part of the page to which the form leads back, where it lies over nothing.
  const said = document.getElementById("said");
  const where = said?.textContent && decodeURIComponent(location.hash.slice(1));
  const place = () => where && document.getElementById(where)?.prepend(said);
  place();
  if (where) document.getElementById(where)?.scrollIntoView({ behavior: "instant" });

  const from = document.body.dataset.events;
  if (!from || !window.EventSource) return;

  // Each part of the page that may change, as the server sent it.
  const live = (of) => of.querySelectorAll("[data-live]");
  const sent = new Map();
  for (const part of live(document)) sent.set(part.id, part.outerHTML);

  // What is opened, and where the keyboard is, stays so.
  const key = (details) => details.closest("[id]").id;
  const reachable = (part) => [...part.querySelectorAll("a, button, summary, [tabindex]")];
  const put = (fresh) => {
    for (const old of live(document)) {
      const next = fresh.getElementById(old.id);
      if (!next || next.outerHTML === sent.get(old.id)) continue;
      sent.set(old.id, next.outerHTML);
      const opened = new Set([...old.querySelectorAll("details[open]")].map(key));
      const focus = reachable(old).indexOf(document.activeElement);
      const part = document.importNode(next, true);
      for (const details of part.querySelectorAll("details")) details.open ||= opened.has(key(details));
      old.replaceWith(part);
      place();
      if (focus >= 0) (reachable(part)[focus] ?? reachable(part)[0])?.focus({ preventScroll: true });
    }
  };

  let asking = false;
  const refresh = async () => {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(`${location.pathname}?live`, { cache: "no-store" });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.status === 403) location.reload();
    } catch {
      // The agent is away; the events begin again when it is back.
    } finally {
      asking = false;
    }
  };

  const text = (id, words) => {
    const at = document.getElementById(id);
    // Only what is new is written, so that a screen reader speaks it once.
    if (at && at.textContent !== words) at.textContent = words;
  };
  const progress = (event) => {
    const bar = document.getElementById("bar");
    if (!bar) return refresh();
    const now = JSON.parse(event.data);
    text("phase", now.phase);
    text("amount", now.amount);
    if (now.percent === null) bar.removeAttribute("value");
    else bar.value = now.percent;
  };

  // A page that nobody looks at asks for nothing.
  let events = null;
  const watch = () => {
    events?.close();
    events = null;
    if (document.hidden) return;
    events = new EventSource(from);
    events.addEventListener("changed", refresh);
    events.addEventListener("progress", progress);
  };
  document.addEventListener("visibilitychange", () => {
    watch();
    if (!document.hidden) refresh();
  });
  watch();
})();
