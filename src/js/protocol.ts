/** What tabs and the leader's worker say to each other.
 *
 *  The leader is the tab that holds the Web Lock `pumice:<name>`; it runs the worker that has the files open. Its own page
 *  talks to the worker by `postMessage`, every other tab by a BroadcastChannel of its own, `pumice:<name>:<client>`, which
 *  the worker joins when it hears that tab's `hello`. Both ways carry the same messages.
 *
 *  Every message names the leader's term, so that nothing meant for a former leader is done by the next one, and nothing a
 *  former leader still says is believed. */

import type { Wasm } from './launch.js';

/** Grows with every change after which an older tab could misunderstand. Tabs of different versions refuse each other. */
export const PROTOCOL = 1;

/** The Web Lock that elects the leader, and the BroadcastChannel on which it is found. */
export const lockName = (database: string): string => `pumice:${database}`;
/** A tab's own channel, and the Web Lock it holds for as long as it lives: whoever gets that lock knows that it is gone. */
export const clientName = (database: string, client: string): string => `pumice:${database}:${client}`;
/** The Web Lock that a leader's worker holds from before `started` until it ends. Its page waits for it: a worker that was
 *  terminated or crashed gives it up within milliseconds and says nothing else, and is replaced at once. */
export const workerLock = (database: string, term: string): string => `pumice:${database}:worker:${term}`;

/** On the channel `lockName(database)`. */
export type Discovery =
  /** A tab looks for the leader. It repeats this, and a `ping` on its own channel, until the first reply comes there; so no
   *  message is lost for coming before the worker has joined the channel. `proof` is that of the tab's key, if it has one. */
  | { type: 'hello'; protocol: number; client: string; proof: string | undefined }
  /** The worker is ready; said once unasked, and again to everyone who says hello. To a tab of another `protocol` too, which
   *  then knows that it cannot take part (code 'version'): the worker does not join its channel. */
  | { type: 'leader'; protocol: number; version: string; term: string }
  /** The worker's answer to a hello whose proof is not that of the database's key. */
  | { type: 'refused'; client: string; error: ErrorMessage }
  /** Said by the leader's page while its worker starts, to everyone who says hello: wait on, the files may take their time. */
  | { type: 'opening'; protocol: number; term: string }
  /** Said by the leader's page: its worker could not open the database. Whoever waits is told, and the lock is let go. */
  | { type: 'failed'; term: string; error: ErrorMessage }
  /** The leader closes in order. The next one will come. */
  | { type: 'leaving'; term: string }
  /** A tab has taken the lock from a leader that did not answer. `term` is its own: every worker of another term lets the
   *  files go at once and answers nothing more. Its own page may hand the worker the same message. */
  | { type: 'deposed'; term: string };

export interface ErrorMessage { code: string; message: string }

/** From a page to the worker that it started, once and first. */
export interface Start {
  type: 'start';
  name: string;
  term: string;
  client: string;
  wasm: Wasm;
  options: EngineOptions;
  secret: Secret | undefined;
  proof: string | undefined;
}

/** What opens an encrypted database: 32 bytes, or a passphrase. */
export interface Secret { key?: Uint8Array<ArrayBuffer>; passphrase?: string }

export interface EngineOptions {
  storage: 'auto' | 'opfs' | 'indexeddb' | 'memory';
  durability: 'disk' | 'buffered';
  flushInterval: number;
}

/** From the page to its worker: close in order. Everything asked before is settled, the files are flushed and let go, `leaving` is
 *  said to the tabs, then comes `stopped`. Closing goes on by itself should the page not wait for that. */
export interface Stop { type: 'stop'; term: string }
/** `error` tells that closing failed: then something accepted and not acknowledged may be missing. */
export interface Stopped { type: 'stopped'; term: string; error?: ErrorMessage }

/** The worker has crashed: its instance of the wasm is not to be trusted, nothing more is answered. The page terminates it and
 *  starts another one under a new term; what was acknowledged is on disk, and what was not is asked again. Comes after
 *  `started`; a crash before is `failed`. */
export interface Crashed { type: 'crashed'; term: string; error: ErrorMessage }

/** An errand for a worker that is started for it alone, sent instead of `start`; the page terminates the worker after its answer.
 *  To delete, the page holds the lock `lockName(name)`; the worker waits a few seconds for files that are being let go. */
export type Errand = Task & { wasm: Wasm };
export type Task = { type: 'list' } | { type: 'delete'; name: string };
/** `names` answers `list`, in order. */
export type Errands = { type: 'done'; names?: string[] } | { type: 'refused'; error: ErrorMessage };

