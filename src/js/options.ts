/** What a caller may choose, checked. Everything here throws `invalid-argument`. */

import { PumiceError } from './errors.js';
import type { Places } from './launch.js';
import type { EngineOptions } from './protocol.js';
import { checkEncryption } from './secret.js';
import type { Durability, Encryption } from './types.js';

export interface CheckedOptions { engine: EngineOptions; places: Places; persist: boolean; encryption: Encryption | undefined }

const STORAGES = ['auto', 'opfs', 'indexeddb', 'memory'] as const;
/** What a timer can wait, in ms. */
const LONGEST_INTERVAL = 2 ** 31 - 1;
const DURABILITIES = ['disk', 'buffered'] as const;

export interface CheckedChanges { after: number | undefined; signal: AbortSignal | undefined }

export const checkOptions = (options: unknown): CheckedOptions => {
  const given = object(options, 'the options');
  const { storage = 'auto', durability = 'disk', flushInterval = 50, persist = true, workerUrl, wasmUrl, encryption } = given;
  if (typeof flushInterval !== 'number' || !(flushInterval >= 0 && flushInterval <= LONGEST_INTERVAL)) {
    throw invalid(`\`flushInterval\` must be a number of milliseconds from 0 to ${LONGEST_INTERVAL}`);
  }
  if (typeof persist !== 'boolean') throw invalid('`persist` must be true or false');
  return {
    engine: {
      storage: oneOf(storage, STORAGES, 'storage'),
      durability: oneOf(durability, DURABILITIES, 'durability'),
      flushInterval,
    },
    places: {
      workerUrl: url(workerUrl, 'workerUrl'), wasmUrl: url(wasmUrl, 'wasmUrl'), isEncrypted: encryption !== undefined,
    },
    persist,
    encryption: encryption === undefined ? undefined : checkEncryption(encryption),
  };
};

/** The durability that one write asks for, or the handle's. */
export const checkDurability = (options: unknown, otherwise: Durability): Durability => {
  if (options === undefined) return otherwise;
  const { durability = otherwise } = object(options, 'the options of a write');
  return oneOf(durability, DURABILITIES, 'durability');
};

/** `after` and `signal` of a change feed. */
export const checkChanges = (options: unknown): CheckedChanges => {
  const { after, signal } = object(options, 'the options of a change feed');
  if (after !== undefined && !(Number.isSafeInteger(after) && (after as number) >= 0)) {
    throw invalid('`after` must be a sequence number');
  }
  // Not `instanceof`: the signal may come from another frame.
  if (signal !== undefined && typeof (signal as AbortSignal | null)?.aborted !== 'boolean') {
    throw invalid('`signal` must be an AbortSignal');
  }
  return { after: after as number | undefined, signal: signal as AbortSignal | undefined };
};

/** A value, or the error that getting it threw: for what is checked now and told later. */
export const attempt = <V>(get: () => V): () => V => {
  try {
    const value = get();
    return () => value;
  } catch (error) {
    return () => { throw error; };
  }
};

const object = (value: unknown, what: string): Record<string, unknown> => {
  if (value === undefined) return {};
  if (typeof value !== 'object' || value === null) throw invalid(`${what} must be an object`);
  return value as Record<string, unknown>;
};

const oneOf = <T extends string>(value: unknown, choices: readonly T[], what: string): T => {
  if (choices.includes(value as T)) return value as T;
  throw invalid(`\`${what}\` must be one of ${choices.join(', ')}`);
};

const url = (value: unknown, what: string): string | URL | undefined => {
  if (value === undefined || typeof value === 'string' || value instanceof URL) return value;
  throw invalid(`\`${what}\` must be a string or a URL`);
};

const invalid = (message: string): PumiceError => new PumiceError('invalid-argument', message);
