// The page of `minisd serve`: a form, a stage for what is being made, a gallery kept in this browser.
// The controls are made from GET /config: one for every field of a request, by its type, limits, choices and help; text from people and from the server is only ever written as text.
// Seeds have up to 64 bits, more than JavaScript's numbers hold: here they are text, and BigInt where they are compared.

const $ = id => document.getElementById(id);
const TEXTS = ['prompt', 'negative_prompt'];
const OWN = [...TEXTS, 'seed', 'width', 'height'];    // fields whose controls are in the page from the beginning
const FIRST = ['steps', 'cfg_scale', 'n', 'solver']; // of the others, those that don't fold away
const LOOKS = { cfg_scale: { label: 'Guidance', step: 0.5 }, n: { label: 'Pictures' } };
const IDEAS = 4;                                     // prompts that the empty stage offers
const KEPT = 200;                                    // pictures in the gallery
const SMALL = 200;                                   // pictures with fewer pixels across are shown pixel by pixel, others smoothly
const WORDS = { ok: 'ready', loading: 'loading the model', error: 'error', stopping: 'stopping', down: 'server down' };

let config = null;                                   // what GET /config said last
let state = 'unknown';                               // of the server: a key of WORDS
let controls = {};                                   // by field: {read, write, tidy}
let run = null;                                      // the request in progress: {ask, abort, id, at, stopping, before}
let entries = [];                                    // the gallery, newest first
let onStage = [];                                    // entries that the stage shows
let key = '';                                        // sent with every request, if the server wants one
try { key = sessionStorage.minisdKey ?? ''; } catch { /* storage is blocked: the key is typed anew each time */ }

const sleep = ms => new Promise(done => setTimeout(done, ms));
const chars = text => [...text].length;              // as Python counts them
const plural = (n, word) => `${n} ${word}${Number(n) === 1 ? '' : 's'}`;
const announce = text => { $('announce').textContent = ''; setTimeout(() => { $('announce').textContent = text; }, 60); };
const title = text => { document.title = text ? `${text} – minisd` : 'minisd'; };
const element = (tag, props) => Object.assign(document.createElement(tag), props);

