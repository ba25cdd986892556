/** The public interface. What is said here holds in every tab, whichever of them leads.
 *
 *  Promises reject with a {@link PumiceError}; a call itself throws only where that is said. Every promise settles:
 *  a call that reaches no leader rejects with `timeout` within 60 s, files that another holder keeps give `busy`
 *  within 60 s. */

/** What a document may be. Documents are stored as `JSON.stringify` gives them, at the moment of the call: `toJSON`
 *  is honoured, members that are `undefined` or functions are left out, `NaN` becomes `null`. A document that as a
 *  whole is `undefined`, a function, a symbol, or that holds a BigInt or a cycle, is refused with
 *  `invalid-argument`. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** `disk`: acknowledged when it survives a power cut. `buffered`: acknowledged once accepted; durable within the
 *  flush interval, and written again by its own tab if the leader's tab or worker ends before. */
export type Durability = 'disk' | 'buffered';

/** Where the files are: the origin private file system, IndexedDB, or the leader's memory, which ends with its tab. */
export type StorageKind = 'opfs' | 'indexeddb' | 'memory';

export interface OpenOptions {
  /** `auto` (the default): OPFS, else IndexedDB, else `unsupported`. `memory` only if asked for. The tab that leads
   *  decides; within a page the first open does. */
  storage?: 'auto' | StorageKind;
  /** When the writes of this handle resolve, unless one says otherwise. Default `disk`. */
  durability?: Durability;
  /** Milliseconds at most between accepting a buffered write and making it durable: default 50. */
  flushInterval?: number;
  /** Where `worker.js` is, if a bundler cannot find it. Of the page's own origin. */
  workerUrl?: string | URL;
  /** Where `pumice_bg.wasm` is. */
  wasmUrl?: string | URL;
  /** Encrypts everything that is stored. For a new database; one that is encrypted opens with its key alone, in every tab, and
   *  without the key nothing of it can be had back. Loads a worker and a wasm of its own, `worker-encrypted.js` and
   *  `pumice_encrypted_bg.wasm`, which `workerUrl` and `wasmUrl` then mean. */
  encryption?: Encryption;
  /** Ask the browser not to evict this origin's data (`navigator.storage.persist`). Default true. */
  persist?: boolean;
}

/** What opens an encrypted database: 32 random bytes; a `CryptoKey`, which may be one that cannot be extracted (HKDF with the usage
 *  `deriveBits`, or HMAC with `sign`; 32 bytes are derived from it); or a passphrase, of which Argon2id makes a key at each opening,
 *  in some tenths of a second and 64 MiB. */
export type Encryption = { key: CryptoKey | Uint8Array } | { passphrase: string };

/** An open database. Two opens of one name in a page share everything but the durability of their writes and
 *  `close`. */
export interface Database {
  readonly name: string;
  /** A named collection, the same object each time; it exists as soon as it holds a document. Throws `invalid-argument`
   *  (no string, empty, control characters, lone surrogates) or `too-large` (over 255 bytes of UTF-8). */
  collection<T = Json>(name: string): Collection<T>;
  /** The names of the collections that hold documents, in order of their UTF-8 bytes. */
  collections(): Promise<string[]>;
  /** Writes everything that `build` puts into the batch, or nothing, and resolves to the last sequence number.
   *  `build` runs at once and must not be asynchronous; what it throws rejects the promise, and nothing is written. */
  batch(build: (batch: Batch) => void, options?: WriteOptions): Promise<number>;
  /** Resolves when everything that this page was acknowledged so far is durable. */
  sync(): Promise<void>;
  /** Merges the log and all snapshots into one snapshot file. Reads and writes go on. */
  compact(): Promise<void>;
  stats(): Promise<Stats>;
  status(): Promise<Status>;
  /** The last lines of the log as they stand, `bytes` of them at most (default 64 KiB): JSON, one record a line. */
  log(bytes?: number): Promise<string>;
  /** The whole database as one snapshot file, which the native library and command line open too. That of an encrypted database is
   *  encrypted, and its key opens it. */
  exportSnapshot(): Promise<Blob>;
  /** Replaces the whole contents by a snapshot file's, all or nothing, after verifying it. `invalid-argument` when
   *  it is no snapshot, or an encrypted one under another key, `corrupt` when damaged, `version` when newer than this
   *  code; `io` when the leader was lost meanwhile: then look whether it was done. */
  importSnapshot(file: Blob): Promise<void>;
  /** Has another key or passphrase open the database from now on, without writing the rest anew. Killed in the midst of it, one of
   *  the two does. Other tabs that have it open go on until one of them would have to lead, and must then be opened with the new
   *  one. `invalid-argument` when the database is not encrypted. */
  changeKey(encryption: Encryption): Promise<void>;
  /** Every durable change after the sequence number `after` (from now on if left out), in order, each once, whoever
   *  leads. Iterating rejects with `not-found` when the log no longer holds the change after `after`; it ends
   *  quietly when `signal` aborts, and rejects with `closed` when the database is closed. */
  changes(options?: { after?: number; signal?: AbortSignal }): AsyncIterable<Change>;
  /** Lets the database go, after what was asked before has settled. Later calls reject with `closed`. With a page's
   *  last handle its subscriptions end, and another tab takes over. Closing twice is fine. */
  close(): Promise<void>;
}

