/** The leader's worker, as its own page sees it: launched, started, asked, watched and stopped. Lives for one term. */

import type { Link } from './call.js';
import { PumiceError, told, wrapped } from './errors.js';
import type { Launch, Places, Wasm } from './launch.js';
import {
  type EngineOptions, type FromWorker, type Replies, type Requests, type Start, type ToWorker, workerLock,
} from './protocol.js';
import type { Keyed } from './secret.js';

export interface WorkerEvents {
  started: () => void;
  /** It could not open the database, and has nothing open. */
  failed: (error: PumiceError) => void;
  replies: (message: Replies) => void;
  /** It crashed, or was terminated by someone else. */
  gone: (error: PumiceError) => void;
}

export interface WorkerStart {
  name: string; term: string; client: string; places: Places; options: EngineOptions; keyed: Keyed | undefined;
}

/** The worker waits 20 s for files that are held; the rest is for reading the log. In ms. */
const STARTING = 50_000;
const STOPPING = 10_000;

export class WorkerHost implements Link {
  readonly term: string;
  private readonly worker: Worker;
  private readonly wasm: Promise<Wasm>;
  private readonly watch = new AbortController();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isBegun = false;
  private isStarted = false;
  private isOver = false;
  private stopped: (() => void) | undefined;

  /** Launches the worker, which then waits for `begin`. Throws what launching throws. */
  constructor(launch: Launch, private readonly start: WorkerStart, private readonly events: WorkerEvents) {
    this.term = start.term;
    const { worker, wasm } = launch(start.places);
    this.worker = worker;
    this.wasm = wasm;
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.receive(data);
    worker.onerror = event => {
      event.preventDefault();
      // Without a message it is not the script that failed, but the loading of it.
      this.gone(new PumiceError('io', event.message ? `the worker crashed: ${event.message}`
        : 'the worker could not be loaded; `workerUrl` can tell where worker.js is'));
    };
  }

  /** Has it open the database. */
  async begin(): Promise<void> {
    this.timer = setTimeout(() => this.gone(new PumiceError('timeout', 'the worker did not start in time')), STARTING);
    const { name, term, client, options, keyed } = this.start;
    const start: Start = {
      type: 'start', name, term, client, options, wasm: await this.wasm, secret: keyed?.secret, proof: keyed?.proof,
    };
    if (this.isOver) return;
    this.isBegun = true;
    this.post(start);
  }

  get started(): boolean {
    return this.isStarted;
  }

  send(message: Requests, transfer: ArrayBuffer[]): void {
    this.post(message, transfer);
  }

  /** Lets it finish what it was asked, flush and close. */
  stop(): Promise<void> {
    // It has nothing open yet.
    if (!this.isBegun) this.terminate();
    if (this.isOver) return Promise.resolve();
    this.post({ type: 'stop', term: this.term });
    return new Promise(resolve => {
      const timer = setTimeout(resolve, STOPPING);
      this.stopped = () => { clearTimeout(timer); resolve(); };
    });
  }

  terminate(): void {
    this.over();
    this.worker.terminate();
  }

  /** No more of its messages count. It may still close in order. */
  over(): void {
    this.isOver = true;
    this.watch.abort();
    clearTimeout(this.timer);
    this.stopped?.();
  }

  private post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.worker.postMessage(message, transfer);
  }

  private receive(message: FromWorker): void {
    if (this.isOver || message.term !== this.term) return;
    switch (message.type) {
      case 'started': {
        this.isStarted = true;
        clearTimeout(this.timer);
        void this.watchLock();
        return this.events.started();
      }
      case 'failed': return this.gone(told(message.error));
      case 'replies': return this.events.replies(message);
      case 'stopped': return this.stopped?.();
      case 'crashed': return this.gone(told(message.error));
    }
  }

  private gone(error: PumiceError): void {
    if (this.isOver) return;
    this.terminate();
    if (this.isStarted) this.events.gone(error);
    else this.events.failed(error);
  }

  /** The worker holds this lock from before `started` for as long as it lives; nothing else tells that it was
   *  terminated. */
  private async watchLock(): Promise<void> {
    try {
      await navigator.locks.request(workerLock(this.start.name, this.term), { signal: this.watch.signal }, () => {});
      if (this.stopped === undefined) this.gone(new PumiceError('io', 'the worker has ended'));
      else this.stopped();
    } catch (cause) {
      if (!this.watch.signal.aborted) this.gone(wrapped('io', 'the worker cannot be watched', cause));
    }
  }
}
