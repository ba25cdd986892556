/** What opens an encrypted database, on its way from the page to the engine, and how tabs know that they mean the same. */

import { PumiceError, wrapped } from './errors.js';
import type { Secret } from './protocol.js';
import type { Encryption } from './types.js';

export interface Keyed {
  secret: Secret;
  /** The same in two tabs if the secret is. A key cannot be had from it. Passphrases can be tried on it, by scripts of the same origin,
   *  which could as well ask for the documents. */
  proof: string;
}

/** Of a key, in bytes. */
const KEY = 32;
const HASHES = ['SHA-256', 'SHA-384', 'SHA-512'];

export const keyedBy = async (encryption: Encryption, name: string): Promise<Keyed> => {
  const secret = 'passphrase' in encryption ? { passphrase: encryption.passphrase } : { key: await bytesOf(encryption.key) };
  const proving = await subtle().importKey('raw', secret.key ?? utf8(secret.passphrase!), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const proof = new Uint8Array(await subtle().sign('HMAC', proving, utf8(`pumice tab ${name}`)));
  return { secret, proof: Array.from(proof, byte => byte.toString(16).padStart(2, '0')).join('') };
};

/** A `CryptoKey` may not give itself away, but what it makes of one text is as good a key. */
const bytesOf = async (key: CryptoKey | Uint8Array): Promise<Uint8Array<ArrayBuffer>> => {
  if (!isCryptoKey(key)) return new Uint8Array(key);
  try {
    const info = utf8('pumice');
    const bits = key.algorithm.name === 'HKDF'
      ? await subtle().deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info }, key, KEY * 8)
      : await subtle().sign('HMAC', key, info);
    return new Uint8Array(bits, 0, KEY);
  } catch (cause) {
    throw wrapped('invalid-argument', 'the key cannot be used', cause);
  }
};

/** Throws `invalid-argument`. */
export const checkEncryption = (value: unknown): Encryption => {
  const { key, passphrase } = (value ?? {}) as Record<string, unknown>;
  if (passphrase !== undefined && key === undefined) {
    if (typeof passphrase === 'string' && passphrase !== '') return { passphrase };
    throw invalid('the passphrase must be a string, and not an empty one');
  }
  if (passphrase !== undefined || key === undefined) throw invalid('`encryption` must have either a `key` or a `passphrase`');
  if (ArrayBuffer.isView(key)) {
    const bytes = new Uint8Array(key.buffer, key.byteOffset, key.byteLength);
    if (bytes.length === KEY) return { key: bytes.slice() };
    throw invalid(`a key must have ${KEY} bytes`);
  }
  if (isCryptoKey(key) && isUseful(key)) return { key };
  throw invalid(`a key must be ${KEY} bytes, or a CryptoKey: HKDF that may \`deriveBits\`, or HMAC with SHA-256 or more that may \`sign\``);
};

const isUseful = ({ algorithm, usages }: CryptoKey): boolean =>
  algorithm.name === 'HKDF' ? usages.includes('deriveBits')
    : algorithm.name === 'HMAC' && usages.includes('sign') && HASHES.includes((algorithm as HmacKeyAlgorithm).hash.name);

const isCryptoKey = (key: unknown): key is CryptoKey => typeof CryptoKey !== 'undefined' && key instanceof CryptoKey;

const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

const subtle = (): SubtleCrypto => {
  const { subtle } = crypto;
  if (subtle === undefined) throw new PumiceError('unsupported', 'encryption needs a page over https or on localhost');
  return subtle;
};

const invalid = (message: string): PumiceError => new PumiceError('invalid-argument', message);
