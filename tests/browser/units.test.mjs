/** What the page's side decides without a browser: which arguments are taken, which keys are in a range, what leaves in one
 *  message, and what happens to calls whose leader is gone. */

import { before, describe, test } from 'node:test';
import { deepStrictEqual as equal, ok, rejects, throws } from 'node:assert';
import { endOf } from './harness/leveldb.mjs';
import { source } from './harness/source.mjs';

let js;
before(async () => {
  js = await source('all.ts', 'range.ts', 'text.ts', 'options.ts', 'pack.ts', 'calls.ts', 'batch.ts', 'index.ts', 'open.ts');
});

const refuses = (code, action) => throws(action, error => error instanceof js.PumiceError && error.code === code);
const utf8 = new TextEncoder();

describe('arguments', () => {
  test('lengths count in bytes of UTF-8', () => {
    for (const [check, limit] of [[js.checkKey, 1024], [js.checkCollection, 255]]) {
      for (const character of ['a', 'ä', '€', '😀']) {
        const bytes = utf8.encode(character).length;
        const fits = character.repeat(Math.floor(limit / bytes)) + 'a'.repeat(limit % bytes);
        equal(check(fits), fits);
        refuses('too-large', () => check(`${fits}a`));
      }
      for (const bad of ['', '\uD800', 'a\uDC00b', 7, null, undefined, {}, ['a']]) refuses('invalid-argument', () => check(bad));
    }
    refuses('invalid-argument', () => js.checkCollection('a\u0085'));
    equal(js.checkKey('a\n\0'), 'a\n\0');
  });

  test('the length of any text is known without encoding it', () => {
    for (const text of ['', 'plain', 'äöü', '€', '😀a😀', '\uFFFF\u07FF\u0800']) equal(js.utf8Length(text), utf8.encode(text).length);
  });

  test('what is no JSON is refused, and what toJSON gives is taken', () => {
    const cycle = {};
    cycle.self = cycle;
    let deep = 1;
    for (let level = 0; level < 100_000; level += 1) deep = [deep];
    for (const bad of [undefined, () => 1, Symbol('s'), 1n, { big: 1n }, cycle, { toJSON: () => undefined }]) {
      refuses('invalid-argument', () => js.documentText(bad));
    }
    refuses('too-large', () => js.documentText(deep));
    equal(js.documentText({ a: undefined, b: [undefined, NaN], c: new Date(0) }), '{"b":[null,null],"c":"1970-01-01T00:00:00.000Z"}');
    equal(js.documentText('\uD800'), '"\\ud800"');
  });

  test('a builder that fails, or does not end at once, writes nothing', () => {
    const mine = new Error('mine');
    throws(() => js.batchText(() => { throw mine; }), error => error === mine);
    refuses('invalid-argument', () => js.batchText(async () => {}));
    refuses('invalid-argument', () => js.batchText());
    let kept;
    equal(js.batchText(batch => { kept = batch.put('c', 'k', { a: 1 }).delete('c', '"').drop('d'); }),
      '[["put","c","k",{"a":1}],["delete","c","\\""],["drop","d"]]');
    refuses('invalid-argument', () => kept.put('c', 'k', 1));
  });

  test('nothing but a browser can open', async () => {
    await rejects(js.open('a'), { code: 'unsupported', name: 'PumiceError' });
    await rejects(js.deleteDatabase('a'), { code: 'unsupported' });
    await rejects(js.listDatabases(), { code: 'unsupported' });
    await rejects(js.open('a/b'), { code: 'invalid-argument' });
  });
});

