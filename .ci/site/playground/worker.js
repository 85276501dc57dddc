// Draws in a thread of its own, so that the page never waits. Messages in: open, draw, cancel; out: see `post`.

import { ab2, combine, isGuided, plan, preview, randn, settled, taken, timeGrid, toBytes } from './diffusion.js';
import { bytes, engineHere, listed, tidy, unpacked } from './files.js';
import { Tokenizer } from './tokenizer.js';

const NETWORKS = ['text', 'composer', 'velocity', 'decoder'];  // a model without layouts has no composer
const EXACT = ['decoder'];  // by the processor always: onnxruntime 1.30 decodes otherwise on a graphics card
const parsed = data => JSON.parse(new TextDecoder().decode(data));
const breath = () => new Promise(done => setTimeout(done));  // messages come in between
let model = null, stopped = null;

function post(kind, more = {}, moved = []) {
  self.postMessage({ kind, ...more }, moved);
}

// The runtime of an engine, "wasm" or "webgpu", its code and its machine code from this site.
async function runtime(base, engine, files, heard) {
  const packed = Object.values(files).find(f => f.url.endsWith('.gz'));
  const [ort, code] = await Promise.all([
    import(new URL(`runtime/ort.${engine}.bundle.min.mjs`, base).href), bytes(packed, heard).then(unpacked),
  ]);
  Object.assign(ort.env.wasm, { wasmBinary: code, numThreads: 1, proxy: false });
  ort.env.logLevel = 'error';
  return ort;
}

async function opened(there, engine, base, heard) {
  const files = there.model, ort = runtime(base, engine, there.runtimes[engine], heard);
  const read = await Promise.all(Object.values(files).map(f => bytes(f, heard)));
  const data = Object.fromEntries(Object.keys(files).map((name, i) => [name, read[i]])), sessions = {}, lib = await ort;
  post('preparing');
  for (const name of NETWORKS.filter(n => `${n}.onnx` in data)) {
    const by = EXACT.includes(name) ? 'wasm' : engine, how = { executionProviders: [by], logSeverityLevel: 3 };
    sessions[name] = await lib.InferenceSession.create(data[`${name}.onnx`], how);
  }
  const parts = { tokenizer: new Tokenizer(parsed(data['tokenizer.json'])), sampling: parsed(data['sampling.json']) };
  return { ...parts, ort: lib, sessions, manifest: there.manifest, engine };
}

async function open(base, wanted) {
  const there = await listed(base);
  let engine = await engineHere(wanted), loaded = 0;
  const files = () => [...Object.values(there.model), ...Object.values(there.runtimes[engine])];
  const heard = n => post('loading', { loaded: loaded += n, total: files().reduce((sum, f) => sum + f.bytes, 0) });
  try {
    model = await opened(there, engine, base, heard);
  } catch (e) {
    if (engine === 'wasm') throw e;
    engine = 'wasm';  // what a graphics card can't do, the processor can
    model = await opened(there, engine, base, heard);
  }
  await tidy([...Object.values(there.model), ...Object.values(there.runtimes).flatMap(Object.values)]);
  post('open', { engine });
}

async function ask(name, inputs) {  // inputs: name -> [type, values, shape]
  const { ort, sessions } = model;
  const feeds = Object.entries(inputs).map(([k, [type, values, shape]]) => [k, new ort.Tensor(type, values, shape)]);
  const out = Object.values(await sessions[name].run(Object.fromEntries(feeds)))[0], data = await out.getData();
  out.dispose();
  return data;
}

const twice = values => {
  const both = new values.constructor(2 * values.length);
  both.set(values);
  both.set(values, values.length);
  return both;
};

// What a network is asked about: k of the two captions, from one of them on; the first is the empty one.
function question(x, shape, t, { states, mask, tokens }, k, from) {
  const { tokens: most, states: [full, width] } = model.manifest, n = tokens + full - most;  // slots come behind
  return {
    x: ['float32', x, [k, ...shape]], t: ['float32', new Float32Array(k).fill(t), [k]],
    ctx: ['float32', states.subarray(from * n * width, (from + k) * n * width), [k, n, width]],
    mask: ['bool', mask.subarray(from * tokens, (from + k) * tokens), [k, tokens]],
  };
}

