/** The worker of an engine of texts: answers what `remote` asks. */

import { documents } from './texts.js';
import { works } from './work.js';

export function host(texts) {
  const engine = documents(texts);
  const methods = { ...texts, work: (name, options) => works[name](engine, options) };
  self.onmessage = async ({ data: { id, method, args } }) => {
    try {
      self.postMessage({ id, value: await methods[method]?.(...args) });
    } catch (error) {
      self.postMessage({ id, error: String(error.stack ?? error) });
    }
  };
}
