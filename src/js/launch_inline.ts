/** Launches without any file: worker and wasm are inside of this module.
 *
 *  A page's content security policy must allow `worker-src blob:`. */

import base64 from 'pumice:wasm';
import source from 'pumice:worker';
import { PumiceError } from './errors.js';
import { type Launch, located } from './launch.js';

/** Kept for the life of the page, for a worker that crashed is started again. */
let blobUrl: string | undefined;

export const launchInline: Launch = ({ workerUrl, wasmUrl, isEncrypted }) => {
  if (isEncrypted && (workerUrl === undefined || wasmUrl === undefined)) {
    throw new PumiceError('unsupported', 'there is no encryption in this module; import `pumice`, or say `workerUrl` and `wasmUrl`');
  }
  blobUrl ??= URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
  return {
    worker: new Worker(workerUrl ?? blobUrl, { type: 'module' }),
    wasm: wasmUrl === undefined ? Promise.resolve({ wasm: bytes() }) : located(wasmUrl),
  };
};

const bytes = (): ArrayBuffer => Uint8Array.from(atob(base64), character => character.charCodeAt(0)).buffer;
