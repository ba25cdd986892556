/** A database in IndexedDB that is none of the package's, with one value that was committed strictly. A browser that has lost it has
 *  lost IndexedDB altogether. */

const done = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function reach() {
  const request = indexedDB.open('canary');
  request.onupgradeneeded = () => request.result.createObjectStore('values');
  return done(request);
}

/** Resolves when the value is durable, as far as the browser tells. */
export async function put(value) {
  const database = await reach();
  const transaction = database.transaction('values', 'readwrite', { durability: 'strict' });
  transaction.objectStore('values').put(value, 'value');
  await new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error);
  });
  database.close();
}

export async function get() {
  const database = await reach();
  const value = await done(database.transaction('values').objectStore('values').get('value'));
  database.close();
  return value;
}
