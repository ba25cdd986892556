/** Canaries that are none of the package's: a database in IndexedDB with one value that was committed strictly, and a file in OPFS. A
 *  browser that has lost one of them has lost IndexedDB, or OPFS, altogether. */

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

/** Makes the file. It is durable a minute later. */
export async function putFile() {
  const top = await navigator.storage.getDirectory();
  const writer = await (await top.getFileHandle('canary', { create: true })).createWritable();
  await writer.write('alive');
  await writer.close();
}

export async function hasFile() {
  const top = await navigator.storage.getDirectory();
  try {
    return await (await (await top.getFileHandle('canary')).getFile()).text() === 'alive';
  } catch (error) {
    if (error.name === 'NotFoundError') return false;
    throw error;
  }
}
