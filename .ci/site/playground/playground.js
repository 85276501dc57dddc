// The playground as people see it: brings <div id="playground"> with the form of form.html to life, draws in worker.js.

import { engineHere, listed, missing } from './files.js';
import { png } from './png.js';
import { Vocabulary } from './words.js';

const BASE = new URL('./', import.meta.url).href;
const MOST = 2n ** 64n - 1n;  // seeds

const megabytes = n => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
const total = files => files.reduce((sum, f) => sum + f.bytes, 0);
const one = list => list[Math.floor(Math.random() * list.length)];
const anySeed = () => String(crypto.getRandomValues(new Uint32Array(1))[0]);

function drawsHere() {  // why this browser can't draw; nothing if it can
  if (typeof WebAssembly !== 'object') {
    return 'This browser has no WebAssembly, or it is switched off, so it cannot draw here.';
  }
  if (typeof CompressionStream !== 'function') {
    return 'This browser is too old to draw here: it cannot unpack the files.';
  }
  return '';
}

class Playground {
  constructor(div) {
    this.part = name => div.querySelector(`#pg-${name}`);
    this.asked = new URLSearchParams(location.search);
    [this.worker, this.open, this.busy, this.id, this.url] = [null, false, false, 0, null];
    this.form = div.querySelector('form');
    this.examples = div.querySelector('.pg-examples');
    this.dice = div.querySelector('.pg-dice');
  }

  says(text) {
    this.part('says').textContent = text;
  }

  progress(done, all) {
    const bar = this.part('progress');
    bar.classList.toggle('pg-rest', all === undefined);
    if (all) [bar.max, bar.value] = [all, done];
    else bar.removeAttribute('value');
  }

  async begin() {
    const why = drawsHere();
    for (const e of this.form.elements) e.disabled = Boolean(why);
    if (why) return this.says(why);
    this.listen();
    this.there = await listed(BASE);
    const { manifest } = this.there;
    this.words = manifest.files['words.json'] &&
      new Vocabulary(await (await fetch(new URL('model/words.json', BASE))).json());
    this.part('engine').querySelector('[value=webgpu]').hidden = !navigator.gpu;
    await this.fill(manifest);
    const rest = await this.wanting();
    if (rest) this.says(`The first picture fetches ${megabytes(rest)}, which this browser then keeps.`);
    else if (this.asked.has('prompt')) this.draw();  // a link to a picture, and all is here
    else (globalThis.requestIdleCallback ?? setTimeout)(() => this.start());
  }

  async fill({ settings: own, map }) {
    const sampling = await (await fetch(new URL('model/sampling.json', BASE))).json(), steps = this.part('steps');
    const asked = Number(this.asked.get('steps')), wanted = asked > 0 && asked <= 1000 && Number.isInteger(asked);
    const numbers = [own.num_inference_steps, ...Object.keys(sampling.weights ?? {}).map(Number), 30, 50];
    if (own.solver === 'flow_map') numbers.push(...[1, 2, 4, 8].filter(n => n <= map.steps));
    if (wanted) numbers.push(asked);
    for (const n of [...new Set(numbers)].sort((a, b) => a - b)) steps.add(new Option(n));
    steps.value = wanted ? asked : own.num_inference_steps;
    this.part('scale').value = Number(this.asked.get('guidance')) || own.guidance_scale;
    this.part('seed').value = /^\d{1,20}$/.test(this.asked.get('seed')) ? this.asked.get('seed') : anySeed();
    this.part('keep').checked = this.asked.has('seed');
    this.part('prompt').value = this.asked.get('prompt') ?? '';
    this.name();
    const all = [...this.words?.examples ?? []];
    for (let i = 0; i < 3 && all.length; i++) {
      const [text] = all.splice(Math.floor(Math.random() * all.length), 1), b = document.createElement('button');
      Object.assign(b, { type: 'button', textContent: text, title: text, onclick: () => this.take(text) });
      this.examples.append(b);
    }
    this.part('prompt').placeholder = this.words?.examples[0] ?? '';
    this.dice.hidden = !this.words?.examples.length;
  }

  // Bytes that the first picture still has to fetch.
  async wanting() {
    const { model, runtimes } = this.there, engine = await engineHere(this.part('engine').value);
    return total(await missing([...Object.values(model), ...Object.values(runtimes[engine])]));
  }

  listen() {
    this.form.addEventListener('submit', e => (e.preventDefault(), this.draw()));
    this.dice.onclick = () => {
      this.part('keep').checked = false;
      this.take(one(this.words.examples));
    };
    this.part('cancel').onclick = () => this.cancel();
    this.part('prompt').oninput = () => this.name();
    this.part('seed').oninput = () => this.part('keep').checked = true;
    this.part('link').onclick = () => this.copy();
    this.part('engine').onchange = () => this.stop();
    this.form.addEventListener('keydown', e => e.key === 'Escape' && this.cancel());
  }

  name() {  // what the model never saw
    const note = this.words?.note(this.part('prompt').value, this.there.manifest.model);
    this.part('note').textContent = note ?? '';
    this.part('note').hidden = !note;
  }

  take(text) {
    this.part('prompt').value = text;
    this.name();
    this.draw();
  }

