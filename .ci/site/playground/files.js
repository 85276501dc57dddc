// Files of the model and of its runtime: fetched once, compared with their hashes, kept in the browser's cache.

import { hex } from './png.js';

const KEPT = 'minisd-files';
const address = ({ url, sha256 }) => `${url}?${sha256.slice(0, 16)}`;

async function store() {  // null where a browser keeps nothing, as on a page that is not secure
  try {
    return await globalThis.caches?.open(KEPT) ?? null;
  } catch {
    return null;
  }
}

// What there is, with whole addresses: the model's manifest, and files as { url, bytes, sha256 }.
export async function listed(base) {
  const get = async path => {
    const r = await fetch(new URL(path, base));
    if (!r.ok) throw new Error(`${path}: ${r.status}`);
    return r.json();
  };
  const [manifest, runtimes] = await Promise.all([get('model/manifest.json'), get('runtime.json')]);
  const named = (files, folder) => Object.fromEntries(Object.entries(files).map(([name, f]) =>
    [name, { ...f, url: new URL(`${folder}/${name}`, base).href }]));
  return {
    manifest, model: named(manifest.files, 'model'),
    runtimes: Object.fromEntries(Object.entries(runtimes).map(([engine, files]) => [engine, named(files, 'runtime')])),
  };
}

// What shall compute, "wasm" or "webgpu": a graphics card where the browser offers a real one, or any that is wanted.
export async function engineHere(wanted = '') {
  const card = wanted !== 'wasm' && await navigator.gpu?.requestAdapter().catch(() => null);
  const real = card && !(card.info?.isFallbackAdapter ?? card.isFallbackAdapter);
  return real || card && wanted === 'webgpu' ? 'webgpu' : 'wasm';
}

// Which of some files are still to be fetched.
export async function missing(files) {
  const kept = await store();
  const there = await Promise.all(files.map(f => kept?.match(address(f))));
  return files.filter((f, i) => !there[i]);
}

async function fetched(file, heard) {
  const r = await fetch(address(file));
  if (!r.ok) throw new Error(`${file.url}: ${r.status}`);
  const parts = [], reader = r.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    heard(part.value.length);
  }
  const data = new Uint8Array(await new Blob(parts).arrayBuffer()), hash = await hex(data);
  if (hash && hash !== file.sha256) throw new Error(`${file.url} is not whole, or is not the file it should be`);
  return data;
}

// Bytes of a file; heard(n) is told of every n bytes that have come.
export async function bytes(file, heard = () => {}) {
  const kept = await store(), found = await kept?.match(address(file));
  if (found) return new Uint8Array(await found.arrayBuffer());
  const data = await fetched(file, heard);
  await kept?.put(address(file), new Response(data)).catch(() => {});  // a full disk is no reason not to draw
  return data;
}

// Leave nothing in the cache but these files: others are of an older site.
export async function tidy(files) {
  const kept = await store(), wanted = new Set(files.map(address));
  for (const r of await kept?.keys() ?? []) if (!wanted.has(r.url)) await kept.delete(r);
}

// A file that may be packed by gzip, unpacked; some servers unpack it on the way.
export async function unpacked(data) {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