export interface WriteOptions {
  /** Instead of the handle's own. */
  durability?: Durability;
}

/** What `batch` hands to its builder; of no use after that. Its methods throw `invalid-argument` and `too-large`. */
export interface Batch {
  put(collection: string, key: string, document: Json): this;
  delete(collection: string, key: string): this;
  drop(collection: string): this;
}

/** Documents under keys: 1 to 1,024 bytes of UTF-8 without lone surrogates. A document's JSON text has at most 16
 *  MiB, and 128 arrays and objects within each other; more is `too-large`. */
export interface Collection<T = Json> {
  readonly name: string;
  /** The document, or `undefined` where there is none. Gets made in one go travel together. */
  get(key: string): Promise<T | undefined>;
  /** In the order of `keys`, as of one moment. */
  getMany(keys: string[]): Promise<(T | undefined)[]>;
  /** Resolves to the write's sequence number. */
  put(key: string, document: T, options?: WriteOptions): Promise<number>;
  /** Many documents, all or nothing, in one message. Resolves to the last sequence number. */
  putMany(entries: Iterable<[string, T]>, options?: WriteOptions): Promise<number>;
  /** Resolves to false, and writes nothing, when the key was not there. */
  delete(key: string, options?: WriteOptions): Promise<boolean>;
  /** Removes every document of the collection. */
  drop(options?: WriteOptions): Promise<number>;
  /** How many documents are in the range: at most its `limit`, whatever its `reverse`. */
  count(range?: Range): Promise<number>;
  /** In the order of the keys' UTF-8 bytes, from one read view, fetched in chunks. Should the leader change
   *  meanwhile, the iteration goes on if nothing was written since; otherwise its view is gone, and it rejects with
   *  `not-found` rather than mix two. */
  entries(range?: Range): AsyncIterable<[string, T]>;
  /** The range as one array, in one message. */
  getAll(range?: Range): Promise<[string, T][]>;
  /** Calls `listener` with every change that becomes durable from now on, in any tab: in order, each once, without
   *  gaps. A range narrows it to its keys (`limit` and `reverse` mean nothing here); a drop is always told. Returns
   *  what ends it. After an import, or when the page slept for so long that the log no longer holds what it missed,
   *  it is told a drop, and a put of each document that is there. An exception of a listener is reported as uncaught
   *  and disturbs nothing. Throws on bad arguments. */
  subscribe(listener: (changes: Change<T>[]) => void): () => void;
  subscribe(range: Range, listener: (changes: Change<T>[]) => void): () => void;
}

/** Keys that begin with `prefix` and lie in [`from`, `to`), by UTF-8 bytes; what is left out does not limit. */
export interface Range {
  prefix?: string;
  from?: string;
  to?: string;
  /** From the last key to the first. */
  reverse?: boolean;
  /** At most so many: a whole number from 0. */
  limit?: number;
}

/** One document written or deleted, or a collection dropped (then `key` is null). */
export interface Change<T = Json> {
  /** What the write that did this resolved to. */
  sequence: number;
  collection: string;
  key: string | null;
  type: 'put' | 'delete' | 'drop';
  /** What was put. Listeners share it: do not change it. */
  document?: T;
}

export interface Stats {
  documents: number;
  /** Of the last write. */
  sequence: number;
  logBytes: number;
  snapshotBytes: number;
  /** Files of the log. */
  segments: number;
  /** Finished since the leader opened the database. */
  compactions: number;
  /** The database's files and their lengths. */
  files: { name: string; bytes: number }[];
}

export interface Status {
  storage: StorageKind;
  /** Whether this page runs the worker that has the files open. */
  leader: boolean;
  /** Whether the browser promised not to evict the data. */
  persisted: boolean;
  /** False once a failure has stopped all writing. */
  healthy: boolean;
  /** Bytes this origin uses, of those it may, as the browser estimates them. */
  usage: number;
  quota: number;
  /** There after an open that found the torn tail of a crash and set it aside: nothing acknowledged was in it. */
  recovered?: { tornBytes: number; quarantined: string };
}