  stop() {
    this.worker?.terminate();
    [this.worker, this.open] = [null, false];
    this.rest();
  }

  start() {
    if (this.worker) return;
    this.worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }) => this[`on_${data.kind}`]?.(data);
    this.worker.onerror = e => this.on_failed({ what: 'open', why: e.message || 'its worker did not start' });
    this.worker.postMessage({ kind: 'open', base: BASE, engine: this.part('engine').value });
    if ('serviceWorker' in navigator) navigator.serviceWorker.register(new URL('sw.js', BASE)).catch(() => {});
  }

  request() {  // null, with a word about it, for what can't be drawn
    const value = name => this.part(name).value.trim(), seed = value('seed'), scale = Number(value('scale'));
    if (!value('prompt')) return this.says('Say in a few words what the picture shall show.'), null;
    if (!/^\d+$/.test(seed) || BigInt(seed) > MOST) {
      return this.says(`A seed is a whole number from 0 to ${MOST}.`), null;
    }
    if (!(scale >= 1 && scale <= 100)) return this.says('Guidance is a number from 1, which means none, to 100.'), null;
    return { prompt: value('prompt'), negative: '', seed, steps: Number(value('steps')), scale };
  }

  draw() {
    if (!this.part('keep').checked && this.drawn) this.part('seed').value = anySeed();
    const request = this.request();
    if (!request || !this.there) return;
    if (this.busy) this.worker.postMessage({ kind: 'cancel', id: this.id });
    this.start();
    [this.busy, this.drawn, this.wish, this.began] = [true, true, request, performance.now()];
    this.turn('draw', 'cancel');
    this.part('after').hidden = true;
    this.worker.postMessage({ kind: 'draw', id: ++this.id, ...request });
    if (this.open) this.says('Reading the prompt …');
  }

  cancel() {
    if (!this.busy) return;
    if (!this.open) return this.stop(), this.says('Cancelled.');
    this.worker.postMessage({ kind: 'cancel', id: this.id });
  }

  turn(from, to) {  // one button in the place of another, with the focus
    const focused = document.activeElement === this.part(from);
    [this.part(from).hidden, this.part(to).hidden] = [true, false];
    if (focused) this.part(to).focus();
  }

  rest() {
    this.busy = false;
    this.turn('cancel', 'draw');
    this.progress();
  }

  paint({ pixels, width, height }, side) {
    const canvas = this.part('canvas'), small = new OffscreenCanvas(width, height), on = canvas.getContext('2d');
    small.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
    [canvas.width, canvas.height] = [side, side * height / width];
    on.imageSmoothingQuality = 'high';
    on.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  on_loading({ loaded, total }) {
    if (!this.busy) return;
    this.progress(loaded, total);
    this.says(`Fetching the model: ${megabytes(loaded)} of ${megabytes(total)}`);
  }

  on_preparing() {
    if (!this.busy) return;
    this.progress(0, 0);
    this.says('Getting ready …');
  }

  on_open({ engine }) {
    this.open = true;
    this.engine = engine;
    if (this.busy) this.says('Reading the prompt …');
    else this.says('Ready.');
  }

  on_step(step) {
    if (step.id !== this.id) return;
    if (step.pixels) this.paint(step, this.there.manifest.image[1]);
    this.part('canvas').setAttribute('aria-label', `A picture that is being made: ${this.wish.prompt}`);
    this.progress(step.step, step.steps);
    this.says(`Step ${step.step} of ${step.steps}`);
  }

  on_cancelled({ id }) {
    if (id !== this.id) return;
    this.rest();
    this.says('Cancelled.');
  }

  on_failed({ what, why, id }) {
    if (what === 'draw' && id !== this.id) return;
    const wished = this.busy;
    if (what === 'open') this.stop();
    else this.rest();
    const away = what === 'open' && !navigator.onLine;
    const told = away ? 'There is no network, and the model is not kept here yet.' : `That did not work: ${why}`;
    if (wished) this.says(told);
  }

  async on_done(made) {
    if (made.id !== this.id) return;
    const { prompt, seed, steps, scale } = this.wish, took = (performance.now() - this.began) / 1000;
    this.paint(made, made.width);
    this.part('canvas').setAttribute('aria-label', `A picture: ${prompt}`);
    this.part('caption').textContent = `${prompt} · seed ${seed}`;
    this.rest();
    const by = this.engine === 'webgpu' ? 'the graphics card' : 'the processor';
    const cut = made.cut ? '; the prompt is longer than the model reads, its end is not used' : '';
    this.says(`${took.toFixed(1)} s by ${by}${cut}`);
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(await png(made));
    const name = prompt.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60) || 'picture';
    Object.assign(this.part('save'), { href: this.url, download: `${name}-${seed}.png` });
    const link = new URL(BASE);
    link.search = new URLSearchParams({ prompt, seed, steps, guidance: scale });
    this.link = link.href;
    this.part('after').hidden = false;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.link);
      this.says('The link is copied: it makes this picture again.');
    } catch {
      this.says(this.link);
    }
  }
}

export function mount(div) {
  const made = new Playground(div);
  made.begin().catch(e => made.says(`The playground did not start: ${e.message}`));
  return made;
}

const place = document.getElementById('playground');
if (place) mount(place);
