/** As it comes: OPFS, and every write durable before it resolves. */

import { open } from 'pumice';

let database;
let collection;

export default {
  async open() {
    database = await open('bench');
    collection = database.collection('users');
  },
  put: (key, document) => collection.put(key, document),
  putMany: entries => collection.putMany(entries),
  get: key => collection.get(key),
  getMany: keys => collection.getMany(keys),
  getAll: () => collection.getAll(),
  compact: () => database.compact(),
  close: () => database.close(),
};
