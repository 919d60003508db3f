// Pictures on their way: kept on this device until the server says that they have arrived, sent one by one, again after a break.
// Sending one twice does no harm: the server knows a picture by its content and by its ticket.

const LONGEST_PAUSE = 15; // seconds between two tries
const SLOWEST = 20_000; // bytes a second that a sending may fall to before it is begun again

/** 128 random bits as hex digits; crypto.randomUUID exists only on https. */
export const newTicket = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * `address(entry)` says where to send; `told` gets {sent, refused, state}: functions for what becomes of entries.
 * States: "idle", "sending", "offline", "closed" (no valid key), "terms" (they changed), "busy".
 */
export async function openQueue(name, address, told) {
  const store = await openStore(name);
  const waiting = await store.all();
  let state = "idle";
  let busy = false;
  let tries = 0;
  let timer = null;
  let wake = () => {};
  const kick = () => {
    clearTimeout(timer);
    wake();
    run();
  };
  window.addEventListener("online", kick);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && kick());

  return { add, kick, count: () => waiting.length, entries: () => [...waiting], lasting: store.lasting };

  /** Resolves when the entries are kept; a picture whose bytes cannot be read is refused. */
  async function add(entries) {
    for (const entry of entries) {
      try {
        // a copy: the file behind it may go away, as a camera's does
        const blob = new Blob([await entry.blob.arrayBuffer()], { type: entry.blob.type });
        const kept = { ...entry, blob, ticket: newTicket(), at: Date.now() };
        waiting.push(kept);
        await store.put(kept);
      } catch {
        told.refused(entry, "This device cannot read the picture any more.");
      }
    }
    told.state(state, waiting.length);
    run();
  }

  function set(now) {
    state = now;
    told.state(state, waiting.length);
  }

  async function run() {
    if (busy) return;
    busy = true;
    try {
      while (waiting.length) {
        const entry = waiting[0];
        set(tries ? state : "sending");
        const pause = await once(entry);
        if (pause === null) return; // until somebody agrees again
        if (pause > 0) {
          await new Promise((done) => {
            wake = done;
            timer = setTimeout(done, 1000 * pause);
          });
        }
      }
      set("idle");
    } finally {
      busy = false;
    }
  }

  /** One try. Returns the seconds to wait before the next one; null: not before `kick`. */
  async function once(entry) {
    let answer;
    const deadline = new AbortController();
    const clock = setTimeout(() => deadline.abort(), 30_000 + (1000 * entry.blob.size) / SLOWEST);
    try {
      const headers = { "Content-Type": "application/octet-stream" };
      answer = await fetch(address(entry), { method: "POST", body: entry.blob, headers, cache: "no-store", signal: deadline.signal });
      const body = await answer.json();
      if (answer.ok) {
        await done(entry);
        told.sent(entry, body);
        return 0;
      }
      return await judged(entry, answer, body.error || {});
    } catch {
      set("offline"); // not reached, or broken off in the middle
      return later();
    } finally {
      clearTimeout(clock);
    }
  }

  async function judged(entry, answer, error) {
    if (answer.status === 409 && error.detail?.terms) {
      set("terms");
      return null;
    }
    if (answer.status === 401 || answer.status === 403) {
      set("closed");
      return later();
    }
    if (answer.status === 408 || answer.status === 429 || answer.status >= 500) {
      set("busy");
      return Math.max(later(), Number(answer.headers.get("Retry-After") || 0));
    }
    await done(entry);
    told.refused(entry, error.message || "The server does not take it.");
    return 0;
  }

  function later() {
    tries += 1;
    return Math.min(LONGEST_PAUSE, 2 ** Math.min(tries - 1, 6));
  }

  async function done(entry) {
    tries = 0;
    waiting.splice(waiting.indexOf(entry), 1);
    await store.remove(entry.ticket);
  }
}

/** A store of entries on this device; where the browser has none (some private windows), nothing outlives the page. */
async function openStore(name) {
  const nothing = { lasting: false, all: async () => [], put: async () => {}, remove: async () => {} };
  let base;
  try {
    base = await new Promise((done, failed) => {
      const asked = indexedDB.open(`sightline-collect:${name}`, 1);
      asked.onupgradeneeded = () => asked.result.createObjectStore("waiting", { keyPath: "ticket" });
      asked.onsuccess = () => done(asked.result);
      asked.onerror = asked.onblocked = () => failed(asked.error);
    });
  } catch {
    return nothing;
  }
  const act = (mode, work) =>
    new Promise((done, failed) => {
      const change = base.transaction("waiting", mode);
      const asked = work(change.objectStore("waiting"));
      change.oncomplete = () => done(asked.result);
      change.onerror = change.onabort = () => failed(change.error);
    });
  const tried = async (work, otherwise) => {
    try {
      return await work();
    } catch {
      return otherwise; // full, or gone: the picture stays in the page's memory
    }
  };
  return {
    lasting: true,
    all: async () => (await tried(() => act("readonly", (kept) => kept.getAll()), [])).sort((a, b) => a.at - b.at),
    put: (entry) => tried(() => act("readwrite", (kept) => kept.put(entry))),
    remove: (ticket) => tried(() => act("readwrite", (kept) => kept.delete(ticket))),
  };
}