const read = json => JSON.parse(json.replace(/"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, part => /^-?\d{16,}$/.test(part) ? `"${part}"` : part));      // whole numbers that would be rounded become text

// ---- the server's state ---------------------------------------------------------------------------------------------
let polls = 0;

async function poll() {                              // again in 10 s if all is well, in 3 s if not, not while nobody looks
  const mine = ++polls;
  if (document.hidden) return;
  let health;
  try {
    health = await (await fetch('health', { cache: 'no-store', signal: AbortSignal.timeout(8000) })).json();
    if (!(health.status in WORDS)) health = { status: 'error', detail: 'its answer cannot be read' };
  } catch { health = { status: 'down' }; }
  if (mine !== polls) return;
  await turned(health);
  if (mine === polls) setTimeout(() => mine === polls && poll(), state === 'ok' ? 10_000 : 3000);
}

async function turned({ status, detail }) {          // the server is in this state now
  const before = state;
  if (status === 'ok' && (before !== 'ok' || !config)) {
    try { await configure(); } catch { status = 'loading'; }
  }
  state = status;
  $('health').dataset.state = status;
  const words = WORDS[status] + (status !== 'ok' && detail ? `: ${detail}` : '');
  if ($('health_words').textContent !== words) $('health_words').textContent = words;
  if (status === 'ok' && trouble.kind === 'lost') trouble('back', 'The server answers. The picture that was lost can be asked for again.', { again: trouble.ask });
  if (status === before) return;
  if (status === 'ok' ? ['down', 'loading', 'error'].includes(trouble.kind) : trouble.kind === 'down') trouble();
  if (!run && !trouble.kind) {
    if (status === 'down') trouble('down', 'The server does not answer. This page looks for it every few seconds and goes on by itself.');
    if (status === 'error') trouble('error', `The server cannot draw: ${detail || 'it does not say why'}.`);
  }
}

async function configure() {                         // limits and choices into the form; defaults only the first time
  const r = await fetch('config', { cache: 'no-store' });
  if (!r.ok) throw new Error(r.status);
  const before = JSON.stringify(config?.limits), first = !config, { limits, defaults, sizes } = config = read(await r.text());
  if (JSON.stringify(limits) !== before) build();
  if (first) $('seed').value = defaults.seed;
  tidySeed();
  const trained = `${defaults.width}x${defaults.height}`;
  choices('size', sizes.map(s => [s, s.replace('x', ' × ')]), first && trained, ['untrained', s => s !== trained]);
  if (first && !$('negative_prompt').value) $('negative_prompt').value = defaults.negative_prompt;
  $('controls').disabled = false;
  $('model').textContent = `model ${config.model}`;
  $('model').title = `weights ${config.model_hash}`;
  lockSays(); gist(); TEXTS.forEach(left); offer(config.examples);
}

// ---- controls, made of what /config says of a field ------------------------------------------------------------------
const labelOf = name => LOOKS[name]?.label ?? name[0].toUpperCase() + name.slice(1).replaceAll('_', ' ');
const isNumber = limit => limit.type === 'int' || limit.type === 'float';

function build() {                                   // a control for every field, with what its last one held
  const held = Object.fromEntries(Object.entries(controls).map(([name, c]) => [name, c.read()]));
  controls = {};
  for (const at of ['dials', 'choices', 'rest']) $(at).replaceChildren();
  for (const [name, limit] of Object.entries(config.limits)) {
    if (OWN.includes(name)) continue;
    const value = config.defaults[name], ranged = isNumber(limit) && 'max' in limit && value !== null;
    const [at, c] = limit.choices ? ['choices', select(name, limit)] : ranged ? ['dials', dial(name, limit)] : ['rest', plain(name, limit)];
    $(FIRST.includes(name) ? at : 'rest').append(c.shown);
    c.shown.title = limit.help;
    controls[name] = c;
    c.write(held[name] ?? value);
  }
  $('more').hidden = !$('rest').childElementCount;
}

function dial(name, limit) {                         // a number to slide or to type
  const step = LOOKS[name]?.step ?? (limit.type === 'int' ? 1 : (limit.max - limit.min)/20), { min, max } = limit;
  const shown = element('div', { className: 'dial' }), box = element('input', { id: name, type: 'number', inputMode: limit.type === 'int' ? 'numeric' : 'decimal' });
  const slider = element('input', { id: `${name}_slider`, type: 'range', ariaLabel: `${labelOf(name)}, slider` });
  for (const input of [box, slider]) Object.assign(input, { min, max, step });
  shown.append(element('label', { htmlFor: name, textContent: labelOf(name) }), slider, ' ', box);
  const tidy = () => {                               // within its limits; slider and box alike
    const typed = box.value, wanted = typed.trim() === '' || !Number.isFinite(Number(typed)) ? config.defaults[name] : Number(typed);
    const v = Math.min(Math.max(wanted, min), max);
    slider.value = box.value = limit.type === 'int' ? Math.round(v) : v;
    if (Number(typed) !== Number(box.value)) announce(`${labelOf(name)} goes from ${min} to ${max}: now ${box.value}`);
  };
  slider.addEventListener('input', () => { box.value = slider.value; gist(); });
  box.addEventListener('change', () => { tidy(); gist(); });
  return { shown, tidy, read: () => Number(box.value), write: v => { slider.value = box.value = v; } };
}

function select(name, { choices: names, labels = {} }) {       // a choice, or the model's own
  const shown = element('div', { className: 'field' }), box = element('select', { id: name });
  shown.append(element('label', { htmlFor: name, textContent: labelOf(name) }), box);
  const pairs = [['', 'model’s choice'], ...names.map(k => [k, labels[k] ?? k])];
  box.append(...pairs.map(([value, textContent]) => element('option', { value, textContent })));
  const write = v => { const there = pairs.some(([k]) => k === (v ?? '')); if (there) box.value = v ?? ''; return there; };
  return { shown, read: () => box.value || undefined, write };
}

function plain(name, limit) {                        // yes or no; or a field that may stay empty
  const shown = element('div', { className: 'plain' }), yes = limit.type === 'bool';
  const box = element('input', { id: name, type: yes ? 'checkbox' : 'text', autocomplete: 'off', placeholder: yes ? '' : 'model’s choice' });
  shown.append(element('label', { htmlFor: name, textContent: labelOf(name) }), box);
  if (yes) return { shown, read: () => box.checked || undefined, write: v => { box.checked = v ?? false; } };
  const parts = () => box.value.trim().split(/[\s,]+/).map(v => Number.isNaN(Number(v)) ? v : Number(v));
  const value = () => limit.type === 'tuple' ? parts() : isNumber(limit) ? parts()[0] : box.value;
  return { shown, read: () => box.value.trim() ? value() : undefined, write: v => { box.value = Array.isArray(v) ? v.join(', ') : v ?? ''; } };
}

function choices(id, pairs, value, [label, apart] = ['', () => false]) {       // fill a select, some under a heading; keep what is chosen if it is still there
  const chosen = value === false ? $(id).value : value, group = element('optgroup', { label });
  $(id).replaceChildren();
  for (const [value, textContent] of pairs) (apart(value) ? group : $(id)).append(element('option', { value, textContent }));
  if (group.childElementCount) $(id).append(group);
  if (pairs.some(([v]) => v === chosen)) $(id).value = chosen;
}

// ---- what went wrong, in one place ----------------------------------------------------------------------------------
function trouble(kind = '', text = '', { again, wait = 0, key = false } = {}) {
  Object.assign(trouble, { kind, ask: again });
  clearInterval(trouble.clock);
  $('trouble').hidden = !kind;
  $('key_form').hidden = !key;
  $('again').hidden = !again || key || wait === Infinity;
  $('trouble_text').textContent = text;
  if (!kind) return;
  const until = Date.now() + wait*1000;
  const tick = () => {                               // the countdown is in the button, which screen readers read when asked
    const s = Math.ceil((until - Date.now())/1000);
    $('again').disabled = s > 0;
    $('again').textContent = s > 0 ? `Try again in ${s} s` : 'Try again';
    if (s <= 0) clearInterval(trouble.clock);
  };
  trouble.clock = setInterval(tick, 250);
  tick();
  if (key) $('key').focus();
  $('trouble').scrollIntoView({ block: 'nearest' });
}

async function refused(r, ask) {                     // an answer that is no stream
  const said = await r.json().catch(() => ({}));
  const detail = typeof said.detail === 'string' ? said.detail : `the server answered ${r.status} ${r.statusText}`;
  const wait = Number(r.headers.get('Retry-After')) || 0;
  if (r.status === 401) trouble('key', key ? 'The server does not accept this key.' : 'This server wants a key.', { key: true, again: ask });
  else if (r.status === 429) trouble('full', detail, { again: ask, wait });
  else if (r.status === 503) trouble('loading', detail, { again: ask, wait }), poll();
  else if (r.status >= 500) trouble('failed', `${detail} (request ${said.id ?? 'without a number'})`, { again: ask });
  else trouble('input', detail);
}

// ---- the form -------------------------------------------------------------------------------------------------------
const tidy = () => { tidySeed(); for (const c of Object.values(controls)) c.tidy?.(); };

function tidySeed() {                                // digits within the limits
  const box = $('seed'), typed = box.value.trim(), [min, max] = ['min', 'max'].map(k => BigInt(config.limits.seed[k]));
  const v = /^[+-]?\d+$/.test(typed) ? BigInt(typed.replace('+', '')) : BigInt(config.defaults.seed);
  box.value = String(v < min ? min : v > max ? max : v);
  if (typed !== box.value) announce(`Seed goes from ${min} to ${max}: now ${box.value}`);
}

const roll = () => { $('seed').value = String(crypto.getRandomValues(new Uint32Array(1))[0]); };      // short enough to be read out

const lockSays = () => { $('lock_says').textContent = $('lock').checked ? 'kept until it is unlocked' : 'a new one every time'; };
const setLock = on => { $('lock').checked = on; lockSays(); };
const gist = () => { $('gist').textContent = `${plural($('steps').value, 'step')}, guidance ${$('cfg_scale').value}, ${plural($('n').value, 'picture')}`; };

function left(name) {                                // how many characters still fit, once that is of interest
  const max = config?.limits[name].max_length, over = chars($(name).value) - max;
  const near = max && -over < max/5;
  $(`${name}_left`).textContent = !near ? '' : over > 0 ? `${over} too many` : `${-over} left`;
  $(`${name}_left`).classList.toggle('over', over > 0);
  if (over <= 0) $(name).removeAttribute('aria-invalid');
}

function offer(prompts) {                            // what the model can draw, to begin with
  for (const dice of document.querySelectorAll('.idea')) dice.hidden = !prompts.length;
  $('examples').replaceChildren(...prompts.slice(0, IDEAS).map(textContent => element('button', { type: 'button', textContent })));
}

function suggest(prompt) {                           // into the field, and no more
  $('prompt').value = prompt;
  $('prompt').dispatchEvent(new Event('input'));
}

function idea() {                                    // one of the model's prompts, by chance, other than what stands there
  const others = config.examples.filter(e => e !== $('prompt').value), [dice] = crypto.getRandomValues(new Uint32Array(1));
  if (!others.length) return;
  suggest(others[dice % others.length]);
  announce(`Prompt: ${$('prompt').value}`);
}

function unfit() {                                   // the field whose text cannot be sent, and why
  const { prompt } = config.limits;
  if (chars($('prompt').value.trim()) < prompt.min_length) return ['prompt', 'The prompt is empty: say in a few words what the picture should show.'];
  const long = TEXTS.find(name => chars($(name).value) > config.limits[name].max_length);
  return long && [long, `The ${$(long).labels[0].textContent.toLowerCase()} has ${chars($(long).value)} characters: at most ${config.limits[long].max_length} fit.`];
}

function settings() {                                // the form as the body of a request
  if (!$('lock').checked) roll();
  tidy();
  const [width, height] = $('size').value.split('x').map(Number);
  const ask = { width, height, ...Object.fromEntries(TEXTS.map(name => [name, $(name).value.trim()])) };
  for (const [name, c] of Object.entries(controls)) ask[name] = c.read();      // undefined: left to the model
  ask.seed = $('seed').value;                        // as text: the server reads it to the last digit
  return ask;
}

function restore(entry) {                            // the form that makes this picture again
  if (!config) return announce('The server is not ready: the settings cannot be restored yet.');
  for (const name of [...TEXTS, 'seed']) $(name).value = entry[name];
  const size = `${entry.width}x${entry.height}`, gone = [], asked = { ...entry.ask, solver: entry.asked, n: config.limits.n.min };
  for (const [name, c] of Object.entries(controls)) {
    const value = name in asked ? asked[name] : name in (entry.ask ?? {}) ? undefined : entry[name] ?? config.defaults[name];
    if (c.write(value) === false) gone.push(`${name} ${value}`);
  }
  if ([...$('size').options].some(o => o.value === size)) $('size').value = size; else gone.push(`size ${size}`);
  tidy(); setLock(true); gist(); TEXTS.forEach(left);
  $('prompt').removeAttribute('aria-invalid');
  $('form').scrollIntoView({ block: 'nearest' });
  $('prompt').focus();
  announce(`Settings restored: seed ${entry.seed}, locked.${gone.length ? ` This server does not offer ${gone.join(' and ')}.` : ''}`);
}

// ---- making pictures ------------------------------------------------------------------------------------------------
async function* events(body) {                       // server-sent events: {event, data}
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let rest = '', event = 'message', data = []; ;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);     // a \r at the end may have its \n in the next chunk
      rest = lines.pop();
      for (const line of lines) {
        const [, field, text] = /^([^:]*):? ?(.*)$/.exec(line);
        if (field === 'event') event = text;
        else if (field === 'data') data.push(text);
        else if (line === '') {                      // an empty line ends an event; one that begins with : is a comment
          if (data.length) yield { event, data: read(data.join('\n')) };
          [event, data] = ['message', []];
        }
      }
    }
  } finally { reader.cancel().catch(() => {}); }
}

