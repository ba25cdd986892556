/** Export and import within the page. */

import { equal, ok, refuses } from '../page/check.mjs';
import { take, until } from '../page/tools.mjs';

async function contents(db) {
  const all = {};
  for (const name of await db.collections()) all[name] = await db.collection(name).getAll();
  return all;
}

async function filled(open, name) {
  const db = await open(name);
  await db.collection('notes').putMany(Array.from({ length: 500 }, (_, number) => [`k${number}`, { number, text: 'ü'.repeat(number % 50) }]));
  await db.collection('werte').putMany([['null', null], ['zahl', 0.1], ['\u{1F600}', '\uD800']]);
  await db.compact();
  await db.collection('notes').delete('k3');
  await db.collection('notes').put('k4', 'newer');
  return db;
}

export async function aSnapshotCarriesEverything({ open, name }) {
  const source = await filled(open, name);
  const file = await source.exportSnapshot();
  ok(file instanceof Blob && file.size > 1000, 'a file');
  const before = await contents(source);
  await source.collection('notes').put('later', 1);
  const target = await open(`${name} target`);
  await target.collection('gone').put('a', 1);
  await target.importSnapshot(file);
  equal(await contents(target), before);
  const number = await target.collection('notes').put('k5', 'written after');
  ok(number > 0);
  equal(await target.collection('notes').get('k5'), 'written after');
  await target.close();
  const again = await open(`${name} target`);
  if ((await again.status()).storage !== 'memory') {
    equal(await contents(again), { ...before, notes: before.notes.map(([key, value]) => [key, key === 'k5' ? 'written after' : value]) }, 'opened again');
  }
  await source.importSnapshot(await source.exportSnapshot());
  equal((await source.collection('notes').get('later')), 1, 'its own snapshot');
}

export async function filesThatAreNoSnapshotChangeNothing({ open, name }) {
  const db = await filled(open, name);
  const before = await contents(db);
  const good = new Uint8Array(await (await db.exportSnapshot()).arrayBuffer());
  const changed = change => {
    const bytes = good.slice();
    change(bytes);
    return new Blob([bytes]);
  };
  for (const [what, file] of [['empty', new Blob([])], ['text', new Blob(['{"a":1}\n'.repeat(500)])], ['zeros', new Blob([new Uint8Array(5000)])]]) {
    await refuses('invalid-argument', () => db.importSnapshot(file), what);
  }
  for (const file of [undefined, null, 'file', 7, {}, good.buffer]) await refuses('invalid-argument', () => db.importSnapshot(file), typeof file);
  for (const length of [good.length - 1, good.length - 100, Math.floor(good.length / 2), 200]) {
    await refuses('corrupt', () => db.importSnapshot(new Blob([good.subarray(0, length)])), `cut at ${length}`);
  }
  for (let at = 100; at < good.length; at += Math.ceil(good.length / 23)) {
    await refuses('corrupt', () => db.importSnapshot(changed(bytes => { bytes[at] ^= 4; })), `byte ${at}`);
  }
  equal(await contents(db), before);
  await db.collection('notes').put('after', 1);
  equal((await db.status()).healthy, true);
}

export async function readersGoOnOverAnImport({ open, name }) {
  const source = await open(`${name} source`);
  await source.collection('notes').putMany([['a', 'imported'], ['b', 'imported']]);
  const file = await source.exportSnapshot();
  const db = await filled(open, name);
  const notes = db.collection('notes');
  const before = await notes.getAll();
  const iterator = notes.entries()[Symbol.asyncIterator]();
  const first = (await iterator.next()).value;
  const reads = (async () => {
    for (let round = 0; round < 20; round += 1) {
      const count = await notes.count();
      ok(count === 2 || count === before.length, `a mixture of ${count}`);
    }
  })();
  await db.importSnapshot(file);
  await reads;
  equal(await notes.getAll(), [['a', 'imported'], ['b', 'imported']]);
  const rest = await take(iterator && { [Symbol.asyncIterator]: () => iterator }).catch(error => error);
  if (Array.isArray(rest)) equal([first, ...rest], before, 'an iteration sees its moment');
  else ok(rest.code !== undefined, `or says why not: ${rest}`);
  const seen = [];
  const stop = notes.subscribe(changes => seen.push(...changes));
  await notes.put('c', 'new');
  await until(() => seen.length > 0);
  equal(seen.map(({ key }) => key), ['c'], 'a feed begun after it');
  stop();
}
