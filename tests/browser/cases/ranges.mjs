/** Ranges: every combination of their members, against a filter over an array. */

import { equal, ok, refuses } from '../page/check.mjs';
import { take } from '../page/tools.mjs';

const compare = (a, b) => {
  const [left, right] = [a, b].map(text => [...text].map(point => point.codePointAt(0)));
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    if (left[at] !== right[at]) return left[at] - right[at];
  }
  return left.length - right.length;
};

function model(keys, { prefix = '', from, to, reverse, limit }) {
  const inside = keys.filter(key => key.startsWith(prefix) && (from === undefined || compare(key, from) >= 0)
    && (to === undefined || compare(key, to) < 0)).sort(compare);
  if (reverse) inside.reverse();
  return limit === undefined ? inside : inside.slice(0, limit);
}

export async function everyCombinationOfARange({ open }) {
  const db = await open();
  const keys = ['a', 'a-1', 'a-2', 'a-20', 'a-3', 'b', 'b-1', 'b-\u{1F600}', 'b-\uFFFF', 'c'];
  const documents = db.collection('ranges');
  await documents.putMany(keys.slice(0, 6).map(key => [key, { key }]));
  await db.collection('rangesx').put('a', 'of another collection');
  await db.collection('range').put('z', 'of another collection');
  await db.compact();
  await documents.putMany(keys.slice(6).map(key => [key, { key }]));
  await documents.put('a-25', 'gone');
  await documents.delete('a-25');
  let ranges = 0;
  for (const prefix of [undefined, '', 'a', 'a-2', 'b-', 'd']) {
    for (const from of [undefined, '', 'a-2', 'b', 'd']) {
      for (const to of [undefined, '', 'a-3', 'b-\uFFFF', 'z']) {
        for (const reverse of [undefined, false, true]) {
          for (const limit of [undefined, 0, 1, 3, 100]) {
            const range = Object.fromEntries(Object.entries({ prefix, from, to, reverse, limit }).filter(([, value]) => value !== undefined));
            const expected = model(keys, range);
            const what = JSON.stringify(range);
            const [all, count] = await Promise.all([documents.getAll(range), documents.count(range)]);
            equal(all, expected.map(key => [key, { key }]), `getAll(${what})`);
            equal(count, expected.length, `count(${what})`);
            if (ranges % 7 === 0) equal(await take(documents.entries(range)), all, `entries(${what})`);
            ranges += 1;
          }
        }
      }
    }
  }
  equal(await take(documents.entries()), keys.sort(compare).map(key => [key, { key }]), 'entries()');
  equal(await documents.getAll({ prefix: undefined, limit: undefined }), await documents.getAll(), 'members that are undefined');
  equal(await db.collection('never').getAll(), [], 'a collection that is not there');
  equal(await db.collection('never').count(), 0, 'count of it');
}

/** More than comes in one piece, and one moment of it. */
export async function getAllOfMuchIsOfOneMoment({ open }) {
  const db = await open();
  const documents = db.collection('much');
  const entry = number => [`k${String(number).padStart(5, '0')}`, { number, text: 'é'.repeat(number % 300) }];
  const entries = Array.from({ length: 12_000 }, (_, number) => entry(number));
  for (let at = 0; at < entries.length; at += 1000) await documents.putMany(entries.slice(at, at + 1000));
  const before = documents.getAll();
  const written = documents.putMany(entries.map(([key]) => [key, 'later']));
  equal(await before, entries, 'before what was asked for after it');
  await written;
  equal((await documents.getAll({ reverse: true })).map(([, document]) => document), entries.map(() => 'later'), 'all of it, afterwards');
}

export async function badRangesAreRefused({ open }) {
  const documents = (await open()).collection('ranges');
  const bad = [
    { limit: -1 }, { limit: 1.5 }, { limit: NaN }, { limit: '1' }, { limit: null }, { prefix: 1 }, { from: {} }, { to: ['a'] }, { reverse: 'yes' },
    { prefix: '\uD800' }, { from: '\uDC00' }, 'a', 7, () => 1,
  ];
  for (const range of bad) {
    const what = typeof range === 'function' ? 'a function' : JSON.stringify(range);
    await refuses('invalid-argument', () => documents.getAll(range), `getAll(${what})`);
    await refuses('invalid-argument', () => documents.count(range), `count(${what})`);
    await refuses('invalid-argument', async () => take(documents.entries(range)), `entries(${what})`);
    if (typeof range === 'function') continue;
    await refuses('invalid-argument', async () => documents.subscribe(range, () => {}), `subscribe(${what})`);
  }
}

export async function aLongIterationSeesOneMoment({ open }) {
  const db = await open();
  const documents = db.collection('many');
  const count = 5000;
  const entries = Array.from({ length: count }, (_, number) => [`k${String(number).padStart(5, '0')}`, { number, text: 'x'.repeat(200) }]);
  await documents.putMany(entries);
  const seen = [];
  for await (const entry of documents.entries()) {
    seen.push(entry);
    if (seen.length === 1) {
      await documents.putMany([['k00002', 'new'], ['k04999', 'new'], ['k99999', 'new'], ['a', 'new']]);
      await documents.delete('k04998');
    }
    if (seen.length === 2) await db.compact();
    if (seen.length === 3) await db.collection('many').drop();
  }
  equal(seen.length, count, 'how many');
  ok(seen.every(([key, document], place) => key === entries[place][0] && document.number === place), 'as they were');
  equal(await documents.count(), 0);
  equal(await take(documents.entries()), []);
}

export async function iterationsEndEarlyAndRunSideBySide({ open }) {
  const db = await open();
  const documents = db.collection('many');
  await documents.putMany(Array.from({ length: 3000 }, (_, number) => [`k${String(number).padStart(5, '0')}`, 'x'.repeat(300)]));
  for (let round = 0; round < 50; round += 1) equal((await take(documents.entries(), 2)).length, 2);
  const [forward, backward] = [documents.entries()[Symbol.asyncIterator](), documents.entries({ reverse: true })[Symbol.asyncIterator]()];
  let both = 0;
  for (;;) {
    const [a, b] = await Promise.all([forward.next(), backward.next()]);
    equal(a.done ?? false, b.done ?? false, 'both end together');
    if (a.done) break;
    both += 1;
  }
  equal(both, 3000);
  const iterable = documents.entries({ limit: 3 });
  equal((await take(iterable)).length, 3);
  const thrown = new Error('mine');
  try {
    for await (const [key] of documents.entries()) if (key) throw thrown;
  } catch (error) {
    ok(error === thrown, 'the loop\'s own error');
  }
  const iterator = documents.entries()[Symbol.asyncIterator]();
  await iterator.next();
  for (const step of [await iterator.return(), await iterator.next()]) ok(step.done === true && step.value === undefined, 'ended by return');
}
