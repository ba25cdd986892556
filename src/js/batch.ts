/** What a batch's builder fills. */

import { PumiceError } from './errors.js';
import { checkCollection, checkKey, documentText } from './text.js';
import type { Batch } from './types.js';

/** Runs `build` and gives the text of what it put into the batch. Throws what `build` throws. */
export const batchText = (build: unknown): string => {
  if (typeof build !== 'function') throw new PumiceError('invalid-argument', 'a batch needs a function that fills it');
  const batch = new BatchBuilder();
  const result: unknown = build(batch);
  const parts = batch.end();
  if (typeof (result as PromiseLike<unknown> | null | undefined)?.then === 'function') {
    // It fails on its own when it touches the batch again, and that is told here already.
    (result as PromiseLike<unknown>).then(undefined, () => {});
    throw new PumiceError('invalid-argument', 'the builder of a batch must not be asynchronous');
  }
  return `[${parts.join(',')}]`;
};

class BatchBuilder implements Batch {
  private parts: string[] | undefined = [];

  put(collection: string, key: string, document: unknown): this {
    const place = `${quoted(checkCollection(collection))},${quoted(checkKey(key))}`;
    return this.add(`["put",${place},${documentText(document)}]`);
  }

  delete(collection: string, key: string): this {
    return this.add(`["delete",${quoted(checkCollection(collection))},${quoted(checkKey(key))}]`);
  }

  drop(collection: string): this {
    return this.add(`["drop",${quoted(checkCollection(collection))}]`);
  }

  private add(part: string): this {
    if (this.parts === undefined) throw new PumiceError('invalid-argument', 'this batch was written already');
    this.parts.push(part);
    return this;
  }

  end(): string[] {
    const parts = this.parts ?? [];
    this.parts = undefined;
    return parts;
  }
}

const quoted = (text: string): string => JSON.stringify(text);
