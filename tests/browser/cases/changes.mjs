/** The change feed and subscriptions. */

import { equal, ok, refuses } from '../page/check.mjs';
import { take, until } from '../page/tools.mjs';

export async function changesTellEveryWriteInOrder({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const first = await notes.put('a', { n: 1 });
  const second = await notes.put('b', 'two', { durability: 'buffered' });
  await notes.delete('a');
  const batch = await db.batch(batch => { batch.put('notes', 'c', 3).put('other', 'd', null).delete('notes', 'b'); });
  const drop = await notes.drop();
  const changes = await take(db.changes({ after: 0 }), 7);
  equal(changes.map(({ collection, key, type, document }) => [type, collection, key, document]), [
    ['put', 'notes', 'a', { n: 1 }], ['put', 'notes', 'b', 'two'], ['delete', 'notes', 'a', undefined],
    ['put', 'notes', 'c', 3], ['put', 'other', 'd', null], ['delete', 'notes', 'b', undefined], ['drop', 'notes', null, undefined],
  ]);
  const numbers = changes.map(({ sequence }) => sequence);
  ok(numbers.every((number, place) => place === 0 || number > numbers[place - 1]), `growing: ${numbers}`);
  equal([numbers[0], numbers[1], numbers[5], numbers[6]], [first, second, batch, drop], 'the numbers that writes resolved to');
  for (const [place, after] of numbers.slice(0, -1).entries()) {
    equal(await take(db.changes({ after }), 6 - place), changes.slice(place + 1), `after ${after}`);
  }
}

export async function changesFromNowOnBeginWithTheNextWrite({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  await notes.put('before', 1);
  const iterator = db.changes()[Symbol.asyncIterator]();
  const next = iterator.next();
  await db.stats();
  const sequence = await notes.put('after', 2);
  equal((await next).value, { sequence, collection: 'notes', key: 'after', type: 'put', document: 2 });
  equal((await iterator.return()).done, true);
}

export async function aFeedKeepsUpWithManyWrites({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const count = 2000;
  const feed = take(db.changes({ after: 0 }), count);
  for (let round = 0; round < count / 100; round += 1) {
    await Promise.all(Array.from({ length: 100 }, (_, number) => notes.put(`k${round * 100 + number}`, { number: round * 100 + number, text: 'x'.repeat(50) })));
    if (round === 10) await db.compact();
  }
  const changes = await feed;
  ok(changes.every(({ key, document }, place) => key === `k${place}` && document.number === place), 'in order, without gaps');
}

export async function aFeedEndsQuietlyWhenItsSignalAborts({ open }) {
  const db = await open();
  const controller = new AbortController();
  const ended = take(db.changes({ signal: controller.signal }));
  await db.collection('notes').put('a', 1);
  await db.sync();
  controller.abort();
  ok((await ended).length <= 1);
  equal(await take(db.changes({ after: 0, signal: controller.signal })), [], 'one that has aborted before');
  const later = new AbortController();
  const seen = [];
  for await (const change of db.changes({ after: 0, signal: later.signal })) {
    seen.push(change);
    later.abort(new Error('a reason that must not come out'));
  }
  equal(seen.length, 1);
  equal(await take(db.changes({ after: 0 }), 1), seen, 'another feed');
}

export async function aFeedFromWhatTheLogNoLongerHoldsIsRefused({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  for (let number = 0; number < 20; number += 1) await notes.put(`k${number % 3}`, number);
  await db.compact();
  await notes.put('after', 1);
  await db.compact();
  const { sequence } = await db.stats();
  await refuses('not-found', () => take(db.changes({ after: 0 }), 1), 'after 0');
  const next = take(db.changes({ after: sequence }), 1);
  await notes.put('k', 'new');
  equal((await next)[0].key, 'k', 'from the end');
  for (const after of [-1, 1.5, NaN, '0', null, {}, 2 ** 60]) {
    await refuses('invalid-argument', () => take(db.changes({ after }), 1), `after ${after}`);
  }
  for (const signal of ['abort', 1, {}]) await refuses('invalid-argument', () => take(db.changes({ signal }), 1), `signal ${typeof signal}`);
}

export async function subscriptionsAreInEffectAtOnce({ open }) {
  const db = await open();
  const [notes, others] = [db.collection('notes'), db.collection('others')];
  await notes.put('before', 0);
  const seen = [];
  const stop = notes.subscribe(changes => {
    ok(Array.isArray(changes) && changes.length > 0, 'an array of some');
    seen.push(...changes);
  });
  const numbers = [await notes.put('a', { n: 1 })];
  await others.put('a', 'not ours');
  await notes.delete('a');
  numbers.push(await db.batch(batch => { batch.put('others', 'b', 1).put('notes', 'b', 2); }), await notes.drop());
  await until(() => seen.length >= 4);
  equal(seen.map(({ type, key, document }) => [type, key, document]),
    [['put', 'a', { n: 1 }], ['delete', 'a', undefined], ['put', 'b', 2], ['drop', null, undefined]]);
  ok(seen.every(({ collection }) => collection === 'notes'), 'of the collection');
  equal([seen[0].sequence, seen[2].sequence, seen[3].sequence], numbers);
  stop();
  stop();
  await notes.put('c', 1);
  await db.sync();
  await db.stats();
  equal(seen.length, 4, 'told after it was stopped');
}

export async function aRangeGetsItsKeysAndDrops({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const seen = { prefix: [], between: [], all: [], both: [] };
  const into = list => changes => list.push(...changes.map(({ type, key }) => (type === 'put' ? key : type)));
  const stops = [
    notes.subscribe({ prefix: 'a-' }, into(seen.prefix)), notes.subscribe({ from: 'a-2', to: 'b' }, into(seen.between)),
    notes.subscribe({}, into(seen.all)), notes.subscribe({ prefix: 'a-', from: 'a-2' }, into(seen.both)),
  ];
  for (const key of ['a', 'a-1', 'a-2', 'a-\u{1F600}', 'b', 'b-1']) await notes.put(key, 1);
  await notes.delete('b-1');
  await notes.drop();
  await notes.put('a-9', 1);
  await until(() => seen.all.length >= 9 && seen.both.at(-1) === 'a-9' && seen.prefix.at(-1) === 'a-9' && seen.between.at(-1) === 'a-9');
  equal(seen, {
    prefix: ['a-1', 'a-2', 'a-\u{1F600}', 'drop', 'a-9'], between: ['a-2', 'a-\u{1F600}', 'drop', 'a-9'],
    all: ['a', 'a-1', 'a-2', 'a-\u{1F600}', 'b', 'b-1', 'delete', 'drop', 'a-9'], both: ['a-2', 'a-\u{1F600}', 'drop', 'a-9'],
  });
  for (const stop of stops) stop();
}

export async function aListenerThatThrowsHarmsNobody({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const [one, two] = [[], []];
  const quiet = event => event.preventDefault();
  window.addEventListener('error', quiet);
  window.addEventListener('unhandledrejection', quiet);
  const stops = [
    notes.subscribe(changes => { one.push(...changes); throw new Error('mine'); }),
    notes.subscribe(changes => two.push(...changes)),
  ];
  for (let number = 0; number < 10; number += 1) await notes.put(`k${number}`, number);
  await until(() => one.length === 10 && two.length === 10);
  for (const stop of stops) stop();
  window.removeEventListener('error', quiet);
  window.removeEventListener('unhandledrejection', quiet);
  for (const listener of [undefined, null, 7, {}]) {
    await refuses('invalid-argument', async () => notes.subscribe(listener), `subscribe(${String(listener)})`);
    await refuses('invalid-argument', async () => notes.subscribe({}, listener ?? 'none'), `subscribe({}, ${String(listener)})`);
  }
}
