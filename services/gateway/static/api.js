// The gateway over HTTP: requests, and a session's events that survive a lost connection.

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The gateway itself did not answer. */
export class GoneError extends ApiError {
  constructor() {
    super(0, "gone", "The gateway does not answer.");
  }
}

export async function request(method, path, body, options = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      ...options,
    });
  } catch {
    throw new GoneError();
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  const error = answer.error ?? {};
  throw new ApiError(response.status, error.code ?? "error", error.message ?? `The gateway answered ${response.status}.`);
}

export const sessionPath = (id) => `/api/sessions/${encodeURIComponent(id)}`;

const RETRY_MS = [500, 1000, 2000, 4000];

/**
 * Follows a session from `after` on. Each numbered event comes once, in order, also over reconnects.
 * `onEvent(event)`, `onState("open" | "gone" | "missing")`. Returns a function that stops it.
 */
export function follow(id, after, onEvent, onState) {
  let source = null;
  let timer = 0;
  let tries = 0;
  let stopped = false;

  const open = () => {
    source = new EventSource(`${sessionPath(id)}/events?after=${after}`);
    source.onopen = () => {
      tries = 0;
      onState("open");
    };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      const seq = Number(event.seq ?? 0);
      if (seq && seq <= after) return;
      if (seq) after = seq;
      onEvent(event);
    };
    source.onerror = () => {
      source.close();
      if (!stopped) timer = setTimeout(again, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
    };
  };
  const again = async () => {
    // An EventSource does not tell why it failed; the summary does.
    try {
      await request("GET", sessionPath(id));
    } catch (error) {
      if (stopped) return;
      if (error.status === 404) return onState("missing");
      onState("gone");
      timer = setTimeout(again, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
      return;
    }
    if (!stopped) open();
  };
  open();
  return () => {
    stopped = true;
    clearTimeout(timer);
    source?.close();
  };
}
