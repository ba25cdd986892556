/** What tabs do while others come and go: write under names of their own, and watch what everyone writes. */

/** Writes documents until `window.enough`; keys begin with `tab`, which no other tab of the test has. What was acknowledged is told as
 *  `[key, sequence]`, a batch by its last key, or as `{ failed }`. */
export async function write(db, tab, teller) {
  const [notes, others] = [db.collection('notes'), db.collection('others')];
  let number = 0;
  const key = () => `${tab}:${String(number++).padStart(6, '0')}`;
  const tell = async (key, write) => {
    try {
      teller.tell([key, await write]);
    } catch (error) {
      teller.tell({ failed: `${key}: ${error.code}: ${error.message}` });
    }
  };
  while (!window.enough) {
    const [one, two, three, four] = [key(), key(), key(), key()];
    await tell(one, notes.put(one, { tab, one }));
    // Not waited for one by one: so several are under way at any moment.
    await Promise.all([
      tell(two, notes.put(two, { tab, two })),
      tell(three, others.putMany([[three, { tab }], [`${three}+`, { tab }]])),
      tell(four, db.batch(batch => { batch.put('notes', four, { tab, text: 'ä'.repeat(100) }).delete('notes', one); })),
    ]);
  }
  await teller.done();
}

/** Keeps what a subscription and a change feed tell, in `window.seen` and `window.fed`. */
export function watch(db) {
  const short = ({ sequence, type, collection, key }) => `${sequence} ${type} ${collection} ${key}`;
  window.seen = [];
  window.fed = [];
  window.feedError = undefined;
  const stop = db.collection('notes').subscribe(changes => window.seen.push(...changes.map(short)));
  const controller = new AbortController();
  const feed = (async () => {
    for await (const change of db.changes({ after: 0, signal: controller.signal })) window.fed.push(short(change));
  })().catch(error => { window.feedError = `${error.code}: ${error.message}`; });
  window.unwatch = () => {
    stop();
    controller.abort();
    return feed;
  };
}

/** Everything that was ever written, as `watch` saw it in this tab, and the keys that are there now. */
export async function history(db) {
  const last = await db.collection('end').put('end', true);
  const end = `${last} put end end`;
  while (!window.fed.includes(end) && window.feedError === undefined) await new Promise(resolve => setTimeout(resolve, 20));
  const keys = async name => (await db.collection(name).getAll()).map(([key]) => `${name} ${key}`);
  return { error: window.feedError, found: window.fed.slice(0, -1), keys: [...await keys('notes'), ...await keys('others')] };
}
