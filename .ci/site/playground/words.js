// What a model says of a prompt's words: `Vocabulary.note` of minisd.base.vocabulary.

function runs(text) {
  const plain = text.normalize('NFKC').replaceAll('\u2019', "'").toLowerCase();
  const found = plain.matchAll(/(?:(?![\ufe00-\ufe0f])[\p{L}\p{M}\p{Nd}'])+|(?=[\u2600-\u{10ffff}])\p{So}/gu);
  return [...found].map(m => m[0].replace(/^'+|'+$/g, ''));
}

export function wordsIn(text) {
  return runs(text.toLowerCase()).map(w => w.replace(/'s$/, '')).filter(w => w && !/\p{Nd}/u.test(w));
}

const squeezed = w => w.replace(/(.)\1+/gsu, '$1');

// Ratcliff and Obershelp's likeness of two words, as Python's difflib has it.
function matching(a, b) {
  let size = 0, at = 0, bt = 0, row = [];
  for (let i = 0; i < a.length; i++) {
    const next = [];
    for (let j = 0; j < b.length; j++) {
      if (a[i] !== b[j]) continue;
      next[j] = (row[j - 1] ?? 0) + 1;
      if (next[j] > size) [size, at, bt] = [next[j], i + 1 - next[j], j + 1 - next[j]];
    }
    row = next;
  }
  if (!size) return 0;
  return size + matching(a.slice(0, at), b.slice(0, bt)) + matching(a.slice(at + size), b.slice(bt + size));
}

const ratio = (a, b) => 2 * matching(a, b) / (a.length + b.length);

export class Vocabulary {
  constructor({ words, things, examples, whole, rules }) {  // the parsed words.json
    Object.assign(this, { things, examples, whole, rules });
    this.words = new Set(Object.keys(words));
    this.little = new Set(rules.little);
    [this.stems, this.letters, this.firsts] = [new Map(), new Map(), new Map()];
    for (const w of this.words) {
      if (this.little.has(w)) continue;
      for (const [by, key] of [[this.stems, this.stem(w)], [this.letters, squeezed(w)], [this.firsts, w[0]]]) {
        by.set(key, [...(by.get(key) ?? []), w]);
      }
    }
  }

  stem(word) {
    word = this.rules.odd[word] ?? word;
    const end = this.rules.endings.find(e => word.endsWith(e) && word.length - e.length >= 3) ?? '';
    word = word.slice(0, word.length - end.length);
    return word.length > 3 && word.at(-1) === word.at(-2) ? word.slice(0, -1) : word;
  }

  near(word) {  // the known words that it may be meant for, two at most
    if (word.length < 3 || word.length > 40) return [];
    const swapped = Array.from({ length: word.length - 1 }, (_, i) =>
      word.slice(0, i) + word[i + 1] + word[i] + word.slice(i + 2));
    const typed = this.letters.get(squeezed(word)) ?? swapped.filter(w => this.words.has(w) && !this.little.has(w));
    const sure = (this.stems.get(this.stem(word)) ?? typed).slice(0, 1);
    if (sure.length) return sure;
    const few = (word.length > 3) + (word.length > 7);
    return (this.firsts.get(word[0]) ?? []).filter(w => Math.abs(w.length - word.length) <= few)
      .map(w => [ratio(w, word), w]).filter(([r]) => r >= this.rules.near)
      .sort(([r, v], [s, w]) => s - r || (v < w ? 1 : -1)).slice(0, 2).map(([, w]) => w);
  }

  named(unknown) {
    const shown = unknown.slice(0, this.rules.shown), hints = shown.map(w => this.near(w).join(' or '));
    const said = shown.map((w, i) => (w.length <= 24 ? w : `${w.slice(0, 23)}…`) +
      (hints[i] && ` (it knows ${hints[i]})`));
    const more = unknown.length > shown.length ? ` and ${unknown.length - shown.length} more` : '';
    return [said.join(', ') + more, hints.every(Boolean)];
  }

  note(text, model) {  // a line; null: there is nothing to say
    const said = [...new Set(wordsIn(text))].filter(w => !this.little.has(w));
    const unknown = said.filter(w => !this.words.has(w)), [named, helped] = this.named(unknown);
    const attempt = this.examples.length ? ` Try: ${this.examples[0]}` : '';
    if (!said.length) return text.trim() ? `${model} finds no word to draw in this prompt.${attempt}` : null;
    if (!unknown.length) return null;
    if (unknown.length < said.length) {
      const things = this.things.filter(t => !said.includes(t)).slice(0, this.rules.shown);
      const advice = helped || !things.length ? '' : ` It knows, for example: ${things.join(', ')}.`;
      return `${model} ${this.whole ? '' : 'seldom or '}never saw: ${named}.${advice}`;
    }
    const [these, them] = unknown.length === 1 ? ['does not know the word', 'it']
      : ['knows none of these words:', 'them'];
    return `${model} ${these} ${named}; the picture will not show ${them}.${attempt}`;
  }
}
