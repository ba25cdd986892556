/** `collection.entries()`: a scan in chunks, the next of which is fetched while one is handed out. */

import type { Answer } from './call.js';
import type { Calls } from './calls.js';
import type { Source } from './database.js';
import { PumiceError } from './errors.js';
import { parse } from './pack.js';
import type { RangeMessage } from './protocol.js';
import { behind } from './range.js';

type Entry = [string, unknown];
interface Chunk { entries: Entry[]; cursor: number | undefined; sequence: number }

/** The leader that had the cursor is gone. */
const LOST = Symbol('lost');

export class EntryIterator implements AsyncIterator<Entry> {
  private entries: Entry[] = [];
  private at = 0;
  private coming: Promise<Chunk | typeof LOST | undefined> | undefined;
  private cursor: number | undefined;
  /** The leader that has the cursor, and the sequence number at the time of the view. */
  private term: string | undefined;
  private sequence: number | undefined;
  private received = 0;
  private last: string | undefined;
  private isOver = false;
  private turn: Promise<unknown> | undefined;
  private known: Calls | undefined;

  constructor(
    private readonly source: Source, private readonly collection: string, private readonly getRange: () => RangeMessage,
  ) {}

  next(): Promise<IteratorResult<Entry>> {
    // The common case needs no chain: nothing is under way, and there is an entry.
    if (this.turn === undefined && !this.isOver && this.at < this.entries.length) {
      return Promise.resolve({ done: false, value: this.entries[this.at++]! });
    }
    const before = this.turn ?? Promise.resolve();
    const result = before.then(() => this.take());
    const turn = result.catch(() => {}).then(() => { if (this.turn === turn) this.turn = undefined; });
    this.turn = turn;
    return result;
  }

  return(): Promise<IteratorResult<Entry>> {
    this.finish();
    return Promise.resolve({ value: undefined, done: true });
  }

  private async take(): Promise<IteratorResult<Entry>> {
    try {
      while (!this.isOver) {
        if (this.at < this.entries.length) return { done: false, value: this.entries[this.at++]! };
        this.coming ??= this.fetch();
        const chunk = await this.coming;
        if (chunk === undefined) break;
        this.accept(chunk === LOST ? await this.restart() : chunk);
      }
    } catch (error) {
      this.finish();
      throw error;
    }
    this.finish();
    return { value: undefined, done: true };
  }

  private accept(chunk: Chunk): void {
    this.entries = chunk.entries;
    this.at = 0;
    this.received += chunk.entries.length;
    this.last = chunk.entries.at(-1)?.[0] ?? this.last;
    this.cursor = chunk.cursor;
    this.coming = this.cursor === undefined ? Promise.resolve(undefined) : this.fetch();
    // It is looked at when its turn comes; until then a failure is nobody's.
    this.coming.catch(() => {});
  }

  private async fetch(): Promise<Chunk | typeof LOST> {
    if (this.sequence === undefined) return this.scan(this.getRange());
    const { cursor, calls } = this;
    if (calls.term !== this.term || cursor === undefined) return LOST;
    return new Promise((resolve, reject) => {
      calls.request({ op: 'next', cursor }, answer => resolve(chunkOf(answer)), reject, () => resolve(LOST));
    });
  }

  private async scan(range: RangeMessage): Promise<Chunk> {
    const { calls } = this;
    return new Promise((resolve, reject) => {
      calls.request({ op: 'scan', collection: this.collection, range }, answer => {
        this.term = calls.term;
        this.sequence ??= answer.sequence;
        resolve(chunkOf(answer));
      }, reject);
    });
  }

  /** Goes on with the next leader if its view is the same. */
  private async restart(): Promise<Chunk> {
    const range = this.getRange();
    const rest = this.last === undefined ? range : behind(range, this.last, this.received);
    const chunk = await this.scan(rest);
    if (chunk.sequence === this.sequence) return chunk;
    this.cursor = chunk.cursor;
    throw new PumiceError('not-found',
      'the leader changed during the iteration, and the database was written to: its view is gone; iterate anew');
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.entries = [];
    const { cursor, known } = this;
    if (cursor !== undefined && known?.term === this.term) known?.tell({ op: 'forget', cursor });
  }

  /** Throws `closed` when the handle was closed. */
  private get calls(): Calls {
    return this.known = this.source.calls();
  }
}

const chunkOf = ({ value, sequence }: Answer): Chunk => {
  const { text, cursor } = value as { text: Uint8Array; cursor?: number };
  return { entries: parse(text) as Entry[], cursor, sequence };
};
