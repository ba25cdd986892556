/** The rows of the table of targets, and what each says about Pumice. */

import { ENGINES, isPeer } from '../harness/engines.mjs';
import { ratio } from './statistics.mjs';
import { text, threeDigits } from './units.mjs';

/** `measure` is Pumice's and that of the others in the page, `there` that of the others in their worker. `limit` is
 *  raw OPFS's. A target is a number, or so many `times` what an engine reaches at `by`. */
export const ROWS = [
  {
    work: 'cold start to first put done',
    measure: 'first-put',
    unit: 'seconds',
    limit: 'first-put',
    target: { times: 1.1, of: 'dexie', by: 'first-put' },
  },
  {
    work: 'bulk load',
    measure: 'load/page',
    there: 'load/worker',
    unit: 'perSecond',
    limit: 'load/worker',
    target: { times: 1.2, of: 'wa-sqlite', by: 'load/worker' },
  },
  { work: 'the same, into a new database', measure: 'fresh-load', unit: 'perSecond', limit: 'fresh-load' },
  {
    work: 'durable put, awaited one by one',
    measure: 'puts/page',
    there: 'puts/worker',
    unit: 'perSecond',
    limit: 'puts/worker',
    target: { times: 1, of: 'sqlite', by: 'puts/worker' },
  },
  { work: 'the same, in a new database', measure: 'fresh-puts', unit: 'perSecond', limit: 'fresh-puts' },
  {
    work: 'get, awaited one by one',
    measure: 'gets/page',
    unit: 'perSecond',
    limit: 'gets/page',
    target: { times: 3, of: 'dexie', by: 'gets/page' },
  },
  {
    work: 'getMany, 1,000 keys',
    measure: 'get-many/page',
    there: 'get-many/worker',
    unit: 'perSecond',
    limit: 'get-many/worker',
    target: { times: 1, of: 'wa-sqlite', by: 'get-many/worker' },
  },
  {
    work: '1,000 gets in one microtask',
    measure: 'gets-together/page',
    unit: 'perSecond',
    limit: 'gets-together/page',
    target: { times: 1, of: 'wa-sqlite', by: 'get-many/worker' },
  },
  {
    work: 'getAll as objects',
    measure: 'get-all/page',
    there: 'get-all/worker',
    unit: 'perSecond',
    limit: 'parse',
    target: 1.5e6,
  },
  {
    work: 'reload to first get',
    measure: 'first-get',
    unit: 'seconds',
    target: { times: 1, of: 'wa-sqlite', by: 'first-get' },
  },
  { work: 'the same, with a tenth of the documents', measure: 'first-get-small', unit: 'seconds' },
  { work: 'the same, a database loaded just before', measure: 'fresh-first-get', unit: 'seconds' },
  {
    work: 'reload to all documents',
    measure: 'all-documents',
    unit: 'seconds',
    limit: 'all-documents',
    target: 0.25,
  },
  { work: 'churn', measure: 'churn', unit: 'perSecond', limit: 'churn' },
  { work: 'size after churn, by itself', measure: 'size-churned', unit: 'bytes', target: 3e6 },
  { work: 'size at rest', measure: 'size-rest', unit: 'bytes', limit: 'size-rest', target: 13e6 },
  { work: 'size at rest, not compacted', measure: 'size-loaded', unit: 'bytes' },
  { work: 'size in its first minute', measure: 'fresh-size', unit: 'bytes' },
  { work: 'download, after brotli', measure: 'download', unit: 'bytes', target: 100e3 },
];

const moreIsBetter = unit => unit === 'perSecond';

/** A row with its figures; undefined when Pumice was not measured. */
export function outcome(row, results) {
  const pumice = results.of('pumice', row.measure);
  if (pumice === undefined) return undefined;
  const compared = (engine, measure) => {
    const at = results.of(engine, measure);
    return at && { engine, at, ratio: ratio(pumice.median, at.median, moreIsBetter(row.unit)) };
  };
  const goal = goalOf(row.target, results);
  return {
    pumice,
    best: best(compared, row.measure),
    bestThere: best(compared, row.there),
    limit: compared('raw', row.limit),
    reached: goal && ratio(pumice.median, goal, moreIsBetter(row.unit)),
  };
}

