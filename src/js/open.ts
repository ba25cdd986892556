/** Opening: one tab for each name in a page, shared by all its handles. */

import { DatabaseHandle } from './database.js';
import { otherKey, PumiceError } from './errors.js';
import type { Launch, Places } from './launch.js';
import { PageLife } from './lifecycle.js';
import { type CheckedOptions, checkOptions } from './options.js';
import { type Keyed, keyedBy } from './secret.js';
import { Tab } from './tab.js';
import { checkDatabase } from './text.js';
import type { Database, OpenOptions } from './types.js';

interface Shared {
  tab: Tab;
  life: PageLife;
  opened: Promise<void>;
  handles: number;
  persisted: () => Promise<boolean>;
  closing?: Promise<void>;
}

const tabs = new Map<string, Shared>();
let places: Places = {};

/** Opens with workers from `launch`. */
export const openWith = async (launch: Launch, name: string, options?: OpenOptions): Promise<Database> => {
  const checked = checkOptions(options);
  checkDatabase(name);
  requireBrowser();
  const keyed = checked.encryption && await keyedBy(checked.encryption, name);
  await closed(name);
  const shared = tabs.get(name) ?? share(launch, name, checked, keyed);
  if (shared.tab.proof !== keyed?.proof) throw otherKey('this page');
  shared.handles++;
  try {
    await shared.opened;
  } catch (error) {
    if (tabs.get(name) === shared) tabs.delete(name);
    throw error;
  }
  places = checked.places;
  return new DatabaseHandle(name, checked.engine.durability, shared.tab, shared.persisted, () => release(name, shared));
};

/** Where this page's last open that worked found worker and wasm, if it said so. */
export const placesHere = (): Places => places;

/** Whether this page has the database open, once what is being closed is closed. */
export const isOpenHere = async (name: string): Promise<boolean> => {
  await closed(name);
  return tabs.has(name);
};

const closed = async (name: string): Promise<void> => {
  for (let closing; (closing = tabs.get(name)?.closing) !== undefined;) await closing;
};

const share = (launch: Launch, name: string, options: CheckedOptions, keyed: Keyed | undefined): Shared => {
  const tab = new Tab(name, launch, options, keyed, () => life.watchLeaving());
  const life = new PageLife(tab);
  const opened = tab.open();
  opened.catch(() => life.end());
  const shared: Shared = { tab, life, opened, handles: 0, persisted: persistence(options.persist) };
  tabs.set(name, shared);
  return shared;
};

const release = async (name: string, shared: Shared): Promise<void> => {
  if (--shared.handles > 0) return;
  shared.closing = shared.tab.close().finally(() => {
    shared.life.end();
    if (tabs.get(name) === shared) tabs.delete(name);
  });
  await shared.closing;
};

/** Asks for persistent storage, and gives what tells the answer. Nobody waits for a browser that asks its user
 *  first. */
const persistence = (ask: boolean): () => Promise<boolean> => {
  let answer: boolean | undefined;
  if (ask) navigator.storage?.persist?.().then(granted => { answer = granted; }, () => { answer = false; });
  return async () => answer ?? await navigator.storage?.persisted?.().catch(() => false) ?? false;
};

/** Throws `unsupported` where something is missing that no database can do without. */
export const requireBrowser = (): void => {
  const missing = [
    ['Worker', typeof Worker], ['WebAssembly', typeof WebAssembly], ['BroadcastChannel', typeof BroadcastChannel],
    ['navigator.locks', typeof navigator === 'undefined' ? 'undefined' : typeof navigator.locks],
  ].filter(([, type]) => type === 'undefined').map(([what]) => what);
  if (missing.length > 0) {
    throw new PumiceError('unsupported',
      `a database needs a browser, and a page over https or on localhost; here is no ${missing.join(', no ')}`);
  }
};
