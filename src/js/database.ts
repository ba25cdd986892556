/** A handle of an open database: what `open` resolves to. */

import { batchText } from './batch.js';
import type { Calls } from './calls.js';
import { changeStream, type ChangeSource } from './changes.js';
import { CollectionHandle } from './collection.js';
import { PumiceError } from './errors.js';
import type { Feeds } from './feeds.js';
import { checkDurability } from './options.js';
import type { RangeMessage, StatsMessage, StatusMessage } from './protocol.js';
import { checkEncryption } from './secret.js';
import type { Tab } from './tab.js';
import { checkCollection } from './text.js';
import type {
  Batch, Change, Collection, Database, Durability, Encryption, Json, Stats, Status, WriteOptions,
} from './types.js';

/** What a handle's collections and iterations share with it. */
export interface Source {
  readonly durability: Durability;
  /** Throws `closed` when the handle was closed. */
  calls(): Calls;
  subscribe(collection: string, range: RangeMessage, listen: (changes: Change[]) => void): () => void;
}

const LOG_BYTES = 64 << 10;

export class DatabaseHandle implements Database, Source, ChangeSource {
  private readonly ends = new Set<() => void>();
  private closing: Promise<void> | undefined;
  private readonly collectionHandles = new Map<string, Collection>();

  /** `release` lets the tab go, when no other handle has it. */
  constructor(
    readonly name: string, readonly durability: Durability, private readonly tab: Tab,
    private readonly persisted: () => Promise<boolean>, private readonly release: () => Promise<void>,
  ) {}

  calls(): Calls {
    if (this.closing !== undefined) throw new PumiceError('closed', 'this database handle was closed');
    return this.tab.calls;
  }

  collection<T = Json>(name: string): Collection<T> {
    const known = this.collectionHandles.get(name) ?? new CollectionHandle(this, checkCollection(name));
    this.collectionHandles.set(name, known);
    return known as Collection<unknown> as Collection<T>;
  }

  async collections(): Promise<string[]> {
    return this.calls().ask({ op: 'collections' });
  }

  async batch(build: (batch: Batch) => void, options?: WriteOptions): Promise<number> {
    const calls = this.calls();
    const durability = checkDurability(options, this.durability);
    return calls.ask({ op: 'batch', text: batchText(build), durability });
  }

  async sync(): Promise<void> {
    await this.calls().ask({ op: 'sync' });
  }

  async compact(): Promise<void> {
    await this.calls().ask({ op: 'compact' });
  }

  async stats(): Promise<Stats> {
    return this.calls().ask<StatsMessage>({ op: 'stats' });
  }

  async status(): Promise<Status> {
    const [told, persisted, { usage = 0, quota = 0 }] = await Promise.all([
      this.calls().ask<StatusMessage>({ op: 'status' }), this.persisted(), estimate(),
    ]);
    return { ...told, leader: this.tab.isLeader, persisted, usage, quota };
  }

  async log(bytes = LOG_BYTES): Promise<string> {
    if (!Number.isSafeInteger(bytes) || bytes < 0) {
      throw new PumiceError('invalid-argument', '`bytes` must be a whole number from 0');
    }
    return this.calls().ask({ op: 'log', bytes });
  }

  async exportSnapshot(): Promise<Blob> {
    return this.calls().ask({ op: 'export' });
  }

  async importSnapshot(file: Blob): Promise<void> {
    if (!(file instanceof Blob)) throw new PumiceError('invalid-argument', 'a snapshot must be a Blob');
    // Done twice it would undo what was written since: so it is not asked again.
    await this.calls().ask({ op: 'import', file }, 'once');
  }

  async changeKey(encryption: Encryption): Promise<void> {
    this.calls();
    await this.tab.changeKey(checkEncryption(encryption));
  }

  changes(options?: { after?: number; signal?: AbortSignal }): AsyncIterable<Change> {
    return changeStream(this, options);
  }

  subscribe(collection: string, range: RangeMessage, listen: (changes: Change[]) => void): () => void {
    this.calls();
    const stop = this.tab.subscriptions.add(collection, range, listen);
    const forget = this.whenClosed(stop);
    return () => { forget(); stop(); };
  }

  get feeds(): Feeds {
    return this.tab.feeds;
  }

  whenClosed(end: () => void): () => void {
    this.ends.add(end);
    return () => this.ends.delete(end);
  }

  close(): Promise<void> {
    if (this.closing === undefined) {
      this.closing = this.release();
      for (const end of [...this.ends]) end();
      this.ends.clear();
    }
    return this.closing;
  }
}

const estimate = async (): Promise<StorageEstimate> => {
  try {
    return await navigator.storage.estimate();
  } catch {
    // Some private windows refuse; then nothing is known.
    return {};
  }
};