async function generate(ask) {
  if (run) return;
  const ready = () => config && state !== 'down';
  if (!ready()) await poll();                        // perhaps it is by now
  if (run) return;                                   // asked for twice meanwhile
  if (!ready()) return trouble(ask ? 'lost' : 'down', `The server is not ready: ${WORDS[state] ?? 'no answer yet'}. This page looks for it every few seconds.`, { again: ask, wait: Infinity });
  const bad = ask ? null : unfit();
  if (bad) { $(bad[0]).setAttribute('aria-invalid', true); $(bad[0]).focus(); return trouble('input', bad[1]); }
  ask ??= settings();
  trouble();
  const mine = run = { ask, abort: new AbortController(), id: null, at: '', stopping: false, before: onStage };
  began();
  try {
    const r = await fetch('generate/stream', { method: 'POST', headers: headers(), body: JSON.stringify(ask), signal: mine.abort.signal });
    if (!r.ok) { ended(''); await refused(r, ask); return; }
    for await (const { event, data } of events(r.body)) {
      mine.id = data.id ?? mine.id;
      if (event === 'queued') queued(data);
      else if (event === 'step') stepped(data);
      else if (event === 'done') return await finished(data);
      else if (event === 'error') return broke(data, ask);
    }
    throw new Error('the stream ended early');
  } catch (error) {
    const { stopping, at } = mine;
    if (stopping) return ended(`Stopped${at && ` at ${at}`}.`);
    ended('');
    trouble('lost', `The connection was lost${at ? ` at ${at}` : ' before the first step'}. As soon as the server answers, the picture can be asked for again.`, { again: ask, wait: Infinity });
    console.info(error);
    poll();
  }
}

