/** Serves a folder as a web server would: scripts and wasm may be cached, pages are asked for anew.
 *
 *  The headers isolate the page, for then Chromium's clock is exact to 5 µs. */

import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };

export async function serve(folder) {
  async function answer(request, response) {
    const path = normalize(new URL(request.url, 'http://localhost').pathname);
    const file = join(folder, path.endsWith('/') ? `${path}index.html` : path);
    const { size, mtimeMs } = await stat(file);
    response.writeHead(200, {
      'content-type': TYPES[extname(file)],
      'content-length': size,
      'cache-control': file.endsWith('.html') ? 'no-cache' : 'max-age=3600',
      etag: `"${size}-${mtimeMs}"`,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    });
    createReadStream(file).pipe(response);
  }
  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.writeHead(404).end());
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${server.address().port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
