// Says at the end which modules were loaded: one JSON line on stdout.
import { register } from 'node:module';
import { MessageChannel, isMainThread } from 'node:worker_threads';

let port;
export function initialize(data) {
  port = data.port;
}

export async function load(url, context, nextLoad) {
  port.postMessage(url);
  return nextLoad(url, context);
}

if (isMainThread) {
  const { port1, port2 } = new MessageChannel();
  const urls = [];
  port1.on('message', (url) => urls.push(url));
  port1.unref();
  register(import.meta.url, { data: { port: port2 }, transferList: [port2] });
  process.on('exit', () => process.stdout.write(`${JSON.stringify(urls.filter((url) => url.startsWith('file:')))}\n`));
}
