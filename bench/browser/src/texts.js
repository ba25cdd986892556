/** Engines that store text and live in a worker: how documents get there and back.
 *
 *  JSON text crosses between threads in a fraction of the time that objects take, so only text does. */

/** An engine of documents, made of one of texts, which may answer at once or later. */
export const documents = texts => ({
  ...texts,
  put: (key, document) => texts.put(key, JSON.stringify(document)),
  putMany: entries => texts.putMany(entries.map(([key, document]) => [key, JSON.stringify(document)])),
  async get(key) {
    const text = await texts.get(key);
    return text === undefined ? undefined : JSON.parse(text);
  },
  getMany: async keys => JSON.parse(await texts.getMany(keys)),
  getAll: async () => JSON.parse(await texts.getAll()),
});

/** What is asked for many documents answers with one text, of an array: `undefined` is null there. */
export const array = texts => `[${texts.map(text => text ?? 'null').join(',')}]`;

const METHODS = ['open', 'put', 'putMany', 'get', 'getMany', 'getAll', 'compact', 'close'];

/** The engine of texts in `worker`; `work(name, options)` does a piece of work there. */
export function remote(worker) {
  const waiting = new Map();
  let last = 0;
  worker.onmessage = ({ data: { id, value, error } }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(value);
    else reject(new Error(error));
  };
  worker.onerror = ({ message }) => {
    for (const { reject } of waiting.values()) reject(new Error(message ?? 'the worker does not load'));
  };
  const ask = (method, ...args) =>
    new Promise((resolve, reject) => {
      waiting.set(++last, { resolve, reject });
      worker.postMessage({ id: last, method, args });
    });
  const methods = METHODS.map(method => [method, (...args) => ask(method, ...args)]);
  return { ...Object.fromEntries(methods), work: (name, options) => ask('work', name, options) };
}
