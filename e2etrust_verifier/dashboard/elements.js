// SPDX-License-Identifier: Apache-2.0
// Elements made of text: nothing that came from the API is ever read as markup.

const ALLOWED = new Set(["class", "title", "scope", "type", "name", "value", "placeholder", "for", "id",
  "maxlength", "autocomplete", "spellcheck", "aria-label", "aria-current", "role", "data-key", "data-label", "data-at",
  "data-until", "datetime"]);

/** Make an element; children are elements, or text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (!ALLOWED.has(name)) throw new Error(`no attribute ${name} is set here`);
    made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Make a link to a place in this page; *query* is one of the API's. */
export function link(path, query, attributes, ...children) {
  const made = el("a", attributes, ...children);
  made.href = `#/${path.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  return made;
}

/** Text that a host or a person chose: its writing direction stays its own. */
export function foreign(text) {
  return el("bdi", {}, text);
}

/** Columns of single words, which are not broken where there is another way. */
const WHOLE = new Set(["Host", "Check", "Kind"]);
/** Columns of short names, which are broken where they are long and only then. */
const NAMES = new Set(["Hosts", "Policy"]);

/** A table; a row is a list of cells, a cell an element, text or nothing. */
export function table(columns, rows) {
  const head = el("tr", {}, ...columns.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map((cells) => el("tr", {}, ...cells.map((cell, n) => {
    const shape = cell?.tagName === "TIME" || columns[n] === "Appraisals" ? "tight"
      : WHOLE.has(columns[n]) ? "whole" : NAMES.has(columns[n]) ? "name" : null;
    const content = cell === null || cell === "" ? [] : [cell];
    return el("td", { "data-label": n > 0 ? columns[n] : null, class: shape }, ...content);
  })));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, head), el("tbody", {}, ...body)));
}

/** A place for a section that the API refused. */
export function refused(title, error) {
  return el("section", { class: "card" }, el("h2", {}, title), el("p", { class: "failure" }, error.message));
}
