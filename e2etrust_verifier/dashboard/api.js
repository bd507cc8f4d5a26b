// SPDX-License-Identifier: Apache-2.0
// The verifier's REST API.  The token lives in this object and nowhere else.

const PATIENCE = 30000;

export class ApiError extends Error {
  constructor(status, refusal) {
    super([refusal?.reason ?? `the service answered ${status}`, refusal?.remedy].filter(Boolean).join("; "));
    this.status = status;
  }
}

export class Api {
  #token;

  constructor(token) {
    if (!/^[\x21-\x7e]+$/.test(token)) throw new ApiError(0, { reason: "that is no keystone token" });
    this.#token = token;
  }

  /** Ask for /v1/PATH?QUERY; *path* is a list of names.  Throws ApiError. */
  async get(path, query = "") {
    const url = new URL(`v1/${path.map(encodeURIComponent).join("/")}`, document.baseURI);
    url.search = String(query);
    let answer;
    try {
      answer = await fetch(url, {
        headers: { "X-Auth-Token": this.#token, Accept: "application/json" },
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch {
      throw new ApiError(0, { reason: "the verifier's API does not answer" });
    }
    const told = await answer.json().catch(() => null);
    if (!answer.ok || told === null) throw new ApiError(answer.status, told?.error);
    return told;
  }

  /** The answer, or the ApiError where that is no question, these roles may not read it, or it is not there. */
  async tried(path, query) {
    try {
      return await this.get(path, query);
    } catch (error) {
      if (error instanceof ApiError && [400, 403, 404].includes(error.status)) return error;
      throw error;
    }
  }
}

/** The query of an answer's link to its next page, or null.  Its address is not followed: only ours is. */
export function nextQuery(links) {
  const next = links?.find((one) => one.rel === "next");
  return next ? new URL(next.href, document.baseURI).search.slice(1) : null;
}
