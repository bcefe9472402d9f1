// The expression network of an npm package, asked over stdin and stdout; `npm.py` starts it.
//
//     node npm_peer.mjs FOLDER PACKAGE
//
// FOLDER holds node_modules. When the network is loaded and has answered once, a line of JSON says
// what answers: {"source": "..."}. A request is three uint32 (little endian), rows, height and width,
// and rows * height * width * 3 bytes, RGB. Its answer is a line of JSON, {"scores": [[...], ...],
// "wall": seconds, "cpu": seconds}: the clock begins when all bytes have arrived and ends before the
// answer is written. Whatever fails is a line {"error": "..."}. The end of stdin ends the process.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const SIDE = 48; // pixels, of the picture that warms up

const [folder, name] = process.argv.slice(2);
const modules = path.resolve(folder, 'node_modules');
const load = createRequire(path.join(modules, 'any.js'));
console.log = console.info = console.error; // stdout is for answers

const networks = { '@vladmandic/human': openHuman, '@vladmandic/face-api': openFaceApi };

/** `tf` computing by WebAssembly, from the files on this machine. */
async function startWasm(tf) {
  const wasm = load('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(`${modules}/@tensorflow/tfjs-backend-wasm/dist/`);
  await tf.setBackend('wasm');
  await tf.ready();
  if (tf.getBackend() !== 'wasm') throw new Error('tfjs cannot use its WASM backend here');
  return `tfjs ${tf.version_core}, WASM`;
}

/** Its graph alone, asked as its src/gear/emotion.ts does, but about a whole batch at once. */
async function openHuman() {
  const tf = load('@tensorflow/tfjs-core');
  const { loadGraphModel } = load('@tensorflow/tfjs-converter');
  const runtime = await startWasm(tf);
  const models = `${modules}/${name}/models`;
  const { modelTopology, weightsManifest } = JSON.parse(fs.readFileSync(`${models}/emotion.json`));
  const weightSpecs = weightsManifest.flatMap((group) => group.weights);
  const weightData = new Uint8Array(fs.readFileSync(`${models}/emotion.bin`)).buffer;
  const model = await loadGraphModel({ load: async () => ({ modelTopology, weightSpecs, weightData }) });
  const shares = tf.tensor1d([0.2989, 0.587, 0.114]); // of red, green and blue in a grey
  const predict = async (pixels, [rows, height, width]) => {
    const answer = tf.tidy(() => {
      const unit = tf.div(tf.tensor4d(pixels, [rows, height, width, 3], 'int32'), 255);
      const colored = tf.image.resizeBilinear(unit, [64, 64], false);
      const grey = tf.sum(tf.mul(colored, shares), 3, true);
      return model.execute(tf.mul(tf.sub(grey, 0.5), 2));
    });
    const scores = await answer.array();
    answer.dispose();
    return scores;
  };
  return { predict, source: `emotion.json, ${runtime}` };
}

/** Its own call for a batch of faces, which scales them itself. */
async function openFaceApi() {
  const faceapi = load(`${modules}/${name}/dist/face-api.node-wasm.js`);
  const { tf, nets, FACE_EXPRESSION_LABELS } = faceapi;
  const runtime = await startWasm(tf);
  await nets.faceExpressionNet.loadFromDisk(`${modules}/${name}/model`);
  const predict = async (pixels, [rows, height, width]) => {
    const size = height * width * 3;
    const faces = Array.from({ length: rows }, (_, row) =>
      tf.tensor3d(pixels.subarray(row * size, (row + 1) * size), [height, width, 3], 'int32'));
    const answers = await nets.faceExpressionNet.predictExpressions(faces);
    tf.dispose(faces);
    return answers.map((one) => FACE_EXPRESSION_LABELS.map((label) => one[label]));
  };
  return { predict, source: `face_expression_model, ${runtime}` };
}

/** `length` bytes of stdin; null at its end. */
function read(length) {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length;) {
    const count = fs.readSync(0, bytes, at, length - at);
    if (count === 0) return null;
    at += count;
  }
  return bytes;
}

function say(answer) {
  fs.writeSync(1, `${JSON.stringify(answer)}\n`);
}

async function answer(predict, pixels, shape) {
  const begin = performance.now();
  const used = process.cpuUsage();
  const scores = await predict(pixels, shape);
  const { user, system } = process.cpuUsage(used); // microseconds
  return { scores, wall: (performance.now() - begin) / 1e3, cpu: (user + system) / 1e6 };
}

async function main() {
  const { version } = JSON.parse(fs.readFileSync(`${modules}/${name}/package.json`));
  const { predict, source } = await networks[name]();
  await predict(new Uint8Array(SIDE * SIDE * 3), [1, SIDE, SIDE]);
  say({ source: `${name} ${version}, ${source}, node ${process.versions.node}` });
  for (let head = read(12); head !== null; head = read(12)) {
    const shape = [...new Uint32Array(head.buffer)];
    const pixels = read(shape[0] * shape[1] * shape[2] * 3);
    if (pixels === null) break;
    say(await answer(predict, pixels, shape));
  }
}

try {
  await main();
} catch (error) {
  say({ error: String(error).split('\n')[0] });
  process.exitCode = 1;
}
