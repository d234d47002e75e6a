// The queue page: applies what the desk sends, counts times on, keeps rows still under a pointer or focus, and sounds.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const feed = byId("feed"), list = byId("list"), connection = byId("connection"), fresh = byId("fresh");
  const LOST_MS = 12_000; // the desk sends something every 5 s
  const MOVES = matchMedia("(hover: hover)");
  const words = feed.dataset;

  // Times: by Redis's clock, as the page was told, whatever this machine's says.
  let ahead = Number(words.now) - Date.now();
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  function span(ms) {
    const s = Math.max(0, Math.floor(ms / 1000)), min = Math.floor(s / 60), h = Math.floor(min / 60), d = Math.floor(h / 24);
    if (min < 1) return fill(words.s, { s });
    if (min < 10) return fill(s % 60 ? words.minS : words.min, { min, s: s % 60 });
    if (h < 1) return fill(words.min, { min });
    return d < 1 ? fill(words.hMin, { h, min: min % 60 }) : fill(words.dH, { d, h: h % 24 });
  }
  function write(element, text) {
    if (element.textContent !== text) element.textContent = text;
  }
  function count() {
    const now = Date.now() + ahead;
    for (const one of document.querySelectorAll("[data-since]")) {
      const ms = now - Number(one.dataset.since);
      write(one, span(ms));
      if (one.dataset.limit) one.classList.toggle("past", ms > 1000 * Number(one.dataset.limit));
    }
  }

  // The connection: what the page shows is as new as the last event.
  let heard = Date.now(), connected = false, unreadSince = null;
  function tell() {
    if (!connection || (!connected && Date.now() - heard <= LOST_MS)) return;
    const quiet = Date.now() - heard;
    const lost = quiet > LOST_MS;
    const text = lost ? connection.dataset.lost : unreadSince ? connection.dataset.unread : connection.dataset.connected;
    write(connection, fill(text, { age: span(!lost && unreadSince ? Date.now() - unreadSince : quiet) }));
    connection.classList.toggle("past", lost || unreadSince !== null);
  }
  feed.addEventListener("beat", (event) => {
    const beat = JSON.parse(event.detail.data);
    heard = Date.now();
    connected = true;
    if (beat.now_ms) ahead = beat.now_ms - heard;
    unreadSince = beat.lost_seconds === undefined ? null : heard - 1000 * beat.lost_seconds;
    tell();
  });
  feed.addEventListener("signed-out", () => location.reload());
  feed.addEventListener("htmx:sse:error", (event) => {
    if ([401, 403].includes(event.detail.status)) location.reload();
  });
  // An answer that is no stream is trouble, and no part of the page.
  feed.addEventListener("htmx:before:swap", (event) => {
    if (event.detail.ctx.response?.status >= 400) event.preventDefault();
  });

  // Rows: they wait while a pointer or the focus is among them.
  let waiting = null, alarms = new Set();
  const rows = (root) => [...root.querySelectorAll("tbody > tr[id]")];
  const busy = () => {
    const table = list.querySelector("table");
    return table !== null && ((MOVES.matches && table.matches(":hover")) || table.contains(document.activeElement));
  };
  async function show(html) {
    const before = new Set(rows(list).map((row) => row.id));
    const focused = document.activeElement.closest?.("#list tr[id]")?.id;
    waiting = null;
    fresh.hidden = true;
    await htmx.swap({ sourceElement: feed, target: list, text: html, swap: "innerMorph" });
    // Focus that came meanwhile, or was asked for by the button, stays with its row.
    if (focused && document.activeElement === document.body) byId(focused)?.querySelector("a")?.focus();
    if (before.size) for (const row of rows(list)) if (!before.has(row.id)) row.classList.add("new");
    count();
  }
  function keep(html) {
    // Each row is as new as it can be where it stands; what would move rows waits.
    waiting = html;
    const coming = new DOMParser().parseFromString(html, "text/html");
    const there = rows(list), ids = there.map((row) => row.id), after = rows(coming).map((row) => row.id);
    for (const row of there) {
      const next = coming.getElementById(row.id);
      if (!next) gone(row);
      else for (const [place, cell] of [...row.cells].entries()) {
        if (cell.classList.contains("c-case")) continue; // the focus is on its link
        cell.replaceChildren(...[...next.cells[place].childNodes].map((node) => node.cloneNode(true)));
      }
      if (next) row.classList.toggle("mine", next.classList.contains("mine"));
    }
    const added = after.filter((id) => !ids.includes(id)).length;
    const text = fresh.dataset;
    write(fresh, added === 1 ? text.one : added ? fill(text.many, { count: added }) : text.changed);
    fresh.hidden = after.join() === ids.join();
    count();
  }
  function gone(row) {
    if (row.classList.contains("gone")) return;
    row.classList.add("gone");
    row.querySelector(".c-who").textContent = words.gone;
  }
  const release = () => setTimeout(() => { if (waiting !== null && !busy()) show(waiting); });
  feed.addEventListener("rows", (event) => (busy() ? keep : show)(event.detail.data));
  list.addEventListener("mouseleave", release);
  list.addEventListener("focusout", release);
  fresh.addEventListener("click", () => { if (waiting !== null) show(waiting); });

  // Critical cases that were not there before: said to screen readers, and played to who wants it.
  const open = () => new Set((byId("alarms")?.dataset.cases ?? "").split(" ").filter(Boolean));
  let audio = null;
  function play() {
    audio ??= new AudioContext();
    audio.resume();
    for (const [tone, at] of [[660, 0], [880, 0.18]]) {
      const source = audio.createOscillator(), volume = audio.createGain(), begin = audio.currentTime + at;
      source.frequency.value = tone;
      volume.gain.setValueAtTime(0.0001, begin);
      volume.gain.exponentialRampToValueAtTime(0.2, begin + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, begin + 0.16);
      source.connect(volume).connect(audio.destination);
      source.start(begin);
      source.stop(begin + 0.17);
    }
  }
  feed.addEventListener("htmx:after:swap", () => {
    const now = open();
    const come = [...now].some((one) => !alarms.has(one));
    alarms = now;
    if (come) {
      byId("news").textContent = "";
      byId("news").textContent = byId("news").dataset.critical;
      feed.dispatchEvent(new CustomEvent("desk:alarm"));
      if ("sound" in words) play();
    }
    count();
  });
  alarms = open();
  // Browsers play nothing before the first key or click.
  if ("sound" in words)
    for (const kind of ["pointerdown", "keydown"])
      addEventListener(kind, () => { audio ??= new AudioContext(); audio.resume(); }, { once: true });

  // Keys and filters.
  function move(step) {
    const links = [...list.querySelectorAll(".c-case > a")];
    const at = links.indexOf(document.activeElement);
    const to = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + step, 0), links.length - 1);
    links[to]?.focus();
  }
  for (const [id, step] of [["row-down", 1], ["row-up", -1]])
    byId(id).addEventListener("desk:key", (event) => { event.preventDefault(); move(step); });
  byId("filters").addEventListener("change", (event) => {
    if (event.target.matches("select")) event.currentTarget.requestSubmit();
  });

  setInterval(() => { count(); tell(); }, 1000);
  count();
  tell();
})();
