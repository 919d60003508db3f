// The model as the page sees it: loaded once, asked through a worker, one picture at a time, in turn.

/** Loads everything; `told` hears what is going on. Returns {facts, answer(blob), frame(bitmap)}. */
export async function openModel(told) {
  await kept(told);
  const facts = await (await own("facts.json")).json();
  told(`Loading ${facts.name} (${(facts.bytes / 1e6).toFixed(1)} MB)…`);
  const worker = new Worker("engine.js", { type: "module" });
  const waiting = new Map();
  let count = 0;
  worker.onmessage = ({ data }) => {
    const { resolve, reject } = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.error) reject(new Error(data.error));
    else resolve(data.result);
  };
  worker.onerror = (event) => {
    const error = new Error(event.message || "the browser could not start the part that computes");
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  const ask = (job, content, moved = []) =>
    new Promise((resolve, reject) => {
      waiting.set(++count, { resolve, reject });
      worker.postMessage({ id: count, job, ...content }, moved);
    });
  const model = new Uint8Array(await (await own("model.onnx")).arrayBuffer());
  await ask("open", { facts, model }, [model.buffer]);
  return {
    facts,
    answer: (blob) => ask("answer", { blob }),
    frame: (frame) => ask("answer", { frame }, [frame]),
  };
}

async function own(name) {
  const reply = await fetch(name);
  if (!reply.ok) throw new Error(`${name} could not be loaded (${reply.status})`);
  return reply;
}

/** Keep the page for use without network. Everything after this comes from what is kept, the worker's rules included. */
async function kept(told) {
  if (!("serviceWorker" in navigator)) return; // not on https and not on this machine: the page works, while there is a network
  try {
    const registration = await navigator.serviceWorker.register("sw.js", { updateViaCache: "none" });
    const worker = registration.installing || registration.waiting;
    if (navigator.serviceWorker.controller || !worker) return;
    told("Keeping the page on this device…");
    await new Promise((resolve) => {
      const look = () => (worker.state === "activated" || worker.state === "redundant") && resolve();
      worker.addEventListener("statechange", look);
      look();
    });
  } catch {
    // private windows may refuse: the page works all the same
  }
}
