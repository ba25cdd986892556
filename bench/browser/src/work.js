/** Each piece of work, done with an engine and timed here: in the page, or in the engine's worker.
 *
 *  What an engine answers is looked at, so that none is quick by being wrong. */

import { documentOf, entriesOf, keyOf, random } from './documents.js';

/** So many documents are handed over at a time when a database is loaded. */
const CHUNK = 10_000;
/** So many keys are asked for at a time. */
const MANY = 1000;
const SEED = 7;

/** Seconds since the navigation to the page began, or the start of the worker. */
const now = () => performance.now() / 1000;

function check(isRight, what) {
  if (!isRight) throw new Error(`the engine is wrong: ${what}`);
}

const middle = values => values.sort((a, b) => a - b)[values.length >> 1];

/** Repeats what returns how many it did, for `seconds`; returns how many a second. */
async function rate(seconds, step) {
  let count = 0;
  const start = now();
  do count += await step();
  while (now() - start < seconds);
  return count / (now() - start);
}

/** Keys of a database of `documents`, `count` of them at a time. */
function anyKeys(documents, count) {
  const next = random(SEED);
  return () => Array.from({ length: count }, () => keyOf(Math.floor(next() * documents)));
}

function manyGets(documents, seconds, get) {
  const keys = anyKeys(documents, MANY);
  return rate(seconds, async () => {
    const asked = keys();
    const found = await get(asked);
    check(found.length === MANY && found.every((one, at) => one?.id === asked[at]), 'many gets');
    return MANY;
  });
}

async function all(engine, documents) {
  const found = await engine.getAll();
  // Pumice gives the keys beside the documents.
  const [first] = [found[0]].flat().slice(-1);
  check(found.length >= documents && first?.notes.length > 0, `${found.length} of ${documents} documents`);
}

export const works = {
  /** Seconds from navigation to the first put done. */
  async 'first-put'(engine) {
    await engine.open();
    await engine.put('first', documentOf(0, 0, 'first'));
    return now();
  },

  /** Documents a second, written in chunks of which each is durable. */
  async load(engine, { documents, version = 0 }) {
    const chunks = [];
    for (let from = 0; from < documents; from += CHUNK) {
      chunks.push(entriesOf(from, Math.min(CHUNK, documents - from), version));
    }
    const start = now();
    for (const chunk of chunks) await engine.putMany(chunk);
    const taken = now() - start;
    const last = await engine.get(keyOf(documents - 1));
    check(last?.version === version && last.id === keyOf(documents - 1), 'the last document loaded');
    return documents / taken;
  },

  /** Durable puts of new documents a second, each awaited, and what 99 of 100 take at most. */
  async puts(engine, { puts, seconds, name }) {
    const entries = Array.from({ length: puts }, (_, at) => [`${name}/${at}`, documentOf(at, 1, `${name}/${at}`)]);
    const taken = [];
    const start = now();
    for (const [key, document] of entries) {
      const before = now();
      await engine.put(key, document);
      taken.push(now() - before);
      if (now() - start > seconds) break;
    }
    const whole = now() - start;
    check((await engine.get(`${name}/0`))?.version === 1, 'a document put');
    taken.sort((a, b) => a - b);
    return { rate: taken.length / whole, p99: taken[Math.floor(taken.length * 0.99)] };
  },

  /** Gets a second, each awaited. */
  gets(engine, { documents, seconds }) {
    const keys = anyKeys(documents, 1);
    return rate(seconds, async () => {
      const [key] = keys();
      check((await engine.get(key))?.id === key, 'a get');
      return 1;
    });
  },

  /** Documents a second of one call for many keys. */
  'get-many': (engine, { documents, seconds }) => manyGets(documents, seconds, keys => engine.getMany(keys)),

  /** Gets a second, many begun in one microtask. */
  'gets-together': (engine, { documents, seconds }) =>
    manyGets(documents, seconds, keys => Promise.all(keys.map(key => engine.get(key)))),

  /** Documents a second of one call for all of them. */
  async 'get-all'(engine, { documents }) {
    const taken = [];
    for (let times = 0; times < 3; times++) {
      const start = now();
      await all(engine, documents);
      taken.push(now() - start);
    }
    return documents / middle(taken);
  },

  /** Documents a second that one JSON.parse makes: no engine can give objects sooner. */
  async parse(_, { documents }) {
    const text = JSON.stringify(entriesOf(0, documents).map(([, document]) => document));
    const taken = [];
    for (let times = 0; times < 3; times++) {
      const start = now();
      check(JSON.parse(text).length === documents, 'JSON.parse');
      taken.push(now() - start);
    }
    return documents / middle(taken);
  },

  /** Seconds from navigation to the first document. */
  async 'first-get'(engine, { documents }) {
    await engine.open();
    const key = keyOf(documents >> 1);
    check((await engine.get(key))?.id === key, 'the first get');
    return now();
  },

  /** Seconds from navigation to all documents. */
  async 'all-documents'(engine, { documents }) {
    await engine.open();
    await all(engine, documents);
    return now();
  },

  async open(engine) {
    await engine.open();
  },

  /** What the engine has for making its files small, if anything. */
  async compact(engine) {
    await engine.compact?.();
  },

  async close(engine) {
    await engine.close();
  },
};
