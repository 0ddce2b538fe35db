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

  const from = document.body.dataset.events;
  if (!from || !window.EventSource) return;

  const text = (id, words) => {
    const at = document.getElementById(id);
    // Only what is new is written, so that a screen reader speaks it once.
    if (at && at.textContent !== words) at.textContent = words;
  };

  // Puts what has changed in its place. What somebody is in the middle of is left alone until the next time.
  const put = (fresh) => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (!now || now.outerHTML === old.dataset.shown) continue;
      const inUse = old.contains(document.activeElement);
      const shown = now.outerHTML;
      const opened = [...old.querySelectorAll("details")].map((one) => one.open);
      const place = inUse ? where(old, document.activeElement) : null;
      const next = document.importNode(now, true);
      if (old.id !== "steps") next.querySelectorAll("details").forEach((one, at) => { one.open = opened[at] ?? one.open; });
      next.dataset.shown = shown;
      old.replaceWith(next);
      if (place) refind(next, place)?.focus({ preventScroll: true });
    }
    open();
  };
  const reachable = "a, button, summary, [tabindex]";
  const where = (section, element) => [...section.querySelectorAll(reachable)].indexOf(element);
  const refind = (section, at) => [...section.querySelectorAll(reachable)][at] ?? section.querySelector(reachable);

  let asking = false;
  const refresh = async () => {
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(location.pathname, { credentials: "same-origin", cache: "no-store" });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else if (answer.status === 403) location.reload();
    } catch {
      // The agent is away; the events begin again when it is back.
    } finally {
      asking = false;
    }
  };

  const events = new EventSource(from);
  events.addEventListener("changed", refresh);
  events.addEventListener("progress", (event) => {
    const now = JSON.parse(event.data);
    if (!document.getElementById("progress")) return refresh();
    text("phase", now.phase);
    text("amount", now.amount);
    const bar = document.getElementById("bar");
    if (now.percent === null) bar.removeAttribute("value");
    else bar.value = now.percent;
  });
})();
