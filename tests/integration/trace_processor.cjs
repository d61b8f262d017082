// Runs the WebAssembly trace processor of Perfetto's web page outside of a browser:
// node trace_processor.cjs FOLDER QUESTION ANSWER, where QUESTION and ANSWER are files of TraceProcessorRpcStream.
// The page's script expects a web worker; this gives it what it looks for there.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');

const [folder, question, answer] = process.argv.slice(2);
const fail = (error) => {
  console.error(String(error).slice(0, 500));
  process.exit(1);
};
process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);

const file = (url) => fs.readFileSync(path.join(folder, path.basename(String(url))));
globalThis.self = globalThis;
globalThis.WorkerGlobalScope = function () {};
globalThis.location = { href: `file://${folder}/` };
globalThis.importScripts = () => {};
globalThis.XMLHttpRequest = class {
  open(_, url) { this.url = url; }
  send() {
    const bytes = file(this.url);
    this.response = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    this.status = 200;
    this.onload?.();
  }
};
globalThis.fetch = async (url) => new Response(file(url), { headers: { 'content-type': 'application/wasm' } });
// Emscripten asks process.type whether this is node, whose way of loading it was compiled without.
Object.defineProperty(process, 'type', { value: 'renderer' });

vm.runInThisContext(file('engine_bundle.js').toString());
const replies = [];
const port = { postMessage: (data) => replies.push(Buffer.from(data)) };
globalThis.onmessage({ data: port });

// The module compiles in the background and drops its assertion once it can take requests: ask until it does.
const ask = (attempts) => {
  try {
    port.onmessage({ data: new Uint8Array(fs.readFileSync(question)) });
  } catch (error) {
    if (attempts === 0) fail(error);
    setTimeout(ask, 100, attempts - 1);
    return;
  }
  fs.writeFileSync(answer, Buffer.concat(replies));
  process.exit(0);
};
setTimeout(ask, 100, 300);
