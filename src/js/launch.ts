/** How a page comes by the worker, and the worker by the wasm: from files beside the module that calls this.
 *
 *  `./inline` launches in another way (`launch_inline.ts`), so whoever opens a database is handed a `Launch`. */

export interface Places {
  workerUrl?: string | URL | undefined;
  wasmUrl?: string | URL | undefined;
  /** Whether the worker is to know encryption: there are two, and two modules of wasm. */
  isEncrypted?: boolean;
}

/** What the first message hands on: the compiled wasm, or where it is, or its bytes, or nothing: then it is beside the worker. */
export interface Wasm { module?: WebAssembly.Module; wasmUrl?: string; wasm?: ArrayBuffer }

export interface Launched { worker: Worker; wasm: Promise<Wasm> }

/** Starts a worker each time that it is called; nothing before. May throw what `Worker` throws. */
export type Launch = (places: Places) => Launched;

export const launch: Launch = ({ workerUrl, wasmUrl, isEncrypted }) => {
  if (workerUrl !== undefined) return { worker: new Worker(workerUrl, { type: 'module' }), wasm: located(wasmUrl) };
  // Bundlers look for exactly these expressions, and put the files where they then lead.
  if (isEncrypted) {
    const worker = new Worker(new URL('./worker-encrypted.js', import.meta.url), { type: 'module' });
    return { worker, wasm: located(wasmUrl ?? new URL('./pumice_encrypted_bg.wasm', import.meta.url)) };
  }
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  return { worker, wasm: located(wasmUrl ?? new URL('./pumice_bg.wasm', import.meta.url)) };
};

/** Compiles the wasm here, while the worker begins. Where that fails the worker tries by itself, and tells why not. A relative
 *  address is the page's: the worker would look for it beside itself. */
export const located = (wasmUrl: string | URL | undefined): Promise<Wasm> => {
  if (wasmUrl === undefined) return Promise.resolve({});
  const url = new URL(wasmUrl, document.baseURI).href;
  return WebAssembly.compileStreaming(fetch(url)).then(module => ({ module }), () => ({ wasmUrl: url }));
};
