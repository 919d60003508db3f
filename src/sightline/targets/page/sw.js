// Keeps the whole page on the device and answers from there, with the rules of the page on every file. Nothing foreign is ever asked.
const VERSION = "@VERSION@";
const FILES = @FILES@;
const POLICY = "@POLICY@";
const NAME = `${registration.scope}|${VERSION}`;

addEventListener("install", (event) => event.waitUntil(keep().then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(forget().then(() => clients.claim())));
addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (url.protocol === "blob:" || url.protocol === "data:") return;
  event.respondWith(url.origin === location.origin && event.request.method === "GET" ? served(event.request, url) : Response.error());
});

async function keep() {
  const cache = await caches.open(NAME);
  await cache.addAll(FILES.map((file) => new Request(new URL(file, registration.scope), { cache: "reload" })));
}

async function forget() {
  const old = (await caches.keys()).filter((name) => name.startsWith(`${registration.scope}|`) && name !== NAME);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function served(request, url) {
  const place = new URL(url);
  place.search = place.hash = "";
  if (place.href === registration.scope) place.href = new URL("index.html", registration.scope).href;
  const cache = await caches.open(NAME);
  const found = await cache.match(place.href);
  if (!found) return fetch(request);
  const headers = new Headers(found.headers);
  for (const name of ["Content-Encoding", "Content-Length"]) headers.delete(name); // what is kept is unpacked
  headers.set("Content-Security-Policy", POLICY);
  headers.set("X-Content-Type-Options", "nosniff");
  if (/\.js$/.test(place.pathname)) headers.set("Content-Type", "text/javascript");
  if (/\.wasm$/.test(place.pathname)) headers.set("Content-Type", "application/wasm");
  return new Response(found.body, { status: 200, headers });
}