const headers = () => ({ 'Content-Type': 'application/json', ...(key ? { Authorization: `Bearer ${key}` } : {}) });

function useKey(typed, ask) {
  if (!/^[\x21-\x7e]*$/.test(typed)) return trouble('key', 'A key has no blanks and only plain letters, digits and signs: this one has others.', { key: true, again: ask });
  key = typed;
  try { sessionStorage.minisdKey = key; } catch { /* kept in this page alone */ }
  $('generate').focus({ preventScroll: true });
  generate(ask);
}

function began() {
  $('generate').setAttribute('aria-disabled', true);
  $('caption').hidden = true; $('running').hidden = false; $('notes').hidden = true; $('empty').hidden = true;
  $('progress').removeAttribute('value');
  $('step').textContent = 'sending'; title('…');
  onStage = [];
  tiles(run.ask, Array.from({ length: run.ask.n }, () => element('div', { className: 'waiting' })));
  announce('Generating.');
  const box = $('stage').getBoundingClientRect();
  if (box.top > innerHeight*0.5 || box.top < 0) $('stage').scrollIntoView({ block: 'start' });
}

function queued({ place }) {
  $('step').textContent = place ? `${place} ahead` : 'next in line';
  if (place) announce(`In the queue, ${plural(place, 'request')} ahead.`), title('queued');
}

