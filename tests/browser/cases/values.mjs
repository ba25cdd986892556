/** Documents and keys: what goes in comes out, and what may not go in is refused and leaves nothing. */

import { equal, ok, refuses } from '../page/check.mjs';

const nested = depth => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
const MEBIBYTE = 1024 * 1024;

export async function everyKindOfDocumentComesBack({ open }) {
  const values = (await open()).collection('values');
  const documents = [
    null, true, false, 0, -1, 0.1, 1e300, 5e-324, 9007199254740993, 123456789012345680000, -1.7976931348623157e308, 1e-7,
    '', ' ', 'text', '\u0000\u0001\n\r\t"\\/', '\u2028\u2029', 'ünï \u{1F600} \u{10FFFF} \uFFFF', '\uD800 alone', '{"a":1}', [], {}, [[]],
    [null, [1, [2, [3]]]], { a: { b: { c: [] } } }, { '': '' }, { b: 1, a: 2, 10: 3 }, { 'ключ': '値' }, JSON.parse('{"__proto__":{"a":1}}'),
    { text: 'x'.repeat(MEBIBYTE) }, nested(128), Array.from({ length: 1000 }, (_, number) => ({ number })),
  ];
  for (const [number, document] of documents.entries()) await values.put(`k${number}`, document);
  for (const [number, document] of documents.entries()) {
    equal(await values.get(`k${number}`), document, `document ${number}`);
  }
  const all = await values.getMany(documents.map((_, number) => `k${number}`));
  equal(all, documents, 'getMany');
}

export async function documentsAreWhatJsonMakesOfThem({ open }) {
  const values = (await open()).collection('values');
  await values.put('a', { date: new Date(0), left: undefined, kept: [undefined, NaN, -0], own: { toJSON: () => 'made' } });
  equal(await values.get('a'), { date: '1970-01-01T00:00:00.000Z', kept: [null, null, 0], own: 'made' });
  const document = { list: [1] };
  const written = values.put('b', document);
  document.list.push(2);
  await written;
  const read = await values.get('b');
  equal(read, { list: [1] }, 'what was put, not what became of it');
  read.list.push(3);
  equal(await values.get('b'), { list: [1] }, 'a copy');
}

export async function keysAreInTheOrderOfTheirUtf8Bytes({ open }) {
  const db = await open();
  const keys = db.collection('keys');
  const inOrder = [
    '\u0000', '\u0001', ' ', '0', '00', '1', '10', '9', 'A', 'a', 'a\u0000', 'aa', 'b', '\u007F', '\u0080', 'é', 'é!', '\u07FF', '\u0800',
    '日本', '\uD7FF', '\uE000', '\uFFFD', '\uFFFF', '\u{10000}', '\u{1F600}', '\u{1F600}\u{1F600}', '\u{10FFFF}',
  ];
  const mixed = inOrder.map((key, place) => [key, place]).sort((a, b) => (a[1] * 7) % 29 - (b[1] * 7) % 29);
  await keys.putMany(mixed);
  const found = await keys.getAll();
  equal(found.map(([key]) => key), inOrder);
  equal(found.map(([, place]) => place), inOrder.map((_, place) => place));
  await db.compact();
  equal((await keys.getAll({ reverse: true })).map(([key]) => key), [...inOrder].reverse(), 'from a snapshot, backwards');
  for (const [place, key] of inOrder.entries()) equal(await keys.get(key), place, JSON.stringify(key));
}

export async function lengthsUpToTheLimitsAreTaken({ open }) {
  const db = await open();
  const longest = 'k'.repeat(1024);
  const wide = 'é'.repeat(512);
  const name = 'ü'.repeat(127) + 'x';
  const collection = db.collection(name);
  await collection.putMany([[longest, 1], [wide, 2], [longest.slice(1), 3]]);
  equal(await collection.getMany([longest, wide]), [1, 2]);
  equal(await db.collections(), [name]);
  for (const key of [`${longest}k`, `${wide}x`]) {
    await refuses('too-large', () => collection.put(key, 1), 'a key of 1025 bytes');
    await refuses('too-large', () => collection.get(key), 'reading it');
    await refuses('too-large', () => collection.delete(key), 'deleting it');
  }
  await refuses('too-large', async () => db.collection(`${name}x`).put('k', 1), 'a collection name of 256 bytes');
  await refuses('too-large', () => collection.put('deep', nested(129)), 'depth 129');
  await refuses('too-large', () => collection.put('deep', nested(5000)), 'depth 5000');
  equal(await collection.count(), 3);
}

