/** A workload whose every operation follows from its number, and leaves that number in some document: so what a crash
 *  left says after how many operations that was. Runs in pages (`work`) and, as a model, in tests (`judge`). */

const KEYS = 60;

/** Operation `number` as a list of `['put', collection, key, document]`, `['delete', ...]`, `['drop', collection]`. */
function operation(number, bytes) {
  const document = { number, text: 'x'.repeat((number * 131) % bytes) };
  if (number % 250 === 249) return [['drop', 'pairs'], ['put', 'counts', 'drops', document]];
  if (number % 10 === 3) return [['delete', 'notes', `k${(number * 7) % KEYS}`], ['put', 'counts', 'deletes', document]];
  if (number % 10 === 6) return [['put', 'pairs', `a${number % KEYS}`, document], ['put', 'pairs', `b${number % KEYS}`, document]];
  return [['put', 'notes', `k${number % KEYS}`, document]];
}

/** Does operation `number`; resolves when the database has acknowledged it. */
function perform(db, number, bytes) {
  const parts = operation(number, bytes);
  if (parts.length === 1) return db.collection(parts[0][1]).put(parts[0][2], parts[0][3]);
  return db.batch(batch => { for (const [kind, ...rest] of parts) batch[kind](...rest); });
}

/** Writes from operation `from` on, one to four at a time, and tells after each how many are acknowledged, until something
 *  fails, which it tells too, or `stop()`. `compactEvery`: a compaction after so many operations; `pause`: ms between groups. */
export function work(db, teller, { from = 0, bytes = 300, compactEvery = 97, pause = 0 } = {}) {
  let going = true;
  const ended = (async () => {
    for (let number = from; going;) {
      const group = Array.from({ length: 1 + (number % 4) }, (_, place) => number + place);
      number += group.length;
      await Promise.all(group.map(one => perform(db, one, bytes).then(() => teller.tell(one + 1))));
      if (group.some(one => one % compactEvery === compactEvery - 1)) await db.compact();
      if (pause > 0) await new Promise(resolve => setTimeout(resolve, pause));
    }
  })().catch(error => teller.tell({ failed: `${error.code}: ${error.message}` }));
  return { ended, stop() { going = false; return ended; } };
}

/** All documents, as `[[collection, [[key, document], ...]], ...]`. */
export async function contents(db) {
  const all = [];
  for (const name of (await db.collections()).sort()) all.push([name, await db.collection(name).getAll()]);
  return all;
}

/** What `operations` operations make, in the form of `contents`. */
function model(operations, bytes) {
  const collections = new Map([['counts', new Map()], ['notes', new Map()], ['pairs', new Map()]]);
  for (let number = 0; number < operations; number += 1) {
    for (const [kind, collection, key, document] of operation(number, bytes)) {
      if (kind === 'drop') collections.get(collection).clear();
      else if (kind === 'delete') collections.get(collection).delete(key);
      else collections.get(collection).set(key, document);
    }
  }
  return [...collections].filter(([, entries]) => entries.size > 0)
    .map(([name, entries]) => [name, [...entries].sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** What a crash left, when `acknowledged` operations were. */
export function judge(found, acknowledged, bytes = 300) {
  const documents = found.flatMap(([, entries]) => entries.map(([, document]) => document.number));
  const operations = Math.max(-1, ...documents) + 1;
  if (JSON.stringify(model(operations, bytes)) !== JSON.stringify(found)) return { verdict: 'wrong', operations };
  return { verdict: operations < acknowledged ? 'lost' : 'intact', operations };
}
