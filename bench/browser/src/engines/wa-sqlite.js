/** wa-sqlite, in the fork that is kept up, on its pool of synchronous file handles. */

import * as SQLite from '@journeyapps/wa-sqlite';
import load from '@journeyapps/wa-sqlite/dist/wa-sqlite.mjs';
import { AccessHandlePoolVFS } from '@journeyapps/wa-sqlite/src/examples/AccessHandlePoolVFS.js';
import { ALL, COMPACT, GET, PUT, SETUP } from '../sql.js';
import { array } from '../texts.js';

let sqlite;
let files;
let database;
let statements;

async function prepared(sql) {
  for await (const statement of sqlite.statements(database, sql, { unscoped: true })) return statement;
  throw new Error(`no statement: ${sql}`);
}

async function put(key, text) {
  sqlite.bind_text(statements.put, 1, key);
  sqlite.bind_text(statements.put, 2, text);
  await sqlite.step(statements.put);
  await sqlite.reset(statements.put);
}

async function get(key) {
  sqlite.bind_text(statements.get, 1, key);
  const found =
    (await sqlite.step(statements.get)) === SQLite.SQLITE_ROW ? sqlite.column_text(statements.get, 0) : undefined;
  await sqlite.reset(statements.get);
  return found;
}

async function getEach(keys) {
  const texts = [];
  for (const key of keys) texts.push(await get(key));
  return texts;
}

async function execute(lines) {
  for (const line of lines) await sqlite.exec(database, line);
}

export default {
  async open() {
    const module = await load({ locateFile: name => new URL(name, import.meta.url).href });
    sqlite = SQLite.Factory(module);
    files = await AccessHandlePoolVFS.create('bench', module);
    sqlite.vfs_register(files, true);
    database = await sqlite.open_v2('bench');
    await execute(SETUP);
    statements = { put: await prepared(PUT), get: await prepared(GET), all: await prepared(ALL) };
  },
  put,
  async putMany(entries) {
    await execute(['BEGIN']);
    for (const [key, text] of entries) await put(key, text);
    await execute(['COMMIT']);
  },
  get,
  getMany: async keys => array(await getEach(keys)),
  async getAll() {
    const texts = [];
    while ((await sqlite.step(statements.all)) === SQLite.SQLITE_ROW)
      texts.push(sqlite.column_text(statements.all, 0));
    await sqlite.reset(statements.all);
    return array(texts);
  },
  compact: () => execute(COMPACT),
  async close() {
    for (const statement of Object.values(statements)) await sqlite.finalize(statement);
    await sqlite.close(database);
    await files.close();
  },
};