// What stands where in the picture of a noise; null for a model that doesn't say.
async function compose(said, noise) {
  const { layout } = model.manifest;
  if (!layout) return null;
  const [n, width] = [layout.shape[0], layout.width], shape = [n, width], times = timeGrid(layout.steps, 1);
  const start = Float32Array.from({ length: n * width }, (_, i) => noise[i % noise.length]);
  const rows = Float32Array.from(start, (_, i) => i % width ? 0 : -1);  // none is there yet
  for (let r = 0; r < n && (!r || rows[(r - 1) * width] > 0); r++) {  // a row after the other; after an empty one, none
    const known = ['float32', twice(rows), [2, ...shape]];
    for (let k = 0, again = true; again && k < layout.tries; k++) {  // once more, while another stands there
      const turned = i => i - i % width + (i % width + k * (width - layout.turn)) % width, step = ab2();
      let x = Float32Array.from(start, (_, i) => start[turned(i)]);
      for (let i = 0; i < layout.steps; i++) {
        const v = await ask('composer', { ...question(twice(x), shape, times[i], said, 2, 0), known });
        const guided = combine(v.subarray(0, x.length), v.subarray(x.length), layout.guidance);
        x = step(x, guided, times[i], times[i + 1]);
      }
      rows.set(settled(x, layout).subarray(r * width, (r + 1) * width), r * width);
      again = taken(rows, r, layout);
    }
  }
  return { rows, shape };
}

// velocity(x, t, u): with guidance, both captions' in one call; beside the empty one no layout is told. A flow map's jump
// from t to u has its guidance in one row; the same network's velocity is a jump of no length and no guidance.
function field(said, guidance, layout, solver) {
  const { latents, map } = model.manifest, size = layout?.rows.length, both = new Float32Array(2 * (size ?? 0));
  both.set(layout?.rows ?? [], size ?? 0);
  const row = (value, k) => ['float32', new Float32Array(k).fill(value), [k]];
  const velocity = (x, t, k, from, end = t, w = 1) => ask('velocity', {
    ...question(x, latents, t, said, k, from),
    ...layout && { layout: ['float32', both.subarray(from * size, (from + k) * size), [k, ...layout.shape]] },
    ...map && { end: row(end, k), w: row(w, k) },
  });
  if (solver === 'flow_map') return (x, t, u) => velocity(x, t, 1, 1, u, guidance.scale);
  return async (x, t) => {
    if (!isGuided(guidance, t)) return velocity(x, t, 1, 1);
    const v = await velocity(twice(x), t, 2, 0);
    return combine(v.subarray(0, x.length), v.subarray(x.length), guidance.scale);
  };
}

// States and mask of captions, as long as the longest of them; whether words of the last were cut off.
async function encode(texts) {
  const all = texts.map(t => model.tokenizer.encode(t)), used = all.map(e => e.mask.lastIndexOf(1) + 1);
  const tokens = Math.max(...used), shape = [texts.length, tokens], flat = k => all.flatMap(e => e[k].slice(0, tokens));
  const ids = BigInt64Array.from(flat('ids'), BigInt), mask = Uint8Array.from(flat('mask'));
  const states = await ask('text', { ids: ['int64', ids, shape], mask: ['bool', mask, shape] });
  return { states, mask, tokens, cut: all.at(-1).cut };
}

async function draw({ id, prompt, negative, seed, steps, scale, solver }) {
  const began = performance.now(), { manifest: m, sampling } = model, [, h, w] = m.latents, [, H, W] = m.image;
  const guidance = { scale, interval: m.settings.guidance_interval, negative };
  const p = plan(sampling, m.shift, steps, guidance, solver, m.map, m.settings.solver);
  const said = await encode([negative, prompt]);
  let x = randn(m.latents.reduce((a, b) => a * b), seed);
  const velocity = field(said, guidance, await compose(said, x), p.solver);
  for (let i = 0; i < steps; i++) {
    const [t, u] = [p.times[i], p.times[i + 1]], v = await velocity(x, t, u);
    if (sampling.preview) {
      const guess = x.map((value, k) => value + (1 - t) * v[k]), pixels = preview(guess, sampling.preview, h * w);
      post('step', { id, step: i + 1, steps, pixels, width: w, height: h }, [pixels.buffer]);
    } else post('step', { id, step: i + 1, steps });
    x = p.step(x, v, t, u);
    await breath();
    if (stopped === id) return post('cancelled', { id });
  }
  const pixels = toBytes(await ask('decoder', { z: ['float32', x, [1, ...m.latents]] }), H * W);
  const settings = {
    ...m.settings, prompt, negative_prompt: negative, num_inference_steps: steps, guidance_scale: scale,
    solver: p.solver, sampler: m.solvers[p.solver], seed: BigInt(seed), batch: { index: 0, seeds: [BigInt(seed)] },
    made_by: `the playground, ${model.engine}`,
  };
  const seconds = (performance.now() - began) / 1000;
  post('done', { id, pixels, width: W, height: H, settings, cut: said.cut, seconds }, [pixels.buffer]);
}

let queue = Promise.resolve();  // one picture at a time

self.onmessage = ({ data }) => {
  if (data.kind === 'cancel') {
    stopped = data.id;
    return;
  }
  queue = queue.then(() => data.kind === 'open' ? open(data.base, data.engine) : draw(data))
    .catch(e => post('failed', { id: data.id, what: data.kind, why: e?.message ?? String(e) }));
};