/** Everything between a page and the worker that it started, by `postMessage`. */
export type ToWorker = Start | Requests | Stop | { type: 'deposed'; term: string };
export type FromWorker = Started | Replies | Stopped | Crashed;

/** The worker's answer to `start`, before it says `leader` to the tabs. Opening waits up to 20 s for files that a former worker
 *  still has, then fails with 'busy'. After `failed` the worker has nothing open and does nothing more. */
export type Started =
  | { type: 'started'; term: string; storage: 'opfs' | 'indexeddb' | 'memory'; recovered?: { tornBytes: number; quarantined: string } }
  | { type: 'failed'; term: string; error: ErrorMessage };

/** Everything a tab asked for in one microtask. */
export interface Requests { type: 'requests'; term: string; client: string; calls: Call[] }

/** Answers and news, in the order in which they became true. */
export interface Replies { type: 'replies'; term: string; results: Result[]; news: News[] }

export interface RangeMessage { prefix?: string; from?: string; to?: string; reverse?: boolean; limit?: number }

/** A write bears the tab's own number for it, `n`, dense and growing; `done` says that the tab has the answers of all below,
 *  so the engine can forget them. Asked again after a change of leader, the same `n` gives the same answer and is done once. */
interface Write { n: number; done: number; durability?: 'disk' | 'buffered' }

/** Documents are JSON text in UTF-8, in buffers that are transferred where the way allows it. */
export type Call = { id: number } & (
  | { op: 'get'; collection: string; keys: string[] }
  /** `text` is an array of `["put",collection,key,document]`, `["delete",collection,key]`, `["drop",collection]`. */
  | ({ op: 'batch'; text: Uint8Array } & Write)
  /** `text` is an array of `[key,document]`. */
  | ({ op: 'putMany'; collection: string; text: Uint8Array } & Write)
  | ({ op: 'delete'; collection: string; key: string } & Write)
  /** `bytes`: about how much text the answer is to have. */
  | { op: 'scan'; collection: string; range: RangeMessage; bytes?: number }
  | { op: 'next'; cursor: number; bytes?: number }
  | { op: 'forget'; cursor: number }
  | { op: 'getAll'; collection: string; range: RangeMessage }
  | { op: 'count'; collection: string; range: RangeMessage }
  | { op: 'collections' }
  | { op: 'sync' }
  | { op: 'compact' }
  | { op: 'stats' }
  | { op: 'status' }
  /** The last lines of the log, as they stand, at most `bytes` of them; public as `Database.log(bytes)`. */
  | { op: 'log'; bytes: number }
  | { op: 'export' }
  | { op: 'import'; file: Blob }
  /** From now on this opens the database, and nothing else. */
  | { op: 'changeKey'; secret: Secret; proof: string }
  /** Begins a feed of durable changes after the sequence number `after` (null: from now on). Answered with that number. */
  | { op: 'feed'; feed: number; after: number | null; collection?: string }
  /** The tab has everything of the feed up to `through`: the log before it may go, and more may be sent. */
  | { op: 'seen'; feed: number; through: number }
  | { op: 'unfeed'; feed: number }
  /** The tab closes: its cursors and feeds go. */
  | { op: 'bye' }
  /** Answered at once, to tell a slow leader from a mute one. */
  | { op: 'ping' });

/** `sequence` is the last durable sequence number when the answer was given. */
export type Result =
  | { id: number; ok: true; sequence: number; value: Value }
  | { id: number; ok: false; error: ErrorMessage };

export type Value =
  /** get: an array of the documents that are there, in the order of the keys, and the places of those that are not. */
  | { text: Uint8Array; missing: number[] }
  /** scan, next, getAll: an array of `[key,document]`; `cursor` where there is more. */
  | { text: Uint8Array; cursor?: number }
  /** batch, putMany: the sequence number. count: how many. feed: where it begins. */
  | number
  /** delete: whether the document was there. */
  | boolean
  | string[]
  /** log. */
  | string
  | Blob
  | StatsMessage
  | StatusMessage
  | undefined;

export interface StatsMessage {
  documents: number; sequence: number; logBytes: number; snapshotBytes: number; segments: number; compactions: number;
  /** The files with their lengths, public as `Stats.files`. */
  files: { name: string; bytes: number }[];
}
export interface StatusMessage {
  storage: 'opfs' | 'indexeddb' | 'memory'; healthy: boolean; recovered?: { tornBytes: number; quarantined: string };
}

/** Changes of a feed: `text` is an array of `{sequence,collection,key,type,document}`; all up to `through` are told. A feed
 *  that cannot go on ends with an error. */
export type News =
  | { feed: number; text: Uint8Array; through: number }
  | { feed: number; error: ErrorMessage };
