import { open } from 'pumice';
import { start } from './notes.js';

start(open, 'webpack');