describe('ranges', () => {
  test('the order of keys is that of their bytes', () => {
    const keys = ['', 'a', 'a\0', 'aa', 'b', 'ä', '\uD7FF', '\uE000', '\uFFFF', '\u{10000}', '\u{10FFFF}', 'a\uFFFF', 'a\u{10000}'];
    const byBytes = (a, b) => Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    for (const a of keys) for (const b of keys) equal(Math.sign(js.compareKeys(a, b)), byBytes(a, b), `${a} and ${b}`);
  });

  test('what is left behind a key holds no key twice and misses none', () => {
    const keys = ['a', 'a\0', 'a\0b', 'aa', 'b'];
    for (const reverse of [false, true]) {
      for (const key of keys) {
        const rest = js.behind({ reverse, limit: 9 }, key, 4);
        equal(rest.limit, 5);
        equal(keys.filter(other => js.contains(rest, other)), keys.filter(other => (reverse ? other < key : other > key)));
      }
    }
  });
});

describe('messages', () => {
  test('texts of one message share a buffer, each with its own part', () => {
    for (const texts of [['["a"]'], ['["a"]', '["äö"]', '["😀"]', '[]'], ['["a"]', '["b"]']]) {
      const { calls, transfer } = js.pack(texts.map((text, id) => ({ id, n: id + 3, body: { op: 'batch', text, durability: 'disk' } })), 3);
      equal(transfer.length, 1);
      equal(calls.map(({ text }) => new TextDecoder().decode(text)), texts);
      equal(calls.map(({ n, done }) => [n, done]), texts.map((_, id) => [id + 3, 3]));
      ok(calls.every(({ text }) => text.buffer === transfer[0]));
    }
  });
});

/** A leader that keeps what it is asked, for answers by hand. */
const leader = term => ({ term, asked: [], send({ calls }) { this.asked.push(calls); } });
const answer = (id, value, sequence = 100) => ({ id, ok: true, sequence, value });
const turn = () => new Promise(resolve => { setImmediate(resolve); });
const put = (calls, durability = 'disk') => calls.ask({ op: 'putMany', collection: 'c', text: '[]', durability });

describe('calls', () => {
  /** Ended with the test, for their timer would keep it running. */
  const calls = t => {
    const made = new js.Calls('me', () => {}, () => {});
    t.after(() => made.end(new js.PumiceError('closed', 'over')));
    return made;
  };

  test('those of one turn travel together, and gets as one', async t => {
    const made = calls(t);
    const link = leader('one');
    made.attach(link);
    const got = Promise.all([made.get('c', ['a']), made.get('c', ['b', 'c']), made.get('d', ['a'])]);
    put(made).catch(() => {});
    const later = made.get('c', ['d']);
    await turn();
    equal(link.asked.length, 1);
    equal(link.asked[0].map(({ op, keys }) => keys ?? op), [['a', 'b', 'c'], ['a'], 'putMany', ['d']]);
    const text = value => utf8.encode(JSON.stringify(value));
    const [first, second, , fourth] = link.asked[0];
    made.receive([answer(fourth.id, { text: text([]), missing: [0] }), answer(second.id, { text: text([null]), missing: [] }),
      answer(first.id, { text: text([1, 3]), missing: [1] })]);
    equal(await got, [[1], [undefined, 3], [null]]);
    equal(await later, [undefined]);
  });

  test('what has no answer is asked again in order, under the same number', async t => {
    const made = calls(t);
    const [one, two] = [leader('one'), leader('two')];
    made.attach(one);
    const writes = [put(made), put(made), put(made)];
    await turn();
    made.receive([answer(one.asked[0][1].id, 7)]);
    equal(await writes[1], 7);
    made.detach(false);
    const later = put(made);
    made.attach(two);
    equal(two.asked[0].map(({ n, done }) => [n, done]), [[1, 1], [3, 1], [4, 1]]);
    made.receive(two.asked[0].map(({ id }) => answer(id, 9)));
    equal(await Promise.all([writes[0], writes[2], later]), [9, 9, 9]);
    put(made).catch(() => {});
    await turn();
    equal(two.asked[1].map(({ n, done }) => [n, done]), [[5, 5]]);
  });

  test('buffered writes are kept until they are durable', async t => {
    const made = calls(t);
    const [one, two] = [leader('one'), leader('two')];
    made.attach(one);
    const writes = Promise.all([put(made, 'buffered'), put(made, 'buffered')]);
    await turn();
    made.receive([answer(one.asked[0][0].id, 11, 10), answer(one.asked[0][1].id, 12, 11)]);
    equal(await writes, [11, 12]);
    const sync = made.ask({ op: 'sync' });
    made.detach(false);
    made.attach(two);
    equal(two.asked[0].map(({ op, n, done }) => [op, n, done]), [['putMany', 2, 2], ['sync', undefined, undefined]]);
    made.receive(two.asked[0].map(({ id }) => answer(id, 12, 12)));
    await sync;
    made.detach(false);
    made.attach(one);
    equal(one.asked.length, 1, 'nothing is left to ask');
  });

  test('a call that every leader dies of is given up', async t => {
    const made = calls(t);
    const failed = rejects(made.ask({ op: 'collections' }), { code: 'io' });
    for (let term = 0; term < 5; term += 1) {
      made.attach(leader(`${term}`));
      made.detach(false);
    }
    await failed;
    const left = made.ask({ op: 'collections' });
    for (let term = 0; term < 20; term += 1) {
      made.attach(leader(`quiet ${term}`));
      made.detach(true);
    }
    const last = leader('last');
    made.attach(last);
    made.receive([answer(last.asked[0][0].id, [])]);
    equal(await left, []);
  });
});

