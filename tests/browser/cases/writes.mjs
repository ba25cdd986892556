/** Writes: their sequence numbers, and that each is done wholly or not at all. */

import { equal, ok, refuses } from '../page/check.mjs';

export async function writesResolveToGrowingNumbers({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  const numbers = [await notes.put('a', 1), await notes.put('a', 2), await notes.put('b', 3, { durability: 'buffered' })];
  numbers.push(await notes.putMany([['c', 4], ['d', 5]]));
  numbers.push(await db.batch(batch => { batch.put('notes', 'e', 6).delete('notes', 'a'); }));
  numbers.push(await notes.drop());
  numbers.push(...await Promise.all(Array.from({ length: 100 }, (_, number) => notes.put(`p${number}`, number))));
  ok(numbers.every((number, place) => Number.isSafeInteger(number) && (place === 0 ? number > 0 : number > numbers[place - 1])), String(numbers));
  await db.sync();
  equal((await db.stats()).sequence, numbers.at(-1));
}

export async function deleteTellsWhetherItWasThere({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  await notes.put('a', null);
  const { sequence } = await db.stats();
  equal(await notes.delete('b'), false);
  equal(await db.collection('never').delete('a'), false);
  equal((await db.stats()).sequence, sequence, 'nothing is written');
  equal(await notes.delete('a'), true);
  equal(await notes.delete('a'), false);
  equal(await notes.get('a'), undefined);
  equal(await Promise.all([notes.put('c', 1), notes.delete('c'), notes.delete('c'), notes.put('c', 2), notes.get('c')]).then(all => all.slice(1, 3)), [true, false], 'in the order of the calls');
  equal(await notes.get('c'), 2);
}

export async function getManyKeepsOrderAndPlaces({ open }) {
  const notes = (await open()).collection('notes');
  await notes.putMany([['a', 1], ['b', null], ['c', 3]]);
  const found = await notes.getMany(['c', 'x', 'b', 'a', 'c', 'y']);
  equal(found.length, 6);
  equal(found, [3, undefined, null, 1, 3, undefined]);
  equal(await notes.getMany([]), []);
}

export async function putManyTakesAnyIterable({ open }) {
  const db = await open();
  const notes = db.collection('notes');
  await notes.putMany(new Map([['m', 1]]));
  await notes.putMany((function* () { yield ['g', 1]; yield ['g', 2]; })());
  equal(await notes.getAll(), [['g', 2], ['m', 1]]);
  const { sequence } = await db.stats();
  ok(Number.isSafeInteger(await notes.putMany([])), 'nothing to put');
  const mine = new Error('mine');
  const failing = (function* () { yield ['z', 1]; throw mine; })();
  ok(await notes.putMany(failing).catch(error => error) === mine, 'the iterable\'s own error');
  equal(await notes.count(), 2);
  equal((await db.stats()).sequence - sequence < 3, true, 'nothing is written');
}

export async function aBatchIsWrittenWhollyOrNotAtAll({ open }) {
  const db = await open();
  const [a, b] = [db.collection('a'), db.collection('b')];
  await a.putMany([['1', 'old'], ['2', 'old']]);
  const last = await db.batch(batch => {
    batch.put('a', '1', 'new').delete('a', '2').put('b', '1', 'new').put('b', '1', 'newer').drop('c').delete('b', 'never');
  });
  equal([await a.getAll(), await b.getAll()], [[['1', 'new']], [['1', 'newer']]]);
  equal((await db.stats()).sequence, last);
  await db.batch(batch => { batch.put('a', '3', 1).drop('a').put('a', '4', 1); });
  equal(await a.getAll(), [['4', 1]], 'a drop between puts');
  const mine = new RangeError('mine');
  const thrown = await db.batch(batch => { batch.put('a', '5', 1); throw mine; }).catch(error => error);
  ok(thrown === mine, 'a builder\'s own error');
  await refuses('too-large', () => db.batch(batch => batch.put('a', '6', 1).put('a', 'k'.repeat(1025), 1)));
  await refuses('invalid-argument', () => db.batch(batch => { batch.put('a', '7', 1); batch.put('a', '', 1); }));
  for (const builder of [undefined, null, 7, {}]) await refuses('invalid-argument', () => db.batch(builder), `batch(${String(builder)})`);
  ok(Number.isSafeInteger(await db.batch(() => {})), 'an empty batch');
  equal(await a.getAll(), [['4', 1]]);
  equal((await db.stats()).documents, 2);
}

export async function aBatchIsSeenAsAWhole({ open }) {
  const db = await open();
  const pairs = db.collection('pairs');
  let writing = true;
  const writer = (async () => {
    for (let round = 0; round < 60; round += 1) {
      await db.batch(batch => { for (let place = 0; place < 20; place += 1) batch.put('pairs', `k${place}`, round); });
    }
    writing = false;
  })();
  let looks = 0;
  while (writing) {
    const rounds = new Set((await pairs.getAll()).map(([, round]) => round));
    ok(rounds.size <= 1, `a mixture: ${[...rounds]}`);
    looks += 1;
  }
  await writer;
  ok(looks > 0, 'looked');
  equal(await pairs.count(), 20);
}

export async function dropRemovesOneCollection({ open }) {
  const db = await open();
  const [a, b] = [db.collection('a'), db.collection('b')];
  await a.putMany([['1', 1], ['2', 2]]);
  await b.put('1', 1);
  equal(await db.collections(), ['a', 'b']);
  await a.drop();
  equal([await a.count(), await a.getAll(), await a.get('1'), await b.count()], [0, [], undefined, 1]);
  equal(await db.collections(), ['b']);
  await a.put('3', 3);
  equal(await a.getAll(), [['3', 3]]);
  await db.collection('never').drop();
}

export async function callsOfOneTurnAreDoneInOrder({ open }) {
  const notes = (await open()).collection('notes');
  const results = await Promise.all([
    notes.get('a'), notes.put('a', 1), notes.get('a'), notes.put('a', 2, { durability: 'buffered' }), notes.count(), notes.delete('a'), notes.get('a'),
  ]);
  equal([results[0], results[5]], [undefined, true]);
  equal(await notes.get('a'), undefined);
  await notes.put('b', 1);
  equal(await notes.get('b'), 1, 'what was written is read');
}
