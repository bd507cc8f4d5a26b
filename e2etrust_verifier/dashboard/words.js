// SPDX-License-Identifier: Apache-2.0
// What stands where: states, reasons and times in words.

import { el, foreign } from "./elements.js";

export const STATES = {
  trusted: { name: "Trusted", hint: "hold a lease" },
  untrusted: { name: "Untrusted", hint: "a check failed" },
  held: { name: "Held", hint: "wait for an operator" },
  unknown: { name: "Unknown", hint: "no fresh evidence" },
};
export const RED = ["untrusted", "held"];

const MINUTE = 60, HOUR = 3600, DAY = 86400;
let ahead = 0;

/** Take the service's clock for the time: this machine's may be wrong. */
export function setClock(iso) {
  const told = Date.parse(iso);
  if (!Number.isNaN(told)) ahead = told - Date.now();
}

export function serverNow() {
  return Date.now() + ahead;
}

function length(seconds) {
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 100 * MINUTE) return `${Math.round(seconds / MINUTE)} min`;
  if (seconds < 2 * DAY) return `${Math.round(seconds / HOUR)} h`;
  return `${Math.round(seconds / DAY)} days`;
}

function ago(iso) {
  const seconds = (serverNow() - Date.parse(iso)) / 1000;
  return seconds < 3 ? "just now" : `${length(seconds)} ago`;
}

function left(until) {
  const seconds = (Number(until) - serverNow()) / 1000;
  return seconds > 0 ? `${length(seconds)} left` : "ran out";
}

function local(iso) {
  const at = new Date(iso);
  const two = (number) => String(number).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
    `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

/** How long ago that was; kept right by tick(). */
export function moment(iso) {
  if (!iso) return "never";
  return el("time", { datetime: iso, "data-at": iso, title: local(iso) }, ago(iso));
}

/** The moment itself. */
export function exactly(iso) {
  return el("time", { datetime: iso, title: iso }, local(iso));
}

/** How long a lease lasts yet; kept right by tick(). */
export function lease(seconds) {
  if (!seconds) return "none";
  const until = serverNow() + seconds * 1000;
  return el("time", { "data-until": until }, left(until));
}

/** Bring all times of the page up to date. */
export function tick() {
  for (const one of document.querySelectorAll("time[data-at]")) one.textContent = ago(one.dataset.at);
  for (const one of document.querySelectorAll("time[data-until]")) one.textContent = left(one.dataset.until);
}

export function badge(state) {
  return el("span", { class: `badge ${state in STATES ? state : "unknown"}` }, STATES[state]?.name ?? String(state));
}

/** One failed check in a line: its code, where, why. */
export function failure(check) {
  const place = check.where ? [foreign(check.where), ": "] : [];
  return el("span", {}, el("span", { class: "word" }, check.code || check.check), " ", ...place, foreign(check.reason));
}

/** Why a host stands as it does where no check says so. */
export function standing(state) {
  return {
    trusted: "all checks passed",
    held: "it waits for an operator's approval",
    unknown: "no fresh evidence: it never attested, or its lease ran out",
  }[state] ?? "it holds no lease";
}

export function failed(checks) {
  return checks.filter((check) => check.outcome !== "pass");
}