describe("a log of Chromium's IndexedDB", () => {
  const record = (length, kept = length, kind = 1) => {
    const bytes = Buffer.alloc(7 + length, kind).subarray(0, 7 + kept);
    bytes.writeUInt16LE(length, 4);
    return bytes;
  };
  const end = (...parts) => {
    const { at, zeros, cut } = endOf(Buffer.concat(parts));
    return [at, zeros ? 'zeros' : cut ? 'cut' : 'whole'];
  };

  test('ends behind a whole record, in the midst of one, or in zeros', () => {
    equal(end(), [0, 'whole']);
    equal(end(record(20), record(0)), [34, 'whole']);
    equal(end(record(20), record(30, 0)), [27, 'cut'], 'a header alone');
    equal(end(record(20), record(30, 29)), [27, 'cut']);
    equal(end(record(20), record(30).subarray(0, 5)), [27, 'cut']);
    equal(end(record(20), Buffer.alloc(40)), [27, 'zeros']);
  });

  test('has nothing in the last bytes of a block that hold no header', () => {
    const block = record(32768 - 7 - 6);
    equal(end(block, Buffer.alloc(6), record(3)), [32778, 'whole']);
    equal(end(block, Buffer.alloc(6), record(3, 1)), [32768, 'cut']);
  });

  test('ends in the midst of a record that has only its first parts', () => {
    const first = record(32768 - 7, undefined, 2);
    const midst = record(32768 - 7, undefined, 3);
    equal(end(first), [32768, 'cut']);
    equal(end(first, midst), [65536, 'cut']);
    equal(end(first, midst, record(9, undefined, 4)), [65552, 'whole']);
  });
});

describe('getAll', () => {
  const text = entries => new TextEncoder().encode(JSON.stringify(entries));
  /** A leader that loses a scan `times` times, whenever it is to go on. */
  const losing = times => {
    const calls = { term: 'one', scans: 0 };
    calls.request = ({ op }, done, fail, lost) => {
      if (op === 'scan') {
        calls.scans += 1;
        done({ value: { text: text([['a', calls.scans]]), cursor: 1 } });
      } else if (calls.scans <= times) lost();
      else done({ value: { text: text([['b', calls.scans]]) } });
    };
    return calls;
  };

  test('begins anew when the leader is lost, and gives up when none survives it', async () => {
    for (const times of [0, 1, 4]) equal(await js.all(losing(times), 'c', {}), [['a', times + 1], ['b', times + 1]]);
    const calls = losing(100);
    await rejects(js.all(calls, 'c', {}), error => error instanceof js.PumiceError && error.code === 'io' && /lost 5 times/.test(error.message));
    equal(calls.scans, 5);
  });
});
