// SPDX-License-Identifier: Apache-2.0
// What happened, newest first.

import { ApiError } from "./api.js";
import { el, foreign, link, refused, table } from "./elements.js";
import { pages } from "./fleet.js";
import { exactly } from "./words.js";

const KINDS = ["delivery-failed", "enrolment-refused", "evidence-refused", "host-approved", "host-enrolled",
  "host-expected", "host-failed", "host-held", "host-removed", "host-revoked", "host-trusted",
  "host-unexpected", "launch-granted", "launch-refused", "lease-expired", "outbox-dropped", "policy-accepted",
  "policy-applied", "report-refused", "revocation-braked", "revocation-failed", "revocation-overruled",
  "revocation-released", "service-disabled", "service-enabled", "service-evacuated", "unrecorded-domain"];

export async function load(api, route) {
  const query = new URLSearchParams(route.query);
  if (!query.has("limit")) query.set("limit", 50);
  return api.tried(["events"], query);
}

export function controls(route, go) {
  const asked = new URLSearchParams(route.query);
  const fields = [["host", "Host", null], ["kind", "Kind of event", "kinds"]].map(([name, text, list]) => {
    const field = el("input", { type: "search", name, value: asked.get(name) ?? "", placeholder: text, "aria-label": text,
      maxlength: 255, autocomplete: "off", spellcheck: "false", "data-key": name });
    if (list) field.setAttribute("list", list);
    return field;
  });
  const kinds = el("datalist", { id: "kinds" }, ...KINDS.map((value) => el("option", { value })));
  const form = el("form", { role: "search" }, ...fields, kinds, el("button", { type: "submit" }, "Find"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const field of fields) if (field.value.trim()) query.set(field.name, field.value.trim());
    go(["events"], query);
  });
  return [form];
}

export function body(told, route) {
  if (told instanceof ApiError) return [refused("Events", told)];
  return [el("section", { class: "card list" }, el("h1", {}, "Events"), ...list(told, true),
    pages(new URLSearchParams(route.query), told.events_links, ["events"]) ?? "")];
}

/** Events as a table, or that there are none. */
export function list(told, withHost) {
  if (told.events.length === 0) return [el("p", { class: "quiet" }, "Nothing happened that an operator is told of.")];
  const rows = told.events.map((one) => [
    exactly(one.at),
    el("span", { class: "word" }, one.kind),
    ...(withHost ? [one.host ? link(["hosts", one.host], "", { "data-key": `event ${one.id}` }, foreign(one.host)) : ""] : []),
    foreign(one.message),
  ]);
  return [table(["At", "Kind", ...(withHost ? ["Host"] : []), "What"], rows)];
}