/** The peer beside which Pumice looks worst. Bytes of an engine that the browser brings are no download. */
function best(compared, measure) {
  if (measure === undefined) return undefined;
  const peers = Object.keys(ENGINES).filter(
    name => isPeer(name) && !(measure === 'download' && name === 'indexeddb'),
  );
  return peers
    .map(name => compared(name, measure))
    .filter(Boolean)
    .sort((a, b) => a.ratio - b.ratio)[0];
}

function goalOf(target, results) {
  if (typeof target !== 'object') return target;
  const theirs = results.of(target.of, target.by);
  return theirs && theirs.median * target.times;
}

/** The target in words. */
export function targetText({ target, unit }) {
  if (target === undefined) return '-';
  const sign = moreIsBetter(unit) ? '≥' : '≤';
  if (typeof target === 'number') return `${sign} ${text(unit, target)}`;
  const where = target.by.endsWith('/worker') ? ' in its worker' : '';
  return `${sign} ${target.times} × ${ENGINES[target.of].title}${where}`;
}

/** "met", or how far from it. */
export function verdict({ reached }) {
  if (reached === undefined) return '-';
  return reached >= 1 ? 'met' : `**missed**: ${threeDigits(reached)} of it`;
}

/** Why Pumice is not first where it is not, as far as profiles tell, and what is to be tried next. */
export const BEHIND = {
  'cold start to first put done': [
    'a worker is started and a wasm module compiled before the database opens; Dexie and IndexedDB need neither',
    'keep a database\'s worker for the next page of the same origin, once browsers have workers that are shared and reach OPFS',
  ],
  'the same, into a new database': [
    'until its files are a minute old, what goes into them goes into a journal in IndexedDB as well',
    'nothing: without it a power cut in the first minute could lose all',
  ],
  'durable put, awaited one by one': [
    'the hop to the worker alone takes as long as the flush: even raw OPFS, called from the page, does not reach SQLite in its worker; and a call goes through a queue for all tabs and the group commit',
    'answer a put that is alone in the queue from the turn that wrote it',
  ],
  'the same, in a new database': [
    'each put is in two strict transactions of IndexedDB one after the other until the files are a minute old',
    'nothing: see above',
  ],
  'get, awaited one by one': [
    'two messages between threads, as with any engine in a worker: raw OPFS does not reach three times Dexie either',
    'keep what was read last in the page, for as long as a feed of changes keeps it true',
  ],
  'getMany, 1,000 keys': [
    'each value is found, read and checked by itself',
    'read neighbouring values by one call',
  ],
  '1,000 gets in one microtask': [
    'as for getMany',
    'as for getMany',
  ],
  'getAll as objects': [
    'the page decodes UTF-8 and parses, which with the collection of garbage takes nearly all of the time, one thread for all',
    'nothing: strings from the worker were tried, which then takes as long as the page',
  ],
  'reload to first get': [
    'a worker and a wasm module are started, and at most 16 MB of log are replayed',
    'as above',
  ],
  'the same, with a tenth of the documents': [
    'a worker and a wasm module are started',
    'as above',
  ],
  'the same, a database loaded just before': [
    'what is in young files is in the journal too, and opening compares them',
    'nothing before the files are a minute old',
  ],
  'reload to all documents': [
    'as for the first get, and for getAll',
    'as for these',
  ],
  'size at rest': [
    'keys, checksums and an index stand beside the packed values',
    'pack the keys of a leaf too',
  ],
  'size at rest, not compacted': [
    'a log of JSON lines holds what came last',
    'a smaller log before it is compacted, for more that is written',
  ],
  'size in its first minute': [
    'what goes into young files stands in two copies of a journal as well',
    'nothing: without it a power cut in the first minute could lose all',
  ],
  'download, after brotli': [
    'the whole engine in Rust\'s code, with recovery, compaction and two storages; IndexedDB\'s engine is in the browser',
    'split the module: more than half of it is code that no first put runs, and could come later',
  ],
  'bulk load': [
    'JSON is checked, a line is written and flushed, and put into an ordered map',
    'a larger batch for each message',
  ],
  'churn': [
    'as for the bulk load, and a compaction',
    'as for the bulk load',
  ],
  'size after churn, by itself': [
    'the compaction waits until nothing was written for a second',
    'nothing',
  ],
};

/** Whether another one is ahead in this run, or the target was missed. */
export const isBehind = ({ best, bestThere, reached }, isJudged) =>
  [best, bestThere].some(at => at && at.ratio < 1) || (isJudged && reached !== undefined && reached < 1);
