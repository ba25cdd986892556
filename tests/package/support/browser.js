// Debian's Chromium, driven by playwright-core.

import { chromium } from 'playwright-core';

const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export const launch = () => chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS });

/** A page whose errors fail the test that calls `check` at its end. */
export async function newPage(context) {
  const page = await context.newPage();
  const errors = [];
  page.on('pageerror', error => errors.push(error));
  page.on('console', message => {
    if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico')) errors.push(new Error(message.text()));
  });
  return {
    page,
    check: () => {
      if (errors.length > 0) throw new AggregateError(errors, `the page logged: ${errors.map(error => error.message).join('; ')}`);
    },
  };
}
