/** The page's life: it may be put to sleep (back/forward cache, freezing) and shown again.
 *
 *  A sleeping page must hold nothing: neither locks nor channels, which would keep it from the cache, nor files,
 *  which would keep the other tabs from the database. */

export interface Sleeper {
  suspend(): void;
  resume(): void;
}

/** Returns what ends it. */
export const watchLife = (sleeper: Sleeper): () => void => {
  // A page that is not kept ends here, and this gives its worker the chance to flush.
  const suspend = (): void => sleeper.suspend();
  const resume = (): void => sleeper.resume();
  const page: EventTarget = globalThis as unknown as Window;
  const listeners: [EventTarget | undefined, string, () => void][] = [
    [page, 'pagehide', suspend], [page, 'pageshow', resume],
    [globalThis.document, 'freeze', suspend], [globalThis.document, 'resume', resume],
  ];
  for (const [target, type, listen] of listeners) target?.addEventListener(type, listen);
  return () => {
    for (const [target, type, listen] of listeners) target?.removeEventListener(type, listen);
  };
};
