// Talking to the REST routes of this server. Every failure becomes an Error with the server's own words and hint.

export class Fault extends Error {
  constructor(code, message, hint, id) {
    super(message);
    Object.assign(this, { code, hint, id });
  }
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** fetch with typed errors; waits and tries again while the server says it is full. */
export async function rest(path, options = {}, tries = 20) {
  for (;;) {
    let answer;
    try {
      answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
    } catch {
      throw new Fault("offline", "The server does not answer.", "Is it still running? Start it again and try once more.");
    }
    if (answer.ok) return answer;
    if (answer.status === 401) {
      location.assign("/login");
      await new Promise(() => {}); // the page is going away
    }
    if (answer.status === 429 && --tries > 0) {
      await pause(1000 * Number(answer.headers.get("Retry-After") || 1));
      continue;
    }
    const body = await answer.json().catch(() => ({}));
    const { code = "internal", message = `The server answered ${answer.status}.`, hint = "", id = "" } = body.error || {};
    throw new Fault(code, message, hint, id);
  }
}

const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return given.length ? `?${new URLSearchParams(given)}` : "";
};

const picture = (blob) => ({ method: "POST", body: blob, headers: { "Content-Type": "application/octet-stream" } });

export const models = async () => (await (await rest("/v1/models")).json()).models;

export const predict = async (blob, name, model, threshold) =>
  (await (await rest(`/v1/predict${query({ name, model, threshold })}`, picture(blob))).json()).results[0];

export const explain = async (blob, label, model) =>
  (await rest(`/v1/explain${query({ label, model })}`, picture(blob))).json();

export const preview = async (blob) => (await rest("/v1/preview", picture(blob))).blob();

/** Runs at most `places` of the given functions at once, in order. */
export function line(places) {
  const waiting = [];
  let running = 0;
  const next = async () => {
    if (running >= places || !waiting.length) return;
    running += 1;
    const { work, done, failed } = waiting.shift();
    try {
      done(await work());
    } catch (error) {
      failed(error);
    } finally {
      running -= 1;
      next();
    }
  };
  return (work) =>
    new Promise((done, failed) => {
      waiting.push({ work, done, failed });
      next();
    });
}
