// A lesson of a chapter: one prompt and one seed, drawn with settings that differ, by the machine of whoever reads.
// <div class="playground-lesson" data-prompt="…" data-solvers="euler,fitted" data-steps="2,4,8" data-guidance="3">

import { engineHere, listed, missing } from './files.js';
import { Vocabulary } from './words.js';

const BASE = new URL('./', import.meta.url).href;
const SOLVERS = { euler: 'Euler', ab2: 'Adams–Bashforth', fitted: 'fitted', flow_map: 'jumps' };
const megabytes = n => `${(n / 1e6).toFixed(n < 1e7 ? 1 : 0)} MB`;
const element = (tag, more = {}) => Object.assign(document.createElement(tag), more);

class Lesson {
  constructor(div, number) {
    const list = name => (div.dataset[name] ?? '').split(',');  // one, the model's own, where none is named
    const [solvers, steps, scales] = ['solvers', 'steps', 'guidance'].map(list);
    this.settings = solvers.flatMap(solver => steps.flatMap(n => scales.map(scale => ({ solver, steps: n, scale }))));
    this.columns = steps.length * scales.length;
    this.differs = { solver: solvers.length > 1, steps: steps.length > 1, scale: scales.length > 1 };
    [this.prompt, this.first, this.worker, this.busy] = [div.dataset.prompt, 1, null, false];
    this.build(div, `pg-lesson-${number}`);
  }

  build(div, id) {
    div.classList.add('pg');
    div.replaceChildren();
    this.form = element('form');
    this.field = element('input', { id, maxLength: 500, value: this.prompt, autocomplete: 'off', spellcheck: false });
    this.button = element('button', { type: 'submit', className: 'pg-strong', textContent: 'Draw' });
    this.told = element('p', { className: 'pg-says' });
    this.told.setAttribute('role', 'status');
    const row = element('div', { className: 'pg-row' }), label = element('label', { textContent: 'Prompt' });
    label.htmlFor = id;
    row.append(this.field, this.button);
    this.sheet = element('div', { className: 'pg-sheet' });
    this.sheet.style.setProperty('--pg-columns', this.columns);
    this.cells = this.settings.map(s => {
      const figure = element('figure'), canvas = element('canvas', { width: 1, height: 1 });
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', `No picture yet: ${this.name(s)}`);
      const caption = element('figcaption', { textContent: this.name(s) });
      figure.append(canvas, caption);
      this.sheet.append(figure);
      return { canvas, caption, settings: s };
    });
    this.form.append(label, row, this.told);
    div.append(this.form, this.sheet);
    this.form.addEventListener('submit', e => (e.preventDefault(), this.busy ? this.stop('Stopped.') : this.draw()));
  }

  name({ solver, steps, scale }) {
    const { differs } = this, named = differs.solver && (SOLVERS[solver] ?? solver);
    const counted = differs.steps && `${steps} step${steps === '1' ? '' : 's'}`;
    return [named, counted, differs.scale && `guidance ${scale}`].filter(Boolean).join(', ');
  }

  says(text) {
    this.told.textContent = text;
  }

  async begin() {
    if (typeof WebAssembly !== 'object' || typeof CompressionStream !== 'function') {
      [this.field.disabled, this.button.disabled] = [true, true];
      return this.says('This browser cannot draw here: it has no WebAssembly, or is too old.');
    }
    this.there = await listed(BASE);
    const { manifest, model, runtimes } = this.there, engine = await engineHere();
    const file = manifest.files['words.json'] && await fetch(new URL('model/words.json', BASE));
    this.words = file && new Vocabulary(await file.json());
    const absent = await missing([...Object.values(model), ...Object.values(runtimes[engine])]);
    const bytes = absent.reduce((sum, f) => sum + f.bytes, 0), fetches = `; it first fetches ${megabytes(bytes)}`;
    this.says(`${this.cells.length} pictures, drawn by your own machine${bytes ? fetches : ''}.`);
  }

  draw() {
    const prompt = this.field.value.trim();
    if (!prompt || !this.there) return this.says('Say in a few words what the pictures shall show.');
    const own = this.there.manifest.settings;
    [this.prompt, this.busy, this.done, this.began] = [prompt, true, 0, performance.now()];
    this.button.textContent = 'Stop';
    if (!this.worker) {
      this.worker = new Worker(new URL('worker.js', import.meta.url), { type: 'module' });
      this.worker.onmessage = ({ data }) => this[`on_${data.kind}`]?.(data);
      this.worker.onerror = e => this.stop(`That did not work: ${e.message || 'its worker did not start'}`);
      this.worker.postMessage({ kind: 'open', base: BASE, engine: '' });
    }
    this.first += this.cells.length;
    this.cells.forEach(({ settings: { solver, steps, scale } }, k) => this.worker.postMessage({
      kind: 'draw', id: this.first + k, prompt, negative: '', seed: '0', solver,
      steps: Number(steps || own.num_inference_steps), scale: Number(scale || own.guidance_scale),
    }));
    this.says('Getting ready …');
  }

  stop(text) {
    this.worker?.terminate();
    [this.worker, this.busy, this.button.textContent] = [null, false, 'Draw'];
    this.says(text);
  }

  paint({ id, pixels, width, height }) {
    const cell = this.cells[id - this.first];
    if (!cell || !pixels) return null;
    [cell.canvas.width, cell.canvas.height] = [width, height];
    cell.canvas.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
    return cell;
  }

  on_loading({ loaded, total }) {
    this.says(`Fetching the model: ${megabytes(loaded)} of ${megabytes(total)}`);
  }

  on_step(step) {
    this.paint(step);
    const k = step.id - this.first + 1;
    if (k > 0) this.says(`Picture ${k} of ${this.cells.length}, step ${step.step} of ${step.steps}`);
  }

  on_done(made) {
    const cell = this.paint(made);
    if (!cell) return;
    const used = { ...cell.settings, solver: made.settings.solver };
    cell.caption.textContent = this.name(used);
    cell.canvas.setAttribute('aria-label', `A picture: ${this.prompt}; ${this.name(used)}`);
    if (++this.done < this.cells.length) return;
    [this.busy, this.button.textContent] = [false, 'Draw'];
    const note = this.words?.note(this.prompt, this.there.manifest.model);
    const took = ((performance.now() - this.began) / 1000).toFixed(1);
    this.says([`${this.cells.length} pictures from the same noise in ${took} s.`, note].filter(Boolean).join(' '));
  }

  on_failed({ why }) {
    const away = 'There is no network, and the model is not kept here yet.';
    this.stop(navigator.onLine ? `That did not work: ${why}` : away);
  }
}

document.querySelectorAll('.playground-lesson').forEach((div, k) => {
  const made = new Lesson(div, k);
  made.begin().catch(e => made.says(`The pictures cannot be drawn here: ${e.message}`));
});
