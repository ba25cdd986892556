/** Dexie, whose transactions are strict. */

import Dexie from 'dexie';

let database;

export default {
  async open() {
    database = new Dexie('bench', { chromeTransactionDurability: 'strict' });
    database.version(1).stores({ users: 'id' });
    await database.open();
  },
  put: (_, document) => database.users.put(document),
  putMany: entries => database.users.bulkPut(entries.map(([, document]) => document)),
  get: key => database.users.get(key),
  getMany: keys => database.users.bulkGet(keys),
  getAll: () => database.users.toArray(),
  close: () => database.close(),
};
