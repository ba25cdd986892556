/** Opening, closing, deleting and listing databases. */

import { equal, ok, refuses } from '../page/check.mjs';

export async function namesThatMayNotBeAreRefused({ storage }) {
  for (const name of ['', '.', '..', 'a/b', 'a\\b', '/', 'a\u0000', 'a\nb', '\u007F', 'x'.repeat(101), '\uD800', 7, null, undefined, {}]) {
    const what = JSON.stringify(name);
    const code = 'invalid-argument';
    const failed = await window.pumice.open(name, { storage }).then(() => 'opened', error => error.code);
    ok(failed === code || (typeof name === 'string' && name.length > 100 && failed === 'too-large'), `open(${what}): ${failed}`);
    const deleted = await window.pumice.deleteDatabase(name).then(() => 'deleted', error => error.code);
    ok(deleted === code || (typeof name === 'string' && name.length > 100 && deleted === 'too-large'), `deleteDatabase(${what}): ${deleted}`);
  }
}

export async function optionsThatMayNotBeAreRefused({ storage, name }) {
  const bad = [
    { storage: 'floppy' }, { storage: 1 }, { durability: 'none' }, { durability: null }, { flushInterval: -1 }, { flushInterval: NaN },
    { flushInterval: '50' }, { flushInterval: Infinity }, { persist: 'yes' }, { workerUrl: 7 }, { wasmUrl: {} },
  ];
  for (const options of bad) await refuses('invalid-argument', () => window.pumice.open(name, { storage, ...options }), JSON.stringify(options));
  for (const options of ['opfs', 7, () => 1]) await refuses('invalid-argument', () => window.pumice.open(name, options), String(options));
}

export async function namesOfAllKindsStayApart({ storage, open }) {
  const names = ['a', 'A', 'a b', 'a.b', '.a', 'a%2Fb', 'a:b', 'ünï \u{1F600}', 'x'.repeat(100), 'CON', '__proto__', 'constructor', '~tmp', '-'];
  for (const name of names) {
    const db = await open(name);
    equal(db.name, name);
    await db.collection('c').put('name', name);
  }
  for (const name of names) {
    const again = await open(name);
    equal(await again.collection('c').getAll(), [['name', name]], name);
  }
  if (storage === 'memory') return;
  const listed = await window.pumice.listDatabases();
  ok(names.every(name => listed.includes(name)), `all are listed: ${JSON.stringify(listed)}`);
  equal(new Set(listed).size, listed.length, 'listed once each');
}

export async function whatIsClosedIsThereWhenOpenedAgain({ storage, name }) {
  for (let round = 0; round < 4; round += 1) {
    const db = await window.pumice.open(name, { storage });
    const notes = db.collection('notes');
    equal(await notes.count(), storage === 'memory' ? 0 : round);
    await notes.put(`n${round}`, { round }, { durability: round % 2 ? 'buffered' : 'disk' });
    const status = await db.status();
    equal(status.recovered, undefined, 'nothing to recover');
    await db.close();
  }
  await window.pumice.deleteDatabase(name);
}

export async function twoOpensInOnePageShareTheDatabase({ name, storage, open }) {
  const [one, two] = await Promise.all([open(), open()]);
  await one.collection('c').put('a', 1);
  equal(await two.collection('c').get('a'), 1);
  await two.collection('c').put('b', 2);
  equal(await one.collection('c').count(), 2);
  await one.close();
  await refuses('closed', () => one.collection('c').get('a'), 'the closed one');
  equal(await two.collection('c').get('a'), 1, 'the other one goes on');
  if (storage !== 'memory') await refuses('busy', () => window.pumice.deleteDatabase(name));
  await two.close();
  await two.close();
}

export async function closedMeansClosed({ name, storage, open }) {
  const db = await open();
  const notes = db.collection('notes');
  await notes.put('a', 1);
  const iterator = notes.entries()[Symbol.asyncIterator]();
  const feed = db.changes()[Symbol.asyncIterator]();
  const waiting = feed.next().catch(error => error);
  let told = 0;
  const stop = notes.subscribe(() => { told += 1; });
  await Promise.all([db.close(), db.close()]);
  await db.close();
  const calls = {
    collections: () => db.collections(), batch: () => db.batch(() => {}), sync: () => db.sync(), compact: () => db.compact(), stats: () => db.stats(),
    status: () => db.status(), exportSnapshot: () => db.exportSnapshot(), importSnapshot: () => db.importSnapshot(new Blob([])),
    get: () => notes.get('a'), getMany: () => notes.getMany(['a']), put: () => notes.put('a', 1), putMany: () => notes.putMany([['a', 1]]),
    delete: () => notes.delete('a'), drop: () => notes.drop(), count: () => notes.count(), getAll: () => notes.getAll(),
    entries: () => iterator.next(), changes: () => db.changes()[Symbol.asyncIterator]().next(),
  };
  for (const [what, call] of Object.entries(calls)) await refuses('closed', call, what);
  const last = await waiting;
  ok(last.done === true || last.code === 'closed', 'a feed ends or says that it is closed');
  stop();
  equal(told, 0);
  const again = await window.pumice.open(name, { storage });
  equal(await again.collection('notes').count(), storage === 'memory' ? 0 : 1);
  await again.close();
}

export async function callsBeforeCloseAreDone({ name, storage }) {
  const db = await window.pumice.open(name, { storage });
  const writes = Array.from({ length: 50 }, (_, number) => db.collection('c').put(`k${number}`, number, { durability: 'buffered' }));
  const closing = db.close();
  const outcomes = await Promise.allSettled(writes);
  await closing;
  const again = await window.pumice.open(name, { storage });
  const there = new Set((await again.collection('c').getAll()).map(([key]) => key));
  for (const [number, outcome] of outcomes.entries()) {
    if (outcome.status === 'rejected') equal(outcome.reason.code, 'closed');
    else if (storage !== 'memory') ok(there.has(`k${number}`), `k${number} was acknowledged`);
  }
  await again.close();
  await window.pumice.deleteDatabase(name);
}

export async function deletedMeansGone({ name, storage }) {
  const db = await window.pumice.open(name, { storage });
  await db.collection('c').put('a', 1);
  await db.compact();
  if (storage !== 'memory') {
    const error = await refuses('busy', () => window.pumice.deleteDatabase(name));
    ok(error.message.length > 0);
    equal(await db.collection('c').get('a'), 1, 'a refused deletion does nothing');
  }
  await db.close();
  await window.pumice.deleteDatabase(name);
  await window.pumice.deleteDatabase(name);
  ok(!(await window.pumice.listDatabases()).includes(name), 'not listed');
  const again = await window.pumice.open(name, { storage });
  equal(await again.collections(), []);
  equal((await again.stats()).sequence, 0);
  await again.close();
  await window.pumice.deleteDatabase(name);
  await window.pumice.deleteDatabase('a name that never was');
}

export async function openingAndClosingInAnyOrderSettles({ name, storage }) {
  const outcomes = await Promise.allSettled(Array.from({ length: 30 }, async (_, number) => {
    const db = await window.pumice.open(name, { storage });
    await db.collection('c').put(`k${number}`, number);
    if (number % 3 === 0) await db.close();
    return db;
  }));
  for (const outcome of outcomes) ok(outcome.status === 'fulfilled', String(outcome.reason));
  const last = outcomes.at(-2).value;
  ok(await last.collection('c').count() >= 1, 'it works');
  for (const { value } of outcomes) await value.close();
  await window.pumice.deleteDatabase(name);
}
