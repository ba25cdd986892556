/** A collection as the application sees it: checks what it is given, and asks the leader. */

import { all } from './all.js';
import type { Source } from './database.js';
import { EntryIterator } from './entries.js';
import { PumiceError } from './errors.js';
import { attempt, checkDurability } from './options.js';
import { checkRange } from './range.js';
import { checkKey, documentText } from './text.js';
import type { Change, Collection, Range, WriteOptions } from './types.js';

export class CollectionHandle<T> implements Collection<T> {
  constructor(private readonly source: Source, readonly name: string) {}

  async get(key: string): Promise<T | undefined> {
    const [document] = await this.source.calls().get(this.name, [checkKey(key)]);
    return document as T | undefined;
  }

  async getMany(keys: string[]): Promise<(T | undefined)[]> {
    if (!Array.isArray(keys)) throw new PumiceError('invalid-argument', 'the keys must be an array');
    return await this.source.calls().get(this.name, keys.map(checkKey)) as (T | undefined)[];
  }

  async put(key: string, document: T, options?: WriteOptions): Promise<number> {
    return this.write(`[${entryText(key, document)}]`, options);
  }

  async putMany(entries: Iterable<[string, T]>, options?: WriteOptions): Promise<number> {
    if (typeof entries !== 'object' || entries === null || typeof entries[Symbol.iterator] !== 'function') {
      throw new PumiceError('invalid-argument', 'the entries must be an iterable of [key, document]');
    }
    const texts: string[] = [];
    for (const entry of entries) {
      if (!Array.isArray(entry) || entry.length !== 2) {
        throw new PumiceError('invalid-argument', 'each entry must be a pair of key and document');
      }
      texts.push(entryText(entry[0], entry[1]));
    }
    return this.write(`[${texts.join(',')}]`, options);
  }

  private write(text: string, options: WriteOptions | undefined): Promise<number> {
    const durability = checkDurability(options, this.source.durability);
    return this.source.calls().ask({ op: 'putMany', collection: this.name, text, durability });
  }

  async delete(key: string, options?: WriteOptions): Promise<boolean> {
    const durability = checkDurability(options, this.source.durability);
    return this.source.calls().ask({ op: 'delete', collection: this.name, key: checkKey(key), durability });
  }

  async drop(options?: WriteOptions): Promise<number> {
    const durability = checkDurability(options, this.source.durability);
    return this.source.calls().ask({ op: 'batch', text: `[["drop",${JSON.stringify(this.name)}]]`, durability });
  }

  async count(range?: Range): Promise<number> {
    return this.source.calls().ask({ op: 'count', collection: this.name, range: checkRange(range) });
  }

  entries(range?: Range): AsyncIterable<[string, T]> {
    // Checked and copied now, so that changing the object later changes nothing; told when it is iterated.
    const checked = attempt(() => checkRange(range));
    return {
      [Symbol.asyncIterator]: () => new EntryIterator(this.source, this.name, checked) as AsyncIterator<[string, T]>,
    };
  }

  async getAll(range?: Range): Promise<[string, T][]> {
    return await all(this.source.calls(), this.name, checkRange(range)) as [string, T][];
  }

  subscribe(listener: (changes: Change<T>[]) => void): () => void;
  subscribe(range: Range, listener: (changes: Change<T>[]) => void): () => void;
  subscribe(first: Range | ((changes: Change<T>[]) => void), second?: (changes: Change<T>[]) => void): () => void {
    const [range, listener] = second === undefined ? [undefined, first] : [first, second];
    if (typeof listener !== 'function') throw new PumiceError('invalid-argument', 'the listener must be a function');
    return this.source.subscribe(this.name, checkRange(range), listener as (changes: Change[]) => void);
  }
}

const entryText = (key: unknown, document: unknown): string =>
  `[${JSON.stringify(checkKey(key))},${documentText(document)}]`;
