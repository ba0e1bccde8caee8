// Keeps the page fresh and draws the charts. What the server rendered is the truth: a change is fetched as a whole page
// and only the parts that differ are replaced.

import { Charts } from "./charts.js";

const POLL_SECONDS = 5;
const TICK_SECONDS = 5;
const body = document.body;
const link = document.getElementById("link");
const charts = body.dataset.charts ? new Charts(body.dataset) : null;
let answeredAt = Date.now();
let refreshing = false;
let again = false;

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 120) return `${whole} s`;
  let minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  let hours = Math.floor(minutes / 60);
  minutes %= 60;
  if (hours < 48) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  hours %= 24;
  return hours ? `${days} d ${hours} h` : `${days} d`;
}

function relative(at) {
  const apart = at - Date.now() / 1000;
  if (Math.abs(apart) < 5) return "just now";
  return apart > 0 ? `in ${duration(apart)}` : `${duration(-apart)} ago`;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-at]")) {
    const at = Number(time.dataset.at);
    setText(time, "due" in time.dataset && at * 1000 <= Date.now() ? "due" : relative(at));
  }
}

// The same part without what the clock alone changes.
function timeless(part) {
  const copy = part.cloneNode(true);
  for (const clocked of copy.querySelectorAll("time, progress")) {
    clocked.textContent = "";
    clocked.removeAttribute("value");
  }
  return copy.innerHTML;
}

// Half-written words of a person are never thrown away.
function isInUse(part) {
  return [...part.querySelectorAll("textarea")].some((field) => field.value !== "" || field === document.activeElement);
}

function counterpart(fresh, part) {
  if (!part.dataset.for) return fresh.getElementById(part.id);
  const parts = fresh.querySelectorAll(`[data-for="${CSS.escape(part.dataset.for)}"]`);
  return [...parts].find((other) => other.tagName === part.tagName);
}

function apply(fresh) {
  document.title = fresh.title;
  const verdict = document.querySelector(".verdict");
  const newVerdict = fresh.querySelector(".verdict");
  if (verdict && newVerdict) verdict.className = newVerdict.className;
  for (const part of document.querySelectorAll("[data-live]")) {
    const other = counterpart(fresh, part);
    if (!other || timeless(part) === timeless(other)) continue;
    if (isInUse(part) && other.querySelector("textarea")) continue;
    part.innerHTML = other.innerHTML;
  }
  reorder(fresh);
  tick();
}

// The signal to look at first may have become another one.
function reorder(fresh) {
  const wanted = [...fresh.querySelectorAll("[data-signal]")].map((figure) => figure.dataset.signal);
  const shown = [...document.querySelectorAll("[data-signal]")];
  if (wanted.join("\n") === shown.map((figure) => figure.dataset.signal).join("\n")) return;
  for (const name of wanted) {
    const figure = shown.find((candidate) => candidate.dataset.signal === name);
    if (figure) figure.parentElement.append(figure);
  }
}

async function refresh() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.status === 401) {
      location.reload();
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    apply(new DOMParser().parseFromString(await answer.text(), "text/html"));
    if (charts) await charts.load();
    heard();
  } catch {
    lost();
  } finally {
    refreshing = false;
    if (again) {
      again = false;
      refresh();
    }
  }
}

function heard() {
  answeredAt = Date.now();
  link.className = "link";
  setText(link, "live");
}

function lost() {
  link.className = "link lost";
  setText(link, `no answer from the watcher for ${duration((Date.now() - answeredAt) / 1000)}: what you see may be old`);
}

function listen() {
  if (!window.EventSource) {
    setInterval(refresh, POLL_SECONDS * 1000);
    return;
  }
  let polling = null;
  const events = new EventSource(body.dataset.events);
  events.addEventListener("open", () => {
    clearInterval(polling);
    polling = null;
    heard();
  });
  events.addEventListener("changed", refresh);
  // A stream that breaks is tried again by the browser, one that was refused is not: ask for the page meanwhile.
  events.addEventListener("error", () => {
    polling ??= setInterval(refresh, POLL_SECONDS * 1000);
  });
}

tick();
setInterval(tick, TICK_SECONDS * 1000);
if (body.dataset.events) listen();
if (charts) charts.load().catch(lost);
addEventListener("pageshow", (event) => { if (event.persisted) refresh(); });
