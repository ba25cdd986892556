/** For what may never end: Playwright limits some of its calls, and no program that is started. */

/** How long anything may take on a machine that stalls, before it counts as hanging. */
export const PATIENCE = 90_000;

/** What `promise` gives, or an error that names `what` was waited for in vain, for `patience` ms. */
export async function within(what, promise, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${patience / 1000} s`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
