/** What both builds of SQLite are told. */

/** Only one connection can have the files, so nothing is lost by locking them; write-ahead logging works only then. */
export const SETUP = [
  'PRAGMA locking_mode = exclusive',
  'PRAGMA journal_mode = wal',
  'PRAGMA synchronous = full',
  'PRAGMA cache_size = -65536',
  'CREATE TABLE IF NOT EXISTS users (key TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID',
];
export const COMPACT = ['VACUUM', 'PRAGMA wal_checkpoint(truncate)'];
export const PUT = 'INSERT INTO users VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET text = excluded.text';
export const GET = 'SELECT text FROM users WHERE key = ?';
export const ALL = 'SELECT text FROM users';
