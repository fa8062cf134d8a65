// A server of models with a script: a repository's API and its files, ranges with validators, and faults by turn: cuts, stalls, wrong
// bytes, other sizes, other files, redirects, refusals. Remembers every request.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Asked {
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
  readonly ifRange: string | undefined;
}

/** Null: answer as usual. True: the fault has answered. */
export type Fault = (request: IncomingMessage, response: ServerResponse, asked: Asked) => boolean;

export interface ModelServer {
  readonly url: string;
  readonly asked: Asked[];
  /** Path to content. */
  readonly files: Map<string, Buffer>;
  readonly etags: Map<string, string>;
  fault: Fault;
  /** False: every answer is the whole file. */
  ranges: boolean;
  /** Says of `org/repo` what it holds, at a commit. */
  repository(name: string, commit: string, files: Readonly<Record<string, Buffer>>, options?: { readonly wrongHash?: boolean; readonly noHash?: boolean }): void;
  close(): Promise<void>;
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export async function startModelServer(): Promise<ModelServer> {
  const apis = new Map<string, string>();
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '');
    const { range, authorization } = request.headers;
    const ifRange = request.headers['if-range'];
    const asked: Asked = { path, range, authorization, ifRange: typeof ifRange === 'string' ? ifRange : undefined };
    model.asked.push(asked);
    if (model.fault(request, response, asked)) return;
    const api = apis.get(path);
    if (api !== undefined) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(api);
      return;
    }
    const content = model.files.get(path);
    if (content === undefined) {
      response.writeHead(404).end();
      return;
    }
    serveFile(content, model.etags.get(path) ?? `"${sha256(content).slice(0, 16)}"`, asked, response, model.ranges);
  });
  await new Promise<void>((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const model: ModelServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked: [], files: new Map(), etags: new Map(), fault: () => false, ranges: true,
    repository(name, commit, files, { wrongHash = false, noHash = false } = {}) {
      const siblings = Object.entries(files).map(([rfilename, bytes]) => ({ rfilename, size: bytes.length, ...(noHash ? {} : { lfs: { sha256: wrongHash ? '0'.repeat(64) : sha256(bytes), size: bytes.length, pointerSize: 135 } }) }));
      for (const revision of ['main', commit]) apis.set(`/api/models/${name}/revision/${revision}`, JSON.stringify({ id: name, sha: commit, siblings }));
      for (const [file, bytes] of Object.entries(files)) model.files.set(`/${name}/resolve/${commit}/${file}`, bytes);
    },
    close: () => new Promise((resolve) => {
      server.closeAllConnections();
      server.close(() => resolve());
    }),
  };
  return model;
}

/** A whole answer or the range, as the request's validator allows. */
export function serveFile(content: Buffer, etag: string, { range, ifRange }: Asked, response: ServerResponse, ranges = true): void {
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  const headers = etag === '' ? {} : { etag };
  if (!ranges || from === undefined || (ifRange !== undefined && ifRange !== etag)) {
    response.writeHead(200, { ...headers, 'content-length': content.length }).end(content);
    return;
  }
  const part = content.subarray(Number(from), Number(to) + 1);
  if (part.length === 0) {
    response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end();
    return;
  }
  response.writeHead(206, { ...headers, 'content-length': part.length, 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${content.length}` }).end(part);
}
