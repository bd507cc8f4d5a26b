// SPDX-License-Identifier: Apache-2.0
// The fleet: how many hosts stand how, and a list of them.

import { ApiError, nextQuery } from "./api.js";
import { el, foreign, link, refused, table } from "./elements.js";
import { RED, STATES, badge, failed, failure, lease, moment, serverNow, standing } from "./words.js";

const PAGE = 50;
/** The docs advise an alert after as long. */
const SILENCE = 60000;
/** What hosts are found by besides their state: the API's word, and what stands in the empty field. */
const FILTERS = [["name", "Part of a host's name"], ["policy", "Policy"], ["code", "Code of why"], ["trait", "Trait in Placement"]];

/** Tiles, shares and pulse for the top of the page. */
export function summary(told, query) {
  const total = Object.values(told.hosts).reduce((sum, one) => sum + one, 0);
  const red = RED.reduce((sum, state) => sum + told.hosts[state], 0);
  const chosen = query === null ? null : new URLSearchParams(query).get("state") ?? "";
  const tiles = [
    tile("red", "Red", "untrusted or held", red, RED.join(","), chosen),
    ...["untrusted", "held", "unknown", "trusted"].map((state) =>
      tile(state, STATES[state].name, STATES[state].hint, told.hosts[state], state, chosen)),
    tile("all", "All", "enrolled", total, "", chosen),
  ];
  const shares = ["untrusted", "held", "unknown", "trusted"].filter((state) => told.hosts[state]).map((state) => {
    const part = el("i", { class: state, title: `${STATES[state].name}: ${told.hosts[state]}` });
    part.style.flexGrow = told.hosts[state];
    return part;
  });
  const silent = told.last_verdict === null || serverNow() - Date.parse(told.last_verdict) > SILENCE;
  return [
    el("nav", { id: "tiles", "aria-label": "Hosts by state" }, ...tiles),
    el("div", { id: "shares" }, ...shares),
    el("div", { id: "pulse" },
      el("span", { class: silent && total ? "late" : null }, "last evidence appraised ", moment(told.last_verdict)),
      el("span", {}, "oldest attestation ", moment(told.oldest_attestation)),
      el("span", { class: told.workers ? null : "late" }, `verifier workers: ${told.workers}`),
      el("span", {}, `servers that run under a launch: ${told.started_servers}`)),
  ];
}

function tile(tone, name, hint, count, state, chosen) {
  return link(["hosts"], state && new URLSearchParams({ state }),
    { class: `tile ${tone}${count ? "" : " none"}`, "aria-current": state === chosen ? "page" : null, "data-key": `tile ${tone}` },
    el("b", {}, count.toLocaleString("en")), el("span", {}, name), el("small", {}, hint));
}

export async function load(api, route) {
  const query = new URLSearchParams(route.query);
  if (!query.has("limit")) query.set("limit", PAGE);
  return api.tried(["hosts"], query);
}

export function controls(route, go) {
  const asked = new URLSearchParams(route.query);
  const fields = FILTERS.map(([name, text]) => el("input", { type: "search", name, value: asked.get(name) ?? "", placeholder: text,
    "aria-label": text, maxlength: 255, autocomplete: "off", spellcheck: "false", "data-key": `search ${name}` }));
  const form = el("form", { role: "search" }, ...fields, el("button", { type: "submit" }, "Find"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    asked.delete("marker");
    for (const field of fields) {
      asked.delete(field.name);
      if (field.value.trim()) asked.set(field.name, field.value.trim());
    }
    go(["hosts"], asked);
  });
  return [form];
}

export function body(told, route, fleet) {
  if (told instanceof ApiError) return [refused("Hosts", told)];
  const asked = new URLSearchParams(route.query);
  if (told.hosts.length === 0) return [nobody(asked)];
  return [wrong(asked, fleet), listed(told, asked)];
}

/** What is wrong, where several hosts say the same: before the list of all red hosts, on its first page. */
function wrong(asked, fleet) {
  const all = String(asked) === String(new URLSearchParams({ state: RED.join(",") }));
  if (!all || !fleet?.reasons.some((one) => one.hosts > 1)) return null;
  const rows = fleet.reasons.map((one) => {
    const query = new URLSearchParams({ state: RED.join(",") });
    for (const [name, value] of [["policy", one.policy], ["code", one.code]]) if (value) query.set(name, value);
    return [
      one.hosts === 1 ? link(["hosts", one.example], "", { "data-key": `why ${query}` }, foreign(one.example))
        : link(["hosts"], query, { "data-key": `why ${query}` }, `${one.hosts.toLocaleString("en")} hosts`),
      el("span", { class: one.held === one.hosts ? "held" : "untrusted" }, failure(one.check)),
      moment(one.since),
      one.hosts === 1 ? "" : moment(one.latest),
      one.policy ? foreign(one.policy) : "",
      foreign(one.check.remedy),
    ];
  });
  return el("section", { class: "card list" }, el("h1", {}, "What is wrong"),
    table(["Hosts", "Why, such as", "Since", "Latest", "Policy", "What to do"], rows));
}

function listed(told, asked) {
  const rows = told.hosts.map((host) => [
    badge(host.state),
    link(["hosts", host.name], "", { "data-key": `host ${host.name}` }, foreign(host.name)),
    reason(host),
    moment(host.since),
    moment(host.last_attested),
    lease(host.lease_seconds),
  ]);
  return el("section", { class: "card list" }, el("h1", {}, heading(asked)),
    table(["State", "Host", "Why", "Since", "Last attested", "Lease"], rows), pages(asked, told.hosts_links));
}

function reason(host) {
  const why = failed(host.checks);
  if (!why.length) return host.state === "trusted" ? "" : standing(host.state);
  const more = why.length > 1 ? el("span", { class: "quiet" }, ` and ${why.length - 1} more`) : null;
  return el("span", { class: host.state }, failure(why[0]), more);
}

function heading(asked) {
  const states = asked.get("state");
  const [name, policy, code, trait] = FILTERS.map(([one]) => asked.get(one));
  const which = states === RED.join(",") ? "Red hosts" : states ? `${states.split(",").map((one) => STATES[one]?.name ?? one).join(", ")} hosts` : "All hosts";
  return [which, code && `that failed with ${code}`, policy && `by policy “${policy}”`, trait && `with trait ${trait}`,
    name && `with “${name}” in their name`].filter(Boolean).join(" ");
}

function nobody(asked) {
  if (asked.get("state") === RED.join(",") && !FILTERS.some(([one]) => asked.get(one)) && !asked.get("marker")) {
    return el("section", { class: "card calm" }, el("b", {}, "No host is red"),
      "No check failed, and none waits for an operator. ", link(["hosts"], "", {}, "All hosts"));
  }
  return el("section", { class: "card calm" }, `No such hosts: ${heading(asked).toLowerCase()}. `, link(["hosts"], "", {}, "All hosts"));
}

/** Links to the first and to the next page. */
export function pages(asked, links, path = ["hosts"]) {
  const next = nextQuery(links);
  if (next === null && !asked.has("marker")) return null;
  const first = new URLSearchParams(asked);
  first.delete("marker");
  return el("nav", { class: "pages", "aria-label": "Pages" },
    asked.has("marker") ? link(path, first, { "data-key": "first" }, "First page") : null,
    next !== null ? link(path, next, { "data-key": "next" }, "Next page") : null);
}
