/** The gets of one microtask in one collection: one call for all of them. */

import type { PumiceError } from './errors.js';
import { type Body, parse } from './pack.js';
import type { Value } from './protocol.js';

interface Taker {
  from: number;
  count: number;
  resolve: (documents: unknown[]) => void;
  reject: (error: PumiceError) => void;
}

export class Gets {
  readonly body: Body;
  private readonly keys: string[] = [];
  private readonly takers: Taker[] = [];

  constructor(collection: string) {
    this.body = { op: 'get', collection, keys: this.keys };
  }

  /** Only before the call is sent. */
  add(keys: string[], resolve: Taker['resolve'], reject: Taker['reject']): void {
    this.takers.push({ from: this.keys.length, count: keys.length, resolve, reject });
    for (const key of keys) this.keys.push(key);
  }

  done(value: Value): void {
    const documents = spread(value as { text: Uint8Array; missing: number[] }, this.keys.length);
    for (const { from, count, resolve } of this.takers) resolve(documents.slice(from, from + count));
  }

  fail(error: PumiceError): void {
    for (const { reject } of this.takers) reject(error);
  }
}

/** The documents in their places, with `undefined` in those of the missing. */
const spread = ({ text, missing }: { text: Uint8Array; missing: number[] }, count: number): unknown[] => {
  const found = parse(text) as unknown[];
  if (missing.length === 0) return found;
  const documents: unknown[] = [];
  let absent = 0;
  let present = 0;
  for (let i = 0; i < count; i++) {
    if (missing[absent] === i) absent++, documents.push(undefined);
    else documents.push(found[present++]);
  }
  return documents;
};
