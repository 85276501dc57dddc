// Noise, times and steps as `minisd` has them: the same seed and the same settings give the same picture.

const { fround, sqrt, PI } = Math;

// The Mersenne Twister, MT19937, of a seed's lower 32 bits: torch's generator on a CPU.
export class Twister {
  constructor(seed) {  // a BigInt, or what can be one
    const s = this.state = new Uint32Array(624);
    s[0] = Number(BigInt(seed) & 0xffffffffn);
    for (let i = 1; i < 624; i++) s[i] = Math.imul(1812433253, s[i - 1] ^ (s[i - 1] >>> 30)) + i;
    this.at = 624;
  }

  turn() {
    const s = this.state;
    for (let i = 0; i < 624; i++) {
      const y = (s[i] & 0x80000000) | (s[(i + 1) % 624] & 0x7fffffff);
      s[i] = s[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.at = 0;
  }

  next() {  // 32 bits
    if (this.at === 624) this.turn();
    let y = this.state[this.at++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  uniform() {  // 24 bits, in [0, 1)
    return (this.next() & 0xffffff) / 0x1000000;
  }
}

// Single precision with fused multiplications and additions, and polynomials of Cephes (S. Moshier): what torch
// computes logarithm, sine and cosine by on a processor with AVX2, so that noise is the same to the bit.
const floats = numbers => [...Float32Array.from(numbers)];
const fused = (a, b, c) => fround(a * b + c);
const polynomial = (x, coefficients) => coefficients.reduce((sum, c) => fused(sum, x, c));
const LOG = floats([7.0376836292e-2, -0.1151461031, 0.1167699874, -0.12420140846, 0.14249322787, -0.16668057665,
  0.20000714765, -0.24999993993, 0.33333331174]);
const [LOG2_LOW, LOG2_HIGH, ROOT_HALF] = floats([-2.1219444e-4, 0.693359375, Math.SQRT1_2]);
const SINE = floats([-1.9515295891e-4, 8.3321608736e-3, -0.16666654611]);
const COSINE = floats([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]);
const QUARTER_PI = floats([-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8]);  // three parts, negated
const [TWO_PI, FOUR_OVER_PI] = floats([2 * PI, 4 / PI]);
const [single, bits] = (a => [a, new Int32Array(a.buffer)])(new Float32Array(1));

function logarithm(x) {  // of x in (0, 1]
  single[0] = x;
  let exponent = ((bits[0] >>> 23) & 255) - 126;
  bits[0] = (bits[0] & 0x807fffff) | 0x3f000000;  // the digits alone, from 1/2 to 1
  x = single[0];
  if (x < ROOT_HALF) [x, exponent] = [fround(fround(x - 1) + x), exponent - 1];
  else x = fround(x - 1);
  const square = fround(x * x);
  let y = fused(fround(polynomial(x, LOG) * x), square, fround(exponent * LOG2_LOW));
  y = fused(square, -0.5, y);
  return fused(exponent, LOG2_HIGH, fround(x + y));
}

function circle(x) {  // cosine and sine of x, at least 0
  const octant = (Math.trunc(fround(x * FOUR_OVER_PI)) + 1) & ~1;
  for (const part of QUARTER_PI) x = fused(octant, part, x);
  const square = fround(x * x);
  const cos = fround(fused(fround(polynomial(square, COSINE) * square), square, -fround(square / 2)) + 1);
  const sin = fused(fround(polynomial(square, SINE) * square), x, x);
  const [c, s] = octant & 2 ? [sin, cos] : [cos, sin];
  return [(octant - 2) & 4 ? c : -c, octant & 4 ? -s : s];
}

// Box and Muller on sixteen uniform numbers: eight radii, then eight angles.
function transform(data, from) {
  for (let j = from; j < from + 8; j++) {
    const radius = fround(sqrt(fround(-2 * logarithm(fround(1 - data[j])))));
    const [cos, sin] = circle(fround(TWO_PI * data[j + 8]));
    [data[j], data[j + 8]] = [radius * cos, radius * sin];
  }
}

// torch.randn(n, generator=torch.Generator().manual_seed(seed)), for n of at least 16.
export function randn(n, seed) {
  if (n < 16) throw new RangeError('noise: at least 16 numbers');
  const twister = new Twister(seed), data = Float32Array.from({ length: n }, () => twister.uniform());
  for (let i = 0; i + 16 <= n; i += 16) transform(data, i);
  if (n % 16) {
    for (let i = n - 16; i < n; i++) data[i] = twister.uniform();
    transform(data, n - 16);
  }
  return data;
}

// Times with an equal share of the density between each two; see `density_grid` in the chapter on flows.
export function densityGrid(steps, density) {
  const share = [0];
  for (const d of density) share.push(share.at(-1) + d);
  return Float32Array.from({ length: steps + 1 }, (_, i) => {
    const want = share.at(-1) * i / steps, found = share.findIndex(s => s >= want);
    const k = Math.min(Math.max(found < 0 ? density.length : found, 1), density.length);
    return (k - 1 + (want - share[k - 1]) / (share[k] - share[k - 1])) / density.length;
  });
}

// Equal times, moved towards noise.
export function timeGrid(steps, shift) {
  return Float32Array.from({ length: steps + 1 }, (_, i) => i / steps / (shift - (shift - 1) * i / steps));
}

function mixed(first, terms) {  // first + Σ weight · values
  return Float32Array.from(first, (x, i) => {
    for (const [weight, values] of terms) x += weight * values[i];
    return x;
  });
}

// A step with weights that were fitted to the network.
export function fitted(weights) {
  const past = [];
  return (x, v) => {
    past.push(...(past.length ? [v] : [x, v]));
    const i = past.length - 2, before = i ? [...weights[i - 1], 0] : [1, 0];
    return mixed(x, past.map((p, k) => [weights[i][k] - before[k], p]));
  };
}

// A straight step.
export function euler() {
  return (x, v, t, u) => mixed(x, [[u - t, v]]);
}

// Two-step Adams–Bashforth; the first step is made Heun's as soon as its second velocity is known.
export function ab2() {
  let past = null;
  return (x, v, t, u) => {
    let next;
    if (!past) next = mixed(x, [[u - t, v]]);
    else {
      if (past.first) x = mixed(x, [[(t - past.t) / 2, v], [(past.t - t) / 2, past.v]]);
      const r = (u - t) / (t - past.t) / 2;
      next = mixed(x, [[(u - t) * (1 + r), v], [-(u - t) * r, past.v]]);
    }
    past = { t, v, first: !past };
    return next;
  };
}

// One jump by the mean velocity, as a flow map gives it.
const jump = () => (x, v, t, u) => x.map((value, k) => value + (u - t) * v[k]);

// What of a wish the model's flow map was taught; see `beyond_map` of the pipeline.
export function mappable(map, steps, { scale, interval, negative }) {
  if (!map || steps > map.steps || negative && scale !== 1) return false;
  const [lo, hi] = map.guidance;
  return lo <= scale && scale <= hi && (scale === 1 || String(interval) === String(map.interval));
}

// Which solver, on which times: the wanted one; a flow map's jumps, where they are the model's own way and it was taught
// them; or fitted weights where there are some for these steps and guidance.
export function plan(sampling, shift, steps, guidance, wanted = '', map = null, own = '') {
  const fit = sampling.fitted ?? {}, weights = sampling.weights?.[steps];
  const near = guidance.scale <= 1.5 * (fit.guidance_scale ?? 0) &&
    String(guidance.interval) === String(fit.guidance_interval);
  const times = sampling.density ? densityGrid(steps, sampling.density) : timeGrid(steps, shift);
  if (wanted === 'euler') return { solver: 'euler', step: euler(), times };
  if (mappable(map, steps, guidance) && (wanted || own) === 'flow_map') {
    return { solver: 'flow_map', step: jump(), times: timeGrid(steps, 1) };
  }
  const fits = weights && near && wanted !== 'ab2';
  return fits ? { solver: 'fitted', step: fitted(weights), times } : { solver: 'ab2', step: ab2(), times };
}

// The layout that is nearest: there or not, one kind, one colour, perhaps right or left, near or far, a box on pixels;
// see `settled` in training.layouts.
export function settled(rows, { shape: [, kinds, colors, faces = 0], width }) {
  const out = new Float32Array(rows.length);
  const largest = (from, n) => {
    let best = from;
    for (let i = from + 1; i < from + n; i++) if (rows[i] > rows[best]) best = i;
    return best;
  };
  for (let r = 0; r < rows.length; r += width) {
    const kind = r + 1, color = kind + kinds, signs = color + colors, depth = signs + faces;
    out[r] = rows[r] > 0 ? 1 : -1;
    if (out[r] < 0) continue;
    out[largest(kind, kinds)] = out[largest(color, colors)] = 2;
    for (let i = signs; i <= depth; i++) out[i] = rows[i] > 0 ? 1 : -1;
    for (let i = depth + 1; i < r + width; i++) out[i] = Math.round(32 * Math.min(3, Math.max(-3, rows[i]))) / 32;
  }
  return out;
}

// Whether row r stands where one before it does: each third of the picture has room for one near and one far.
export function taken(rows, r, { width }) {
  const at = k => k * width + width - 4, side = k => Math.floor(3 * (rows[at(k)] / 4 + 0.5)), there = k => rows[k * width] > 0;
  const same = k => there(k) && side(k) === side(r) && rows[at(k) - 1] === rows[at(r) - 1];
  return there(r) && Array.from({ length: r }, (_, k) => k).some(same);
}

// Whether both velocities, with the prompt and without it, are asked for at a time.
export function isGuided({ scale, interval: [lo, hi] }, t) {
  return scale !== 1 && ((lo <= t && t < hi) || (t === hi && hi === 1));
}

// v = vu + w · (vc − vu)
export function combine(vu, vc, w) {
  return Float32Array.from(vu, (u, i) => u + w * (vc[i] - u));
}

// A small picture of latents, by a linear map: channels first, (c + 1) × 3 numbers, in [0, 1].
export function preview(z, map, places) {
  const pixels = new Uint8ClampedArray(4 * places).fill(255), last = map.length - 1;
  for (let p = 0; p < places; p++) {
    for (let k = 0; k < 3; k++) {
      let sum = map[last][k];
      for (let c = 0; c < last; c++) sum += z[c * places + p] * map[c][k];
      pixels[4 * p + k] = 255 * sum;
    }
  }
  return pixels;
}

// Colours in [0, 1], channels first, as bytes with an opaque alpha; halves go to the even number, as in numpy.
export function toBytes(image, places) {
  const pixels = new Uint8ClampedArray(4 * places).fill(255);
  for (let k = 0; k < 3; k++) for (let p = 0; p < places; p++) pixels[4 * p + k] = fround(255 * image[k * places + p]);
  return pixels;
}
