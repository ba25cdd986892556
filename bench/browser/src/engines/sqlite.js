/** SQLite's own build for browsers, on its pool of synchronous file handles. */

import init from '@sqlite.org/sqlite-wasm';
import { ALL, COMPACT, GET, PUT, SETUP } from '../sql.js';
import { array } from '../texts.js';

let pool;
let database;
let statements;

function put(key, text) {
  statements.put.bind(1, key).bind(2, text).stepReset();
}

function get(key) {
  const found = statements.get.bind(1, key).step() ? statements.get.getString(0) : undefined;
  statements.get.reset();
  return found;
}

export default {
  async open() {
    const sqlite = await init();
    pool = await sqlite.installOpfsSAHPoolVfs();
    database = new pool.OpfsSAHPoolDb('/bench');
    for (const line of SETUP) database.exec(line);
    statements = { put: database.prepare(PUT), get: database.prepare(GET), all: database.prepare(ALL) };
  },
  put,
  putMany(entries) {
    database.exec('BEGIN');
    for (const [key, text] of entries) put(key, text);
    database.exec('COMMIT');
  },
  get,
  getMany: keys => array(keys.map(get)),
  getAll() {
    const texts = [];
    while (statements.all.step()) texts.push(statements.all.getString(0));
    statements.all.reset();
    return array(texts);
  },
  compact() {
    for (const line of COMPACT) database.exec(line);
  },
  close() {
    for (const statement of Object.values(statements)) statement.finalize();
    database.close();
    // Lets go of the file handles.
    pool.pauseVfs();
  },
};