export async function aDocumentMayHaveSixteenMebibytesAndNoByteMore({ open }) {
  const large = (await open()).collection('large');
  const text = 'x'.repeat(16 * MEBIBYTE - 2);
  await large.put('most', text);
  ok(await large.get('most') === text, 'comes back');
  await refuses('too-large', () => large.put('more', `${text}x`));
  await refuses('too-large', () => large.put('wide', 'é'.repeat(8 * MEBIBYTE)), 'it is bytes that count');
  await refuses('too-large', () => large.putMany([['small', 1], ['more', `${text}x`]]));
  equal(await large.count(), 1);
  ok((await large.getAll())[0][1] === text, 'in a scan');
}

export async function whatIsNoJsonIsRefused({ open }) {
  const db = await open();
  const values = db.collection('values');
  await values.put('kept', 1);
  const before = await db.stats();
  const cyclic = {};
  cyclic.self = cyclic;
  const bad = { undefined, function: () => 1, symbol: Symbol('s'), bigint: 1n, cyclic, within: { a: [1n] }, turned: { toJSON: () => undefined } };
  for (const [what, document] of Object.entries(bad)) {
    await refuses('invalid-argument', () => values.put('kept', document), what);
    await refuses('invalid-argument', () => values.putMany([['a', 1], ['b', document]]), `${what} in putMany`);
    await refuses('invalid-argument', () => db.batch(batch => batch.put('values', 'a', 1).put('values', 'b', document)), `${what} in batch`);
  }
  equal(await values.getAll(), [['kept', 1]]);
  equal((await db.stats()).sequence, before.sequence, 'the sequence number');
}

export async function namesAndKeysThatMayNotBeAreRefused({ open }) {
  const db = await open();
  const values = db.collection('values');
  await values.put('kept', 1);
  for (const key of ['', '\uD800', 'a\uDC00b', 1, null, undefined, {}, ['a'], Symbol('s')]) {
    const what = `key ${typeof key === 'string' ? JSON.stringify(key) : String(typeof key)}`;
    await refuses('invalid-argument', () => values.get(key), `get, ${what}`);
    await refuses('invalid-argument', () => values.getMany(['kept', key]), `getMany, ${what}`);
    await refuses('invalid-argument', () => values.put(key, 1), `put, ${what}`);
    await refuses('invalid-argument', () => values.putMany([['a', 1], [key, 1]]), `putMany, ${what}`);
    await refuses('invalid-argument', () => values.delete(key), `delete, ${what}`);
    await refuses('invalid-argument', () => db.batch(batch => batch.put('values', 'a', 1).delete('values', key)), `batch, ${what}`);
  }
  for (const name of ['', '\uDFFF', 'a\u0000', 'a\nb', '\u007F', '\u0085', 7, null, undefined]) {
    const what = `collection ${JSON.stringify(name)}`;
    await refuses('invalid-argument', async () => db.collection(name).put('a', 1), `put, ${what}`);
    await refuses('invalid-argument', async () => db.collection(name).get('a'), `get, ${what}`);
    await refuses('invalid-argument', () => db.batch(batch => batch.put('values', 'a', 1).put(name, 'a', 1)), `batch put, ${what}`);
    await refuses('invalid-argument', () => db.batch(batch => batch.put('values', 'a', 1).drop(name)), `batch drop, ${what}`);
  }
  for (const keys of [undefined, null, 'kept', 7, {}]) {
    await refuses('invalid-argument', () => values.getMany(keys), `getMany(${JSON.stringify(keys)})`);
  }
  for (const entries of [undefined, null, 7, [1], [['a']], ['ab'], [[]]]) {
    await refuses('invalid-argument', () => values.putMany(entries), `putMany(${JSON.stringify(entries)})`);
  }
  for (const options of [{ durability: 'none' }, { durability: 1 }, 'disk', 7]) {
    await refuses('invalid-argument', () => values.put('a', 1, options), `options ${JSON.stringify(options)}`);
    await refuses('invalid-argument', () => db.batch(batch => batch.drop('values'), options), `batch, options ${JSON.stringify(options)}`);
    await refuses('invalid-argument', () => values.delete('kept', options), `delete, options ${JSON.stringify(options)}`);
  }
  equal(await values.getAll(), [['kept', 1]]);
}
