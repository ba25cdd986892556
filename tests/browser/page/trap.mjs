/** Has an engine that is started in this worker come upon a trap, as at a panic, whenever it is asked for its statistics. */

// (module (func (export "t") unreachable))
const TRAP = Uint8Array.of(
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 0x74, 0, 0, 10, 5, 1, 3, 0, 0, 11,
);
const trap = new WebAssembly.Instance(new WebAssembly.Module(TRAP)).exports.t;

const instantiate = WebAssembly.instantiateStreaming;
WebAssembly.instantiateStreaming = async (...source) => {
  const { instance, module } = await instantiate(...source);
  return { instance: { exports: { ...instance.exports, engine_stats: trap } }, module };
};
