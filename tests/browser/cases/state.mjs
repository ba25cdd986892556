/** stats, status, sync, compact, and what buffered writes promise. */

import { equal, ok } from '../page/check.mjs';

const isCount = value => Number.isSafeInteger(value) && value >= 0;

export async function statsCount({ open }) {
  const db = await open();
  const empty = await db.stats();
  equal([empty.documents, empty.sequence, empty.compactions], [0, 0, 0]);
  const notes = db.collection('notes');
  for (let number = 0; number < 10; number += 1) await notes.put(`k${number}`, 'x'.repeat(100));
  await notes.delete('k9');
  const full = await db.stats();
  equal([full.documents, full.sequence], [9, 11]);
  ok(full.logBytes > 1000 && full.logBytes < 10_000, `logBytes ${full.logBytes}`);
  ok(full.segments >= 1, 'segments');
  await db.compact();
  const compact = await db.stats();
  equal([compact.documents, compact.sequence, compact.compactions], [9, 11, 1]);
  ok(compact.snapshotBytes > 500 && compact.logBytes < full.logBytes, `after it ${JSON.stringify(compact)}`);
  for (const name of ['documents', 'sequence', 'logBytes', 'snapshotBytes', 'segments', 'compactions']) ok(isCount(compact[name]), name);
}

export async function statusTellsHowItIs({ open, storage }) {
  const db = await open();
  const status = await db.status();
  equal([status.storage, status.leader, status.healthy, status.recovered], [storage, true, true, undefined]);
  equal(typeof status.persisted, 'boolean');
  ok(isCount(status.usage) && isCount(status.quota) && status.quota > 0, `usage ${status.usage} of ${status.quota}`);
}

export async function compactionKeepsEverything({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const expected = new Map();
  for (let round = 0; round < 5; round += 1) {
    const entries = Array.from({ length: 200 }, (_, number) => [`k${(number * 7 + round * 31) % 500}`, { round, number }]);
    await notes.putMany(entries);
    for (const [key, document] of entries) expected.set(key, document);
    const [gone] = entries[round];
    await notes.delete(gone);
    expected.delete(gone);
    const writing = Promise.all(Array.from({ length: 50 }, (_, number) => notes.put(`w${number}`, round)));
    await Promise.all([db.compact(), db.compact(), writing]);
    for (let number = 0; number < 50; number += 1) expected.set(`w${number}`, round);
    equal(await notes.getAll(), [...expected].sort(([a], [b]) => (a < b ? -1 : 1)), `round ${round}`);
  }
}

export async function syncComesAfterWhatWasAccepted({ open }) {
  const db = await open(undefined, { durability: 'buffered', flushInterval: 60_000 });
  const notes = db.collection('notes');
  const feed = db.changes({ after: 0 })[Symbol.asyncIterator]();
  for (let number = 0; number < 10; number += 1) await notes.put(`k${number}`, number);
  equal(await notes.count(), 10, 'visible at once');
  await db.sync();
  for (let number = 0; number < 10; number += 1) equal((await feed.next()).value.key, `k${number}`, 'the feed has what is durable');
  const numbers = await Promise.all([notes.put('d', 1, { durability: 'disk' }), db.sync(), db.sync()]);
  equal((await feed.next()).value.sequence, numbers[0]);
  await feed.return?.();
}

export async function bufferedWritesAreDurableInTime({ open }) {
  const db = await open(undefined, { durability: 'buffered', flushInterval: 200 });
  const notes = db.collection('notes');
  const feed = db.changes({ after: 0 })[Symbol.asyncIterator]();
  const began = performance.now();
  let durable;
  const first = feed.next().then(() => { durable = performance.now() - began; });
  for (let number = 0; durable === undefined && performance.now() - began < 30_000; number += 1) await notes.put(`k${number % 10}`, number);
  await first;
  ok(durable < 5000, `durable after ${durable} ms under steady load`);
  await feed.return?.();
}
