/** Every engine: its name in results, how pages call it, and what it loads beside its bundle.
 *
 *  Those `in: 'worker'` store texts; the others have their own way to the page. */

const sqlite = '@sqlite.org/sqlite-wasm/dist/sqlite3.wasm';
const waSqlite = '@journeyapps/wa-sqlite/dist/wa-sqlite.wasm';

export const ENGINES = {
  pumice: { title: 'Pumice', in: 'page' },
  dexie: { title: 'Dexie', in: 'page', npm: 'dexie' },
  indexeddb: { title: 'IndexedDB', in: 'page' },
  sqlite: { title: 'SQLite', in: 'worker', npm: '@sqlite.org/sqlite-wasm', wasm: sqlite },
  'wa-sqlite': { title: 'wa-sqlite', in: 'worker', npm: '@journeyapps/wa-sqlite', wasm: waSqlite },
  raw: { title: 'raw OPFS', in: 'worker', isLimit: true },
};

export const names = Object.keys(ENGINES);
export const isPeer = name => name !== 'pumice' && !ENGINES[name].isLimit;
