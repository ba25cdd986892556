/** Serves the built package, the tests' own modules and a blank page with the package on it, from an ephemeral port.
 *
 *  It sends no special headers: the package must not need any. `POST /told/CHANNEL` is the side channel by which a page
 *  says what was acknowledged to it; what arrived here stays known when the browser dies. `/file/NAME` keeps what is posted. */

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join, normalize, extname } from 'node:path';
import { fileURLToPath } from 'node:url';

const TESTS = fileURLToPath(new URL('..', import.meta.url));
export const PACKAGE = process.env.PUMICE_PKG ?? fileURLToPath(new URL('../../../pkg', import.meta.url));

const TYPES = {
  '.js': 'text/javascript', '.mjs': 'text/javascript', '.wasm': 'application/wasm', '.html': 'text/html; charset=utf-8',
  '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml', '.png': 'image/png',
  '.webmanifest': 'application/manifest+json',
};

/** Where the package says that `exports` entry `name` is, as a path under `/pkg/`. */
export function entry(name = '.') {
  const { exports } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  return `/pkg/${normalize(exports[name].default ?? exports[name])}`;
}

const blankPage = () => `<!doctype html><html lang="en"><title>Pumice</title><link rel="icon" href="data:,">
<script>addEventListener('error', event => { window.failed = event.message ?? 'the package does not load'; }, true);</script>
<script type="module">
import * as pumice from '${entry()}';
import * as tools from '/tests/page/tools.mjs';
Object.assign(window, { pumice, ...tools, ready: true });
</script>`;

/** Starts a server. `folders` adds roots, those within others first: `{ '/app/': '/some/folder' }`. `change(path, text)` may rewrite what is served. */
export async function serve({ folders = {}, change } = {}) {
  const roots = { ...folders, '/pkg/': PACKAGE, '/tests/': TESTS };
  const told = new Map();
  const kept = new Map();

  async function answer(request, response) {
    const { pathname } = new URL(request.url, 'http://localhost');
    if (request.method === 'POST') {
      const parts = [];
      for await (const part of request) parts.push(part);
      const body = Buffer.concat(parts);
      const [, folder, name] = pathname.split('/');
      if (folder === 'file') kept.set(name, body);
      else told.set(name, [...(told.get(name) ?? []), ...JSON.parse(body.toString())]);
      response.writeHead(204).end();
      return;
    }
    if (pathname.startsWith('/file/')) {
      response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(kept.get(pathname.slice('/file/'.length)));
      return;
    }
    if (pathname === '/' || pathname === '/other') {
      const content = pathname === '/' ? blankPage() : '<!doctype html><title>Other</title>';
      response.writeHead(200, { 'content-type': TYPES['.html'] }).end(content);
      return;
    }
    if (pathname.startsWith('/entry/')) {
      response.writeHead(302, { location: entry(`./${pathname.slice('/entry/'.length)}`) }).end();
      return;
    }
    const root = Object.keys(roots).find(root => pathname.startsWith(root));
    const path = normalize(decodeURIComponent(pathname.slice(root?.length ?? 0))) || '.';
    if (root === undefined || path.startsWith('..')) throw new Error(`no such page: ${pathname}`);
    const file = path.endsWith('/') || path === '.' ? join(path, 'index.html') : path;
    let content = await readFile(join(roots[root], file));
    if (change) content = change(pathname, content);
    response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' }).end(content);
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(error => response.writeHead(404).end(String(error)));
  });
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://localhost:${server.address().port}`,
    /** Everything that pages told on a channel so far. */
    told: channel => told.get(channel) ?? [],
    /** Files by name, which pages fetch from and post to `/file/NAME`. */
    files: kept,
    close() {
      server.closeAllConnections();
      return new Promise(resolve => server.close(resolve));
    },
  };
}