function stepped({ step, steps, previews }) {
  run.at = `step ${step} of ${steps}`;
  Object.assign($('progress'), { max: steps, value: step });
  if (!run.stopping) $('step').textContent = run.at;
  title(`${step}/${steps}`);
  previews?.forEach((src, i) => {                    // small pictures, enlarged smoothly
    const tile = $('tiles').children[i];
    if (!tile) return;
    tile.classList.remove('waiting');
    if (!tile.firstChild) tile.append(element('img', { alt: 'preview', className: 'preview' }));
    tile.firstChild.src = src;
  });
}

async function finished(data) {
  const { prompt, negative_prompt, steps, cfg_scale, solver, width, height } = data, images = data.images ?? [data.image];
  const made = images.map((image, i) => ({ prompt, negative_prompt, steps, cfg_scale, solver, width, height, ask: run.ask, asked: run.ask.solver ?? '', seed: String(data.seeds[i]), model: config.model, made: Date.now(), blob: blob(image) }));
  const dropped = await keep(made);
  const notes = [...data.warnings ?? [], ...dropped ? [`The gallery keeps ${KEPT} pictures: the oldest ${dropped} had to go.`] : []];
  ended(null);
  stage(made, data.generation_time_s);
  $('notes').replaceChildren(...notes.map(textContent => element('li', { textContent })));
  $('notes').hidden = !notes.length;
  announce([`Done: ${plural(made.length, 'picture')}.`, ...notes].join(' '));
}

