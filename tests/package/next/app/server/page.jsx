import { open } from 'pumice';

export const dynamic = 'force-dynamic';

/** A server has no database to open, and says so. */
export default async function Page() {
  const code = await open('next').then(() => 'opened', error => error.code);
  return <output>{code}</output>;
}
