/** Lets the page work offline: everything it is made of is kept at the first visit. The network goes first, so that a
 *  newer version is never hidden by an older one; what it does not give in time comes from the cache. */

const CACHE = 'pumice-notes';
const FILES = [
  './', 'app.js', 'dom.js', 'inspector.js', 'notes.js', 'snapshots.js', 'trials.js', 'workers.js', 'style.css', 'icon.svg',
  'manifest.webmanifest', 'pkg/index.js', 'pkg/worker.js', 'pkg/pumice_bg.wasm',
];

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    throw error;
  }
}
