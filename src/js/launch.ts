/** How a page comes by the worker, and the worker by the wasm: from files beside the module that calls this.
 *
 *  `./inline` launches in another way (`launch_inline.ts`), so whoever opens a database is handed a `Launch`. */

export interface Places { workerUrl?: string | URL | undefined; wasmUrl?: string | URL | undefined }

/** What the `start` message hands on: where the wasm is, or its bytes, or neither: then it is beside the worker. */
export interface Launched { worker: Worker; wasmUrl?: string; wasm?: ArrayBuffer }

/** Starts a worker each time that it is called; nothing before. May throw what `Worker` throws. */
export type Launch = (places: Places) => Launched;

export const launch: Launch = ({ workerUrl, wasmUrl }) => ({
  // Bundlers look for exactly this expression, and put the worker where it then leads.
  worker: workerUrl === undefined
    ? new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
    : new Worker(workerUrl, { type: 'module' }),
  ...located(wasmUrl),
});

/** A relative address is the page's: the worker would look for it beside itself. */
export const located = (wasmUrl: string | URL | undefined): { wasmUrl?: string } =>
  wasmUrl === undefined ? {} : { wasmUrl: new URL(wasmUrl, document.baseURI).href };
