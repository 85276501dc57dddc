// A PNG file with settings in it, as `minisd.base.png` writes them, for `minisd replay`.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc(bytes) {
  let c = 0xffffffff;
  for (const b of bytes) c = TABLE[(c ^ b) & 255] ^ (c >>> 8);
  return ~c >>> 0;
}

function joined(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) out.set(p, at), at += p.length;
  return out;
}

const big = n => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
const utf8 = text => new TextEncoder().encode(text);

function chunk(kind, data) {
  const body = joined(utf8(kind), data);
  return joined(big(data.length), body, big(crc(body)));
}

// Latin letters as tEXt, which every program reads, others as iTXt.
function textChunk(key, text) {
  if (/^[\x00-\xff]*$/.test(text)) {
    return chunk('tEXt', joined(utf8(key), [0], Uint8Array.from(text, c => c.charCodeAt())));
  }
  return chunk('iTXt', joined(utf8(key), [0, 0, 0, 0, 0], utf8(text)));
}

async function deflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream('deflate'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export async function hex(bytes) {  // null on a page that is not secure, where browsers have no SHA-256
  if (!globalThis.crypto?.subtle) return null;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map(b => b.toString(16).padStart(2, '0')).join('');
}

export function parameters(s) {  // settings as AUTOMATIC1111 writes them
  const quoted = v => /[,:"\n]/.test(v) ? JSON.stringify(String(v)) : v;
  const pairs = {
    Steps: s.num_inference_steps, Sampler: s.sampler, 'CFG scale': s.guidance_scale, Seed: s.seed,
    Size: `${s.width}x${s.height}`, 'Model hash': s.model_hash, Model: s.model, RNG: 'CPU',
    Version: `minisd ${s.version}`,
  };
  const negative = s.negative_prompt ? [`Negative prompt: ${s.negative_prompt}`] : [];
  return [s.prompt, ...negative, Object.entries(pairs).map(([k, v]) => `${k}: ${quoted(v)}`).join(', ')].join('\n');
}

// JSON in ASCII, as Python writes it; a seed may be larger than JavaScript's exact numbers, and is a BigInt.
export function json(value) {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(json).join(', ')}]`;
  if (value && typeof value === 'object') {
    return `{${Object.entries(value).map(([k, v]) => `${json(k)}: ${json(v)}`).join(', ')}}`;
  }
  return JSON.stringify(value).replace(/[\u0080-\uffff]/g, c => `\\u${c.charCodeAt().toString(16).padStart(4, '0')}`);
}

export async function png({ width, height, pixels, settings }) {  // pixels: RGBA bytes; a Blob
  const rows = new Uint8Array(height * (1 + 3 * width)), rgb = new Uint8Array(3 * width * height);
  for (let p = 0; p < width * height; p++) rgb.set(pixels.subarray(4 * p, 4 * p + 3), 3 * p);
  for (let y = 0; y < height; y++) rows.set(rgb.subarray(3 * width * y, 3 * width * (y + 1)), y * (1 + 3 * width) + 1);
  const hash = await hex(joined(utf8(`(${width}, ${height})`), rgb));
  const own = hash ? { ...settings, pixels: hash.slice(0, 16) } : settings;
  const file = joined(
    Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10),
    chunk('IHDR', joined(big(width), big(height), [8, 2, 0, 0, 0])),
    textChunk('parameters', parameters(settings)), textChunk('minisd', json(own)),
    chunk('IDAT', await deflated(rows)), chunk('IEND', new Uint8Array()),
  );
  return new Blob([file], { type: 'image/png' });
}
