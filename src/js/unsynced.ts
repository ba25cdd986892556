/** Buffered writes that were acknowledged and are not known to be durable.
 *
 *  They are kept so that they can be asked again after a leader has crashed: so `sync` tells the truth about them. */

import type { Answer, Waiting } from './call.js';

export class Unsynced {
  /** In the order in which they were asked and accepted; and so they become durable. */
  private readonly writes = new Map<number, { call: Waiting; sequence: number | undefined }>();

  /** `forget` is told of those that are durable, `kept` when there is one that is not. */
  constructor(private readonly forget: (call: Waiting) => void, private readonly kept: () => void) {}

  get size(): number {
    return this.writes.size;
  }

  /** The identity of the last one. */
  get last(): number {
    return Math.max(...this.writes.keys());
  }

  get(id: number): Waiting | undefined {
    return this.writes.get(id)?.call;
  }

  calls(): Waiting[] {
    return Array.from(this.writes.values(), ({ call }) => call);
  }

  /** Keeps an acknowledged write if it has to be. */
  keep(call: Waiting, { value, sequence }: Answer): boolean {
    const isBuffered = 'durability' in call.body && call.body.durability === 'buffered';
    // A delete that found nothing wrote nothing; one that did does not tell its number.
    if (!isBuffered || value === false || (typeof value === 'number' && value <= sequence)) return false;
    this.writes.set(call.id, { call, sequence: typeof value === 'number' ? value : undefined });
    this.kept();
    return true;
  }

  delete(id: number): void {
    this.writes.delete(id);
  }

  /** Everything up to the sequence number `durable` is. */
  release(durable: number): void {
    let upTo = 0;
    for (const [id, { sequence }] of this.writes) {
      if (sequence === undefined) continue;
      if (sequence > durable) break;
      upTo = id;
    }
    this.releaseCalls(upTo);
  }

  /** Everything up to the call `upTo` is durable. */
  releaseCalls(upTo: number): void {
    for (const [id, { call }] of this.writes) {
      if (id > upTo) return;
      this.writes.delete(id);
      this.forget(call);
    }
  }

  clear(): void {
    this.writes.clear();
  }
}