function broke({ code, detail, id }, ask) {          // an `error` event
  if (code === 'cancelled') return ended(`Stopped${run.at && ` at ${run.at}`}.`);
  const at = run.at;
  ended('');
  trouble(code, `${detail}${at && ` (${at})`}${code === 'failed' ? `, request ${id}` : ''}`, { again: code === 'invalid' ? undefined : ask });
  poll();
}

function ended(said) {                               // said: for the caption, '' after a failure; null: the stage is about to be filled
  const hadFocus = document.activeElement === $('stop'), before = run?.before.filter(e => entries.includes(e)) ?? [];
  run = null; title('');
  $('generate').removeAttribute('aria-disabled');
  $('running').hidden = true; $('caption').hidden = false;
  if (hadFocus) $('generate').focus({ preventScroll: true });
  if (said === null) return;
  if (said && $('tiles').querySelector('.preview')) for (const tile of $('tiles').children) tile.classList.remove('waiting');
  else stage(before.length ? before : entries.slice(0, 1));      // nothing to be seen of it: what was there before
  if (said) { $('caption').textContent = said; announce(said); }
}

async function stop() {
  if (!run || run.stopping) return;
  const { abort, id } = run, mine = run;
  run.stopping = true;
  $('step').textContent = 'stopping';
  if (id) await fetch(`cancel/${encodeURIComponent(id)}`, { method: 'POST', headers: headers(), signal: AbortSignal.timeout(2000) }).then(r => r.ok && sleep(3000), () => {});
  if (run === mine) abort.abort();                   // closing the stream cancels too
}

// ---- the stage ------------------------------------------------------------------------------------------------------
const sharp = entry => entry.width < SMALL ? 'sharp' : '';

function fit(at, { width, height }) {                // for the style sheet: small pictures at whole multiples of their pixels
  const unit = width < SMALL ? width/Math.max(1, Math.round(devicePixelRatio)) : 1;
  for (const [name, value] of [['--w', width], ['--h', height], ['--unit', `${unit}px`]]) at.style.setProperty(name, value);
}

function tiles(size, parts) {                        // in as many columns as make them largest
  fit($('tiles'), size);
  const rows = cols => Math.ceil(parts.length/cols) || 1;
  const wide = cols => Math.min($('tiles').clientWidth/cols, innerHeight*0.66/rows(cols)*size.width/size.height);
  const cols = parts.reduce((best, _, i) => wide(i + 1) > wide(best) ? i + 1 : best, 1);
  for (const [name, value] of [['--cols', cols], ['--rows', rows(cols)]]) $('tiles').style.setProperty(name, value);
  $('tiles').replaceChildren(...parts);
}

function stage(shown, seconds) {                     // finished pictures, or the examples if there are none
  onStage = shown;
  $('empty').hidden = shown.length > 0;
  $('notes').hidden = true;
  $('caption').replaceChildren();
  if (!shown.length) return tiles({ width: 1, height: 1 }, []);
  const [{ prompt }] = shown, seeds = shown.map(e => e.seed);
  tiles(shown[0], shown.map(entry => {
    const button = element('button', { type: 'button', title: 'Full view', onclick: () => view(entry) });
    button.append(element('img', { src: url(entry), alt: `${prompt}, seed ${entry.seed}: full view`, className: sharp(entry) }));
    return button;
  }));
  const first = described(shown[0], seeds.length > 1 ? `seeds ${seeds[0]} to ${seeds.at(-1)}` : undefined);
  $('caption').append(element('b', { textContent: prompt }), `${first}${seconds ? `\u00a0· ${seconds.toFixed(2)} s` : ''}`);
}

const described = (e, seed = `seed ${e.seed}`) => [seed, plural(e.steps, 'step'), `guidance ${e.cfg_scale}`, e.solver, `${e.width} × ${e.height}`].filter(Boolean).join('\u00a0· ');

