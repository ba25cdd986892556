/** The page: begins at once with the work that its address asks for, then does what the runner asks. */

import { documents, remote } from './texts.js';
import { works } from './work.js';

/** With an engine of documents in the page. */
export const runInPage = engine => run(engine, undefined);

/** With an engine of texts in the worker beside this script. */
export function runInWorker() {
  const texts = remote(new Worker(new URL('./worker.js', import.meta.url), { type: 'module' }));
  run(documents(texts), texts.work);
}

function run(engine, workThere) {
  window.work = (name, options, place) =>
    place === 'worker' ? workThere(name, options) : works[name](engine, options);
  const { work, ...options } = Object.fromEntries(new URLSearchParams(location.search));
  window.first = window.work(work, { documents: Number(options.documents) }, 'page');
  // The runner asks for it later, and tells then what went wrong.
  window.first.catch(() => {});
}
