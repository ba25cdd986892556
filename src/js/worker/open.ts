/** Loading the wasm and opening the database in it. */

import init, { Engine } from '../../../pkg/pumice.js';
import type { Start } from '../protocol.js';
import { Failure, failureOf, messageOf } from './failure.js';

/** How long a former worker may take to let the files go, in milliseconds. */
const PATIENCE = 20_000;
const LONGEST_PAUSE = 250;

export const openEngine = async ({ name, wasm, wasmUrl, options }: Start): Promise<Engine> => {
  try {
    // Without either, it is beside this module.
    const source = wasm ?? wasmUrl;
    await init(source === undefined ? undefined : { module_or_path: source });
  } catch (error) {
    throw new Failure('io', `cannot load the wasm: ${messageOf(error).message}; is \`wasmUrl\` right?`);
  }
  const { storage, durability, flushInterval } = options;
  const deadline = performance.now() + PATIENCE;
  for (let pause = 5; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return await Engine.open(name, storage, durability, flushInterval);
    } catch (error) {
      if (failureOf(error)?.code !== 'busy' || performance.now() > deadline) throw error;
    }
    await new Promise(resolve => { setTimeout(resolve, pause); });
  }
};
