// Keeps the page itself for when there is no network; the large files are kept by files.js.

const KEPT = 'minisd-page';
const large = url => /\.(onnx|gz)$/.test(url.pathname);

self.addEventListener('install', event => event.waitUntil((async () => {
  const page = await (await fetch('page.json')).json();
  await (await caches.open(KEPT)).addAll(['./', 'page.json', ...page]);
  await self.skipWaiting();
})()));

self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));

async function answered(request) {  // the network's word where there is one
  const kept = await caches.open(KEPT);
  try {
    const r = await fetch(request);
    if (r.ok) await kept.put(request, r.clone());
    return r;
  } catch (e) {
    const found = await kept.match(request, { ignoreSearch: true });
    if (found) return found;
    throw e;
  }
}

self.addEventListener('fetch', event => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== location.origin || large(url)) return;
  event.respondWith(answered(event.request));
});
