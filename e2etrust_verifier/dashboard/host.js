// SPDX-License-Identifier: Apache-2.0
// One host: why it stands so and since when, what to do, its checks, history and events.

import { ApiError, nextQuery } from "./api.js";
import { el, foreign, link, refused, table } from "./elements.js";
import { list } from "./events.js";
import { badge, exactly, failed, failure, lease, moment, standing } from "./words.js";

export async function load(api, route) {
  const name = route.path[1];
  const query = new URLSearchParams(route.query);
  if (!query.has("limit")) query.set("limit", 50);
  const [host, history, events] = await Promise.all([
    api.tried(["hosts", name]),
    api.tried(["hosts", name, "verdicts"], query),
    api.tried(["events"], new URLSearchParams({ host: name, limit: 20 })),
  ]);
  return { host, history, events };
}

export function controls() {
  return [];
}

export function body({ host, history, events }, route) {
  const found = host instanceof ApiError ? [refused(route.path[1], host)] : [why(host), checks(host)];
  if (host instanceof ApiError && host.status === 404) return found;
  return [...found, past(history, route), happened(events, route.path[1])];
}

function why(host) {
  const reasons = failed(host.checks);
  const told = reasons.length
    ? el("ul", {}, ...reasons.map((check) => el("li", {}, failure(check))))
    : el("p", {}, `${standing(host.state)[0].toUpperCase()}${standing(host.state).slice(1)}.`);
  return el("section", { class: `card why ${host.state}` },
    el("h1", {}, foreign(host.name), badge(host.state), since(host)),
    told, next(host, reasons),
    el("dl", {}, fact("Last attested", moment(host.last_attested)),
      fact("Lease", lease(host.lease_seconds)), fact("Boots of its TPM (resetCount)", String(host.reset_count ?? "not known"))));
}

function since(host) {
  if (!host.since) return "";
  return el("span", { class: "quiet small" }, "since ", exactly(host.since), ", ", moment(host.since));
}

function fact(name, value) {
  return el("div", {}, el("dt", {}, name), el("dd", {}, value));
}

function next(host, reasons) {
  const remedies = [...new Set(reasons.map((check) => check.remedy).filter(Boolean))];
  const commands = host.state === "held" ? [`openstack attestation host approve ${host.name}`] : [];
  if (!remedies.length && !commands.length) return null;
  return el("div", { class: "next" }, el("h2", {}, "What to do"),
    ...remedies.map((text) => el("p", {}, foreign(text))),
    ...commands.map((text) => el("p", {}, "When that is done: ", el("code", {}, text))));
}

function checks(host) {
  if (host.checks.length === 0) return nothing("Checks", "It was never appraised.");
  const first = [...failed(host.checks), ...host.checks.filter((check) => check.outcome === "pass")];
  const rows = first.map((check) => {
    const passed = check.outcome === "pass";
    return [
      el("span", { class: `badge ${passed ? "trusted" : "untrusted"}` }, passed ? "Pass" : "Fail"),
      el("span", { class: "word" }, check.check),
      el("span", { class: passed ? "" : "untrusted" }, passed ? foreign(check.reason) : failure(check)),
      host.failing_since?.[check.check] ? moment(host.failing_since[check.check]) : "",
      passed ? "" : foreign(check.remedy),
    ];
  });
  return el("section", { class: "card list" }, el("h2", {}, "Checks"), table(["Outcome", "Check", "Why", "Failing since", "What to do"], rows));
}

function nothing(title, text) {
  return el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "quiet" }, text));
}

function past(history, route) {
  if (history instanceof ApiError) return refused("History", history);
  if (history.verdicts.length === 0) return nothing("History", "It was never appraised.");
  const cells = [...history.verdicts].reverse().map((one) =>
    el("i", { class: one.trusted ? "trusted" : "untrusted", title: `${one.at}: ${one.trusted ? "trusted" : told(one)}` }));
  const rows = runs(history.verdicts).map((run) => [
    badge(run.newest.trusted ? "trusted" : "untrusted"),
    el("span", {}, exactly(run.oldest.at), ...(run.count > 1 ? [" to ", exactly(run.newest.at)] : [])),
    `${run.count} × ${run.newest.purpose}`,
    foreign(run.newest.policy),
    el("span", { class: run.newest.trusted ? "" : "untrusted" }, ...failed(run.newest.checks).map((check) => el("div", {}, failure(check)))),
  ]);
  return el("section", { class: "card list" }, el("h2", {}, "History"),
    el("div", { class: "strip", role: "img", "aria-label": `The last ${cells.length} appraisals, oldest first` }, ...cells),
    table(["Came out", "At", "Appraisals", "Policy", "Why not"], rows), older(history, route));
}

function told(verdict) {
  return failed(verdict.checks).map((check) => check.code).join(", ");
}

/** Verdicts in a row that say the same, newest first. */
function runs(verdicts) {
  const found = [];
  const same = (a, b) => a.trusted === b.trusted && a.purpose === b.purpose && a.policy === b.policy && told(a) === told(b);
  for (const one of verdicts) {
    const last = found.at(-1);
    if (last && same(last.newest, one)) {
      last.oldest = one;
      last.count += 1;
    } else {
      found.push({ newest: one, oldest: one, count: 1 });
    }
  }
  return found;
}

function older(history, route) {
  const next = nextQuery(history.verdicts_links);
  const back = new URLSearchParams(route.query).has("marker");
  if (next === null && !back) return "";
  return el("nav", { class: "pages", "aria-label": "History" },
    back ? link(["hosts", route.path[1]], "", { "data-key": "newest" }, "Newest") : null,
    next !== null ? link(["hosts", route.path[1]], next, { "data-key": "older" }, "Older") : null);
}

function happened(events, name) {
  if (events instanceof ApiError) return refused("Events", events);
  return el("section", { class: "card list" }, el("h2", {}, "Events"), ...list(events, false),
    events.events_links.length ? el("nav", { class: "pages", "aria-label": "Events" },
      link(["events"], new URLSearchParams({ host: name }), { "data-key": "events" }, "All events of this host")) : "");
}