// ---- the gallery, kept in IndexedDB ---------------------------------------------------------------------------------
const urls = new WeakMap();
const url = e => { if (!urls.has(e)) urls.set(e, URL.createObjectURL(e.blob)); return urls.get(e); };
const fileName = e => `${e.prompt.toLowerCase().normalize('NFC').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 48).replace(/-+$/, '') || 'picture'}-${e.seed}.png`;

function blob(dataURI) {                             // the bytes as they are: the settings are in the file
  const bytes = Uint8Array.from(atob(dataURI.slice(dataURI.indexOf(',') + 1)), c => c.charCodeAt(0));
  return new Blob([bytes], { type: 'image/png' });
}

const wanted = (request, field) => new Promise((yes, no) => { request[field] = () => yes(request.result); request.onerror = request.onabort = () => no(request.error); });
let store = null;

async function openStore() {
  const request = indexedDB.open('minisd', 1);
  request.onupgradeneeded = () => request.result.createObjectStore('pictures', { keyPath: 'key', autoIncrement: true });
  store = await wanted(request, 'onsuccess');
  store.onversionchange = () => store.close();
}

async function pictures(use) {                       // a transaction on the pictures; whether it was done
  if (!store) return false;
  try {
    const change = store.transaction('pictures', 'readwrite');
    use(change.objectStore('pictures'));
    await wanted(change, 'oncomplete');
    return true;
  } catch (error) { console.info(error); return false; }
}

async function keep(made) {                          // into the gallery; how many old ones were dropped for them
  const keys = new Map();
  const kept = await pictures(s => { for (const entry of made.toReversed()) s.add({ ...entry }).onsuccess = e => keys.set(entry, e.target.result); });
  if (kept) for (const entry of made) entry.key = keys.get(entry);
  entries.unshift(...made);
  $('cards').prepend(...made.map(card));
  const old = entries.slice(KEPT);
  for (const entry of old) await remove(entry);
  gallerySays();
  return old.length;
}

async function remove(entry) {                       // whether it is gone
  if (entry.key !== undefined && !await pictures(s => s.delete(entry.key))) return false;
  entries = entries.filter(e => e !== entry);
  cards.get(entry)?.remove();
  URL.revokeObjectURL(url(entry));
  gallerySays();
  return true;
}

function gallerySays() {
  $('gallery').hidden = !entries.length;
  const loose = entries.filter(e => e.key === undefined).length;
  const where = !loose ? 'in this browser' : !store ? 'only until this page is closed: this browser keeps nothing' : `${loose} of them only until this page is closed: this browser has no room for more`;
  $('gallery_says').textContent = `${plural(entries.length, 'picture')}${entries.length >= KEPT ? ', the most it keeps' : ''}, ${where}`;
}

const cards = new WeakMap();

function card(entry) {
  const li = $('card').content.firstElementChild.cloneNode(true), [show, use, save, bin] = ['.view', '.use', '.save', '.delete'].map(s => li.querySelector(s));
  const name = `${entry.prompt}, seed ${entry.seed}`;
  Object.assign(li.querySelector('img'), { src: url(entry), alt: `${name}: full view`, className: sharp(entry) });
  Object.assign(li.querySelector('p'), { textContent: entry.prompt, title: `${entry.prompt}\n${described(entry)}` });
  Object.assign(save, { href: url(entry), download: fileName(entry) });
  for (const [part, does] of [[use, 'Restore settings'], [save, 'Save'], [bin, 'Delete']]) { part.setAttribute('aria-label', `${does}: ${name}`); part.title = does; }
  show.onclick = () => view(entry);
  use.onclick = () => restore(entry);
  bin.onclick = async () => {
    const near = (li.nextElementSibling ?? li.previousElementSibling)?.querySelector('.delete');
    if (!await remove(entry)) return announce('It could not be deleted: this browser does not let its store be changed.');
    if (onStage.includes(entry)) stage(onStage.length > 1 ? onStage.filter(e => e !== entry) : entries.slice(0, 1));
    (near ?? $('prompt')).focus();
    announce(`Deleted: ${name}.`);
  };
  cards.set(entry, li);
  return li;
}

