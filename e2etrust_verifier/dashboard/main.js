// SPDX-License-Identifier: Apache-2.0
// The page: which view is shown, when it is asked for anew, and what is told where that fails.

import { Api, ApiError } from "./api.js";
import { el } from "./elements.js";
import * as events from "./events.js";
import * as fleet from "./fleet.js";
import * as host from "./host.js";
import { RED, setClock, tick } from "./words.js";

const EVERY = 10000;
const part = Object.fromEntries(["skip", "views", "updated", "leave", "alarm", "fleet", "content", "enter", "token", "insecure",
  "controls", "body"].map((id) => [id, document.getElementById(id)]));
const failure = document.getElementById("token-error");

let api = null;
let asked = 0;
let updated = null;

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const names = path.split("/").filter(Boolean).map((name) => { try { return decodeURIComponent(name); } catch { return name; } });
  if (names[0] === "events") return { view: events, name: "events", path: names, query };
  if (names[0] === "hosts" && names.length > 1) return { view: host, name: "hosts", path: names, query };
  return { view: fleet, name: "hosts", path: ["hosts"], query: names[0] === "hosts" ? query : `state=${RED.join("%2C")}` };
}

function go(path, query) {
  const hash = `#/${path.map(encodeURIComponent).join("/")}${String(query) ? `?${query}` : ""}`;
  if (hash === location.hash) refresh(); else location.hash = hash;
}

/** Replace what is shown, and leave the keyboard where it was. */
function replace(place, nodes) {
  const key = place.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  place.replaceChildren(...nodes.filter((node) => node));
  if (key === undefined) return;
  for (const one of place.querySelectorAll("[data-key]")) if (one.dataset.key === key) one.focus({ preventScroll: true });
}

/** Show another view from its top on. */
function move() {
  if (api === null) return;
  const now = route();
  for (const one of part.views.children) {
    if (one.dataset.view === now.name) one.setAttribute("aria-current", "page"); else one.removeAttribute("aria-current");
  }
  part.controls.replaceChildren(...now.view.controls(now, go));
  part.body.setAttribute("aria-busy", "true");
  scrollTo(0, 0);
  refresh().then(() => part.body.removeAttribute("aria-busy"));
}

async function refresh() {
  if (api === null) return;
  const mine = ++asked;
  const now = route();
  try {
    const [summary, told] = await Promise.all([api.tried(["summary"]), now.view.load(api, now)]);
    if (mine !== asked || api === null) return;
    if (!(summary instanceof ApiError)) setClock(summary.at);
    part.fleet.hidden = summary instanceof ApiError;
    if (!part.fleet.hidden) replace(part.fleet, fleet.summary(summary, now.view === fleet ? now.query : null));
    replace(part.body, now.view.body(told, now, summary instanceof ApiError ? null : summary));
    document.title = title(now, summary);
    updated = Date.now();
    fresh();
  } catch (error) {
    if (mine !== asked || api === null) return;
    if (error instanceof ApiError && error.status === 401) leave("The token is not valid any more: paste a new one.");
    else stale(error);
  }
}

function title(now, summary) {
  const red = summary instanceof ApiError ? 0 : RED.reduce((sum, state) => sum + summary.hosts[state], 0);
  const what = now.view === host ? now.path[1] : now.view === events ? "events" : "hosts";
  return `${red ? `(${red}) ` : ""}${what} · E2ETrust attestation`;
}

function fresh() {
  document.body.classList.remove("stale");
  part.alarm.hidden = true;
  part.alarm.replaceChildren();
  clock();
}

/** What is shown may not hold any more: nobody must take it for the present. */
function stale(error) {
  document.body.classList.add("stale");
  const since = updated === null ? "" : ` What stands below is of ${new Date(updated).toLocaleTimeString("en-GB")}.`;
  part.alarm.replaceChildren(el("div", {}, `Not up to date: ${error.message}.${since}`));
  part.alarm.hidden = false;
}

function clock() {
  part.updated.textContent = updated === null ? "" : `updated ${new Date(updated).toLocaleTimeString("en-GB")}`;
}

function leave(why = "") {
  api = null;
  asked += 1;
  updated = null;
  document.title = "E2ETrust attestation";
  fresh();
  for (const one of [part.fleet, part.controls, part.body]) one.replaceChildren();
  for (const one of [part.views, part.leave, part.fleet, part.skip]) one.hidden = true;
  part.enter.hidden = false;
  failure.textContent = why;
  part.token.focus();
}

async function enter(event) {
  event.preventDefault();
  const given = part.token.value.trim();
  failure.textContent = "";
  try {
    const tried = new Api(given);
    await tried.get(["hosts"], "limit=1");
    api = tried;
  } catch (error) {
    failure.textContent = error.status === 401 ? "Keystone does not confirm this token." : `${error.message}.`;
    return;
  } finally {
    part.token.value = "";
  }
  part.enter.hidden = true;
  for (const one of [part.views, part.leave, part.skip]) one.hidden = false;
  move();
  part.content.focus({ preventScroll: true });
}

part.insecure.hidden = isSecureContext;
part.enter.addEventListener("submit", enter);
part.leave.addEventListener("click", () => leave());
part.skip.addEventListener("click", () => part.content.focus());
addEventListener("hashchange", move);
addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
setInterval(tick, 1000);
leave();
