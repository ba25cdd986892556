/** What tests find on the blank page, beside the package. */

/** Runs the case `name` of a module under /tests/cases/, on a storage. */
export async function runCase(module, name, storage) {
  const cases = await import(`/tests/cases/${module}`);
  const database = `${module.replace('.mjs', '')} ${name} ${storage}`;
  const opened = [];
  const test = {
    storage,
    name: database,
    /** Opens a database that is closed when the case ends. */
    async open(name = database, options = {}) {
      const db = await window.pumice.open(name, { storage, ...options });
      opened.push([name, db]);
      return db;
    },
  };
  try {
    await cases[name](test);
  } finally {
    for (const [, db] of opened) await db.close();
  }
  for (const [name] of opened) await window.pumice.deleteDatabase(name);
}

/** Tells the server things, in order, one request at a time. */
export function teller(channel) {
  const waiting = [];
  let sending;
  async function send() {
    while (waiting.length > 0) {
      await fetch(`/told/${channel}`, { method: 'POST', body: JSON.stringify(waiting.splice(0)) });
    }
    sending = undefined;
  }
  return {
    tell(thing) {
      waiting.push(thing);
      sending ??= send();
    },
    /** Resolves when everything is told. */
    done: () => sending ?? Promise.resolve(),
  };
}

/** Collects from an async iterable up to `count` items, then leaves it. */
export async function take(iterable, count) {
  const items = [];
  if (count === 0) return items;
  for await (const item of iterable) {
    items.push(item);
    if (items.length === count) break;
  }
  return items;
}

/** Waits until `condition` gives something truthy, which it returns. */
export async function until(condition, what = String(condition)) {
  const end = performance.now() + 60_000;
  for (;;) {
    const found = await condition();
    if (found) return found;
    if (performance.now() > end) throw new Error(`in vain: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