async function clearAll() {
  if (store && !await pictures(s => s.clear())) return announce('They could not be deleted: this browser does not let its store be changed.');
  const gone = entries;
  entries = [];
  $('cards').replaceChildren();
  for (const entry of gone) URL.revokeObjectURL(url(entry));
  if (!run) stage([]);
  gallerySays();
  $('prompt').focus();
  announce('The gallery is empty.');
}

// ---- the full view --------------------------------------------------------------------------------------------------
let viewed = null;

function view(entry) {
  viewed = entry;
  const i = entries.indexOf(entry);
  fit($('view_image'), entry);
  Object.assign($('view_image'), { src: url(entry), alt: entry.prompt, className: sharp(entry) });
  $('view_prompt').textContent = entry.prompt;
  $('view_negative').textContent = entry.negative_prompt && `without: ${entry.negative_prompt}`;
  $('view_settings').textContent = `${described(entry)}\u00a0· ${entry.model}\u00a0· ${new Date(entry.made).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })}`;
  $('view_place').textContent = `${i + 1} of ${entries.length}`;
  Object.assign($('view_save'), { href: url(entry), download: fileName(entry) });
  $('newer').setAttribute('aria-disabled', i <= 0);
  $('older').setAttribute('aria-disabled', i + 1 >= entries.length);
  if (!$('viewer').open) { $('viewer').showModal(); $('older').focus(); }
}

function turn(by) {
  const next = entries[entries.indexOf(viewed) + by];
  if (next) view(next);
}

// ---- wiring ---------------------------------------------------------------------------------------------------------
$('form').addEventListener('submit', e => { e.preventDefault(); generate(); });
$('stop').addEventListener('click', stop);
$('again').addEventListener('click', () => { const { ask } = trouble; $('generate').focus({ preventScroll: true }); generate(ask); });
$('key_form').addEventListener('submit', e => { e.preventDefault(); useKey($('key').value.trim(), trouble.ask); });

$('seed').addEventListener('change', tidySeed);
for (const name of TEXTS) $(name).addEventListener('input', () => { left(name); if (trouble.kind === 'input') trouble(); $(name).removeAttribute('aria-invalid'); });
$('seed').addEventListener('input', () => setLock(true));
$('lock').addEventListener('change', lockSays);
$('dice').addEventListener('click', () => { roll(); setLock(true); announce(`Seed ${$('seed').value}, locked.`); });
for (const dice of document.querySelectorAll('.idea')) dice.addEventListener('click', idea);
$('examples').addEventListener('click', e => { if (e.target.matches('button')) { suggest(e.target.textContent); $('prompt').focus(); } });

$('clear').addEventListener('click', () => {
  $('confirm_text').textContent = `${plural(entries.length, 'picture')} and the settings with them will be deleted from this browser. This cannot be undone.`;
  $('confirm').showModal();
});
$('confirm_no').addEventListener('click', () => $('confirm').close());
$('confirm_yes').addEventListener('click', () => { $('confirm').close(); clearAll(); });

$('newer').addEventListener('click', () => turn(-1));
$('older').addEventListener('click', () => turn(1));
$('view_close').addEventListener('click', () => $('viewer').close());
$('view_use').addEventListener('click', () => { $('viewer').close(); restore(viewed); });
$('viewer').addEventListener('keydown', e => { if (e.key === 'ArrowLeft') turn(-1); if (e.key === 'ArrowRight') turn(1); });

document.addEventListener('keydown', e => {
  if (e.isComposing || document.querySelector('dialog[open]')) return;
  if (e.key === 'Escape') stop();
  if (e.key === 'Enter' && (e.ctrlKey || e.metaKey || (e.target === $('prompt') && !e.shiftKey))) { e.preventDefault(); generate(); }
});
document.addEventListener('visibilitychange', poll);

// ---- begin ----------------------------------------------------------------------------------------------------------
$('settings').open = matchMedia('(min-width: 52rem)').matches;
try {
  await openStore();
  entries = (await wanted(store.transaction('pictures').objectStore('pictures').getAll(), 'onsuccess')).reverse();
} catch (error) { console.info(error); store = null; }
$('cards').append(...entries.map(card));
gallerySays();
stage(entries.slice(0, 1));
poll();
