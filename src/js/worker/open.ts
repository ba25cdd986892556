/** Loading the wasm, and opening the database in it. */

import init, { Engine } from '../../../pkg/pumice.js';
import type { Wasm } from '../launch.js';
import type { Start } from '../protocol.js';
import { Failure, messageOf } from './failure.js';

/** Without anything it is beside this module. */
export const loadWasm = async ({ module, wasm, wasmUrl }: Wasm): Promise<void> => {
  const source = module ?? wasm ?? wasmUrl;
  try {
    await init(source === undefined ? undefined : { module_or_path: source });
  } catch (error) {
    throw new Failure('io', `cannot load the wasm: ${messageOf(error).message}; is \`wasmUrl\` right?`);
  }
};

export const openEngine = async (start: Start): Promise<Engine> => {
  await loadWasm(start.wasm);
  const { storage, durability, flushInterval } = start.options;
  return Engine.open(start.name, storage, durability, flushInterval, start.secret?.key, start.secret?.passphrase);
};
