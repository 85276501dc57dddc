// Byte-level BPE as `minisd.clip.Tokenizer` has it, read from its tokenizer.json.

// Unicode's White_Space, which is not JavaScript's.
const SPACE = '\\t-\\r\\x20\\x85\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\xa0';
const PIECE = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|[${SPACE}]+(?![^${SPACE}])|[${SPACE}]+`,
  'gu');

// A character for each byte: its own where that is printable, one from 256 on otherwise.
function byteCharacters() {
  const table = [];
  let next = 256;
  for (let b = 0; b < 256; b++) {
    const printable = (b > 32 && b < 127) || (b > 160 && b !== 173);
    table.push(String.fromCodePoint(printable ? b : next++));
  }
  return table;
}

export class Tokenizer {
  constructor(file) {  // the parsed tokenizer.json
    const { model, padding, truncation, added_tokens: special, post_processor: post } = file;
    this.vocab = new Map(Object.entries(model.vocab));
    this.ranks = new Map(model.merges.map((m, i) => [Array.isArray(m) ? m.join(' ') : m, i]));
    this.special = new Map(special.map(t => [t.content, t.id]));
    this.frame = post.single.filter(p => p.SpecialToken).map(p => this.special.get(p.SpecialToken.id));
    this.length = padding.strategy.Fixed;
    this.room = truncation.max_length - this.frame.length;
    this.pad = padding.pad_id;
    this.bytes = byteCharacters();
    this.encoder = new TextEncoder();
    this.seen = new Map();
    const escaped = special.map(t => t.content.replace(/[^\w]/g, '\\$&'));
    this.marks = new RegExp(`(${escaped.join('|')})`);
  }

  // Merge the pair that was learnt first, until no pair was learnt.
  merge(piece) {
    let parts = [...piece];
    for (;;) {
      let best = Infinity, at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(`${parts[i]} ${parts[i + 1]}`) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return parts.map(p => this.vocab.get(p));
      parts.splice(at, 2, parts[at] + parts[at + 1]);
    }
  }

  piece(text) {
    if (!this.seen.has(text)) {
      const bytes = [...this.encoder.encode(text)].map(b => this.bytes[b]).join('');
      this.seen.set(text, this.merge(bytes));
    }
    return this.seen.get(text);
  }

  // Ids without start, end and padding.
  plain(text) {
    const ids = [];
    for (const part of text.split(this.marks)) {
      if (this.special.has(part)) {
        ids.push(this.special.get(part));
        continue;
      }
      const lower = [...part.normalize('NFKC')].map(c => c.toLowerCase()).join('');  // letter by letter
      if (!lower) continue;
      const led = lower.startsWith(' ') ? lower : ` ${lower}`;
      for (const [piece] of led.matchAll(PIECE)) ids.push(...this.piece(piece));
    }
    return ids;
  }

  encode(text) {  // ids and mask, `length` of each; whether words were cut off
    const all = this.plain(text), [start, end] = this.frame;
    const ids = [start, ...all.slice(0, this.room), end], mask = ids.map(() => 1);
    while (ids.length < this.length) ids.push(this.pad), mask.push(0);
    return { ids, mask, cut: all.length > this.room };
  }
}
