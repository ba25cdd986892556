/** IndexedDB as the browser has it, with strict transactions. */

let database;

const answer = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** Resolves once all that `write` asks of the store is durable. */
const durable = write => new Promise((resolve, reject) => {
  const transaction = database.transaction('users', 'readwrite', { durability: 'strict' });
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error);
  write(transaction.objectStore('users'));
  transaction.commit();
});

const store = () => database.transaction('users').objectStore('users');

export default {
  async open() {
    const request = indexedDB.open('bench', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('users', { keyPath: 'id' });
    database = await answer(request);
  },
  put: (_, document) => durable(users => users.put(document)),
  putMany: entries => durable(users => {
    for (const [, document] of entries) users.put(document);
  }),
  get: key => answer(store().get(key)),
  getMany(keys) {
    const users = store();
    return Promise.all(keys.map(key => answer(users.get(key))));
  },
  getAll: () => answer(store().getAll()),
  close: () => database.close(),
};
