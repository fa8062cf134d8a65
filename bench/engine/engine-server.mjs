// The node's endpoints over plain HTTP on loopback, for benches: the handlers and the engine in its own process, no network of
// cocoon's between. Options as JSON in the first argument; prints its port.
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { silentLog } from '../../dist/core/log.js';
import { startChildEngine } from '../../dist/node/engine/child-engine.js';
import { handleHttpRequest } from '../../dist/node/handlers.js';

const cocoon = fileURLToPath(new URL('../../bin/cocoon', import.meta.url));
const engine = await startChildEngine({
  launch: { command: process.execPath, args: [cocoon, 'node', 'run-engine'], env: process.env },
  load: JSON.parse(process.argv[2]), log: { ...silentLog, error: (message, fields) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`) },
});

const server = createServer(async (request, response) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const left = new AbortController();
  response.on('close', () => left.abort());
  await handleHttpRequest({ method: request.method, url: request.url, headers: [], payload: Buffer.concat(parts) }, engine, left.signal, {
    head: (status, reason, headers) => void response.writeHead(status, reason, headers.flatMap(({ name, value }) => [name, value])),
    part: (bytes) => (response.write(bytes) ? undefined : new Promise((resolve) => { response.once('drain', resolve); response.once('close', resolve); })),
    end: (_usage, bytes) => void response.end(bytes),
  }).catch(() => response.destroy());
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port} ${engine.pid}\n`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  void engine.close();
});
