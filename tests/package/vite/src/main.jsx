import { open } from 'pumice';
import { createRoot } from 'react-dom/client';
import { StrictMode, Suspense, use } from 'react';
import { Notes } from './notes.jsx';

const passphrase = new URLSearchParams(location.search).get('passphrase');
const db = passphrase ? open('vite encrypted', { encryption: { passphrase } }) : open('vite');

createRoot(document.getElementById('root')).render(
  <StrictMode>
    <Suspense fallback="Opening">
      <Opened />
    </Suspense>
  </StrictMode>,
);

function Opened() {
  return <Notes db={use(db)} />;
}
