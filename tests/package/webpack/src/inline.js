import { open } from 'pumice/inline';
import { start } from './notes.js';

start(open, 'webpack-inline');
