/** What the build puts inside of `inline.js`. */

declare module 'pumice:worker' {
  /** The text of `worker.js`. */
  const source: string;
  export default source;
}

declare module 'pumice:wasm' {
  /** `pumice_bg.wasm` in base64. */
  const base64: string;
  export default base64;
}
