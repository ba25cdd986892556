/** One tab as the leader sees it: what it has begun, and the order of what it asks. */

import type { Cursor, Engine } from '../../../pkg/pumice.js';
import type { Call, StatusMessage, Value } from '../protocol.js';
import { Failure, failureOf } from './failure.js';
import { Feed } from './feed.js';
import type { Outbox } from './outbox.js';

/** Bytes of text in the first chunk of a scan, which someone waits for, and in the others. */
const FIRST_CHUNK = 64 << 10;
const CHUNK = 256 << 10;

/** What does not wait for the writes that the tab asked for before. */
const AT_ONCE = new Set<Call['op']>(['batch', 'putMany', 'delete', 'next', 'forget', 'feed', 'seen', 'unfeed', 'bye', 'ping']);

/** `turn`: the piece that is being made. Tabs ask for some ahead; the engine makes one at a time. */
interface Walk { cursor: Cursor; turn: Promise<void> | undefined }

export class Tab {
  private readonly walks = new Map<number, Walk>();
  private lastWalk = 0;
  private readonly feeds = new Map<number, Feed>();
  /** Settles with the last write that was asked for, while it has no answer. */
  private writing: Promise<void> | undefined;
  private gone = false;

  constructor(
    private readonly engine: Engine,
    readonly client: string,
    private readonly outbox: Outbox,
    private readonly keyChanged: (proof: string) => void,
    private readonly crashed: (error: unknown) => void,
  ) {}

  serve(calls: Call[]): void {
    for (const call of calls) {
      // A tab reads what it wrote, also where it did not wait for its writes.
      if (this.writing && !AT_ONCE.has(call.op)) void this.writing.then(() => { this.perform(call); });
      else this.perform(call);
    }
  }

  /** When the writes that it asked for so far have their answers. */
  get written(): Promise<void> | undefined {
    return this.writing;
  }

  /** Answers nothing more and begins nothing more. */
  mute(): void {
    this.gone = true;
  }

  /** Ends what the tab has begun. */
  end(): void {
    for (const { cursor } of this.walks.values()) cursor.free();
    this.walks.clear();
    for (const feed of this.feeds.values()) feed.end();
    this.feeds.clear();
  }

  private perform(call: Call): void {
    if (this.gone) return;
    try {
      const value = this.call(call);
      if (value instanceof Promise) this.wait(call, value);
      else this.answer(call, value);
    } catch (error) {
      this.refuse(call, error);
    }
  }

  private wait(call: Call, value: Promise<Value>): void {
    const settled = value.then(value => { this.answer(call, value); }, (error: unknown) => { this.refuse(call, error); });
    if (!('n' in call)) return;
    this.writing = settled;
    void settled.then(() => { if (this.writing === settled) this.writing = undefined; });
  }

  private answer({ id }: Call, value: Value): void {
    if (!this.gone) this.outbox.answer({ id, ok: true, sequence: this.engine.durable, value });
  }

  private refuse({ id }: Call, thrown: unknown): void {
    const error = failureOf(thrown);
    if (!error) this.crashed(thrown);
    else if (!this.gone) this.outbox.answer({ id, ok: false, error });
  }

  private call(call: Call): Value | Promise<Value> {
    const { engine } = this;
    switch (call.op) {
      case 'get':
        return mapped(engine.get(call.collection, call.keys), ([text, missing]) => ({ text, missing }));
      case 'batch':
        return engine.batch(this.client, call, call.text);
      case 'putMany':
        return engine.putMany(this.client, call, call.collection, call.text);
      case 'delete':
        return engine.delete(this.client, call, call.collection, call.key);
      case 'scan': {
        this.walks.set(++this.lastWalk, { cursor: engine.scan(call.collection, call.range), turn: undefined });
        return this.next(this.lastWalk, call.bytes ?? FIRST_CHUNK);
      }
      case 'next':
        return this.next(call.cursor, call.bytes ?? CHUNK);
      case 'forget':
        this.drop(call.cursor);
        return undefined;
      case 'getAll': {
        const cursor = engine.scan(call.collection, call.range);
        return mapped(cursor.next(Infinity), ([text]) => {
          cursor.free();
          return { text };
        });
      }
      case 'count':
        return engine.count(call.collection, call.range);
      case 'collections':
        return engine.collections();
      case 'sync':
        return engine.sync();
      case 'compact':
        return engine.compact();
      case 'status':
        return { storage: engine.storage, healthy: engine.healthy, ...recovered(engine) };
      case 'stats':
        return engine.stats();
      case 'log':
        return mapped(engine.log(call.bytes), text => new TextDecoder().decode(text));
      case 'export':
        return exported(engine);
      case 'import':
        return engine.import(call.file);
      case 'changeKey': {
        const { secret: { key, passphrase }, proof } = call;
        return mapped(engine.changeKey(key, passphrase), () => { this.keyChanged(proof); return undefined; });
      }
      case 'feed':
        return this.feed(call.feed, call.after ?? engine.durable, call.collection);
      case 'seen':
        this.feeds.get(call.feed)?.seen(call.through);
        return undefined;
      case 'unfeed':
        this.feeds.get(call.feed)?.end();
        this.feeds.delete(call.feed);
        return undefined;
      case 'bye':
        this.end();
        return undefined;
      case 'ping':
        return undefined;
      default:
        throw new Failure('unsupported', `the leader does not know \`${(call as Call).op}\``);
    }
  }

  private next(id: number, bytes: number): Value | Promise<Value> {
    const walk = this.walks.get(id);
    if (!walk) throw new Failure('not-found', 'the scan is not there any more');
    if (walk.turn) return walk.turn.then(() => this.next(id, bytes));
    const piece = mapped(walk.cursor.next(bytes), ([text, more]) => {
      if (more) return { text, cursor: id };
      this.drop(id);
      return { text };
    });
    const over = () => { walk.turn = undefined; };
    if (piece instanceof Promise) walk.turn = piece.then(over, over);
    return piece;
  }

  private feed(id: number, after: number, collection: string | undefined): number {
    const feed = new Feed(id, this.engine.feed(after, collection), news => { if (!this.gone) this.outbox.tell(news); });
    this.feeds.set(id, feed);
    feed.run().catch((thrown: unknown) => {
      const error = failureOf(thrown);
      if (!error) this.crashed(thrown);
      else if (!this.gone && this.feeds.delete(id)) this.outbox.tell({ feed: id, error });
    });
    return after;
  }

  private drop(id: number): void {
    this.walks.get(id)?.cursor.free();
    this.walks.delete(id);
  }
}

/** What the last opening set aside. */
export const recovered = ({ torn }: Engine): Pick<StatusMessage, 'recovered'> =>
  torn ? { recovered: { tornBytes: torn[0], quarantined: torn[1] } } : {};

/** The pieces go into blobs as they come, so that the browser may keep them out of memory. */
const exported = async (engine: Engine): Promise<Blob> => {
  const exporter = await engine.export();
  try {
    const pieces: Blob[] = [];
    for (let piece = await exporter.next(); piece; piece = await exporter.next()) pieces.push(new Blob([piece as Uint8Array<ArrayBuffer>]));
    return new Blob(pieces, { type: 'application/octet-stream' });
  } finally {
    exporter.free();
  }
};

const mapped = <A, B>(value: A | Promise<A>, map: (value: A) => B): B | Promise<B> =>
  value instanceof Promise ? value.then(map) : map(value);
