/** The documents and keys that every engine is given: the same for the same number, on every machine. */

const WORDS = [
  'about', 'above', 'across', 'almost', 'along', 'always', 'amount', 'answer', 'around', 'bridge', 'bright', 'build',
  'carry', 'change', 'circle', 'clear', 'coast', 'common', 'cover', 'cross', 'dance', 'decide', 'deep', 'early',
  'earth', 'engine', 'enough', 'every', 'family', 'farmer', 'field', 'figure', 'finger', 'follow', 'forest', 'garden',
  'gather', 'glass', 'ground', 'harbor', 'heavy', 'history', 'island', 'letter', 'listen', 'market', 'matter',
  'minute', 'morning', 'mountain', 'notice', 'number', 'ocean', 'paper', 'pattern', 'people', 'planet', 'quick',
  'reason', 'river', 'season', 'simple', 'travel', 'window',
];
const CITIES = ['Accra', 'Bergen', 'Córdoba', 'Hanoi', 'Izmir', 'Quito', 'Sapporo', 'Turku'];
/** Of the JSON text, in characters. */
const LENGTH = 250;

/** Of the document with this number. */
export const keyOf = number => `users/${number}`;

/** Pseudo-random numbers in [0, 1), by the generator known as mulberry32. */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A document of 250 characters of JSON, with its key in it. Another `version` has other contents. */
export function documentOf(number, version = 0, key = keyOf(number)) {
  const next = random(Math.imul(number, 2_654_435_761) + version);
  const below = limit => Math.floor(next() * limit);
  const two = count => String(1 + below(count)).padStart(2, '0');
  const word = () => WORDS[below(WORDS.length)];
  const made = {
    id: key,
    version,
    name: `${word()} ${word()}`,
    age: 18 + below(72),
    active: below(2) === 1,
    score: Math.round(next() * 1e6) / 1e4,
    created: `2026-${two(12)}-${two(28)}T${two(23)}:${two(59)}:00Z`,
    city: CITIES[below(CITIES.length)],
    notes: '',
  };
  const room = LENGTH - JSON.stringify(made).length;
  let notes = '';
  while (notes.length < room) notes += `${word()} `;
  made.notes = notes.slice(0, room);
  return made;
}

/** `[key, document]` of the numbers from `from` on, `count` of them. */
export const entriesOf = (from, count, version) =>
  Array.from({ length: count }, (_, at) => [keyOf(from + at), documentOf(from + at, version)]);
