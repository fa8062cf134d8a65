// A file on the network as a source of bytes: each read is one range, of the first address that answers.
import { NetworkError } from '../../core/errors.ts';
import type { ModelFetcher } from './fetch.ts';
import type { ByteSource } from './gguf-header.ts';
import type { RemoteFile } from './hub.ts';

/** Reads throw what `ModelFetcher.range` throws; NetworkError `E_MODEL_SOURCE` for a server that knows no ranges. */
export function remoteSource({ name, urls, sha256 }: RemoteFile, fetcher: ModelFetcher, signal: AbortSignal): ByteSource {
  return {
    name,
    async read(offset, length) {
      const [url] = urls;
      if (url === undefined) throw new RangeError('expected an address');
      const { partial, body } = await fetcher.range({ url, start: offset, end: offset + length - 1, etag: null, hashKnown: sha256 !== null }, signal);
      const chunks: Uint8Array[] = [];
      let total = 0;
      try {
        if (!partial && offset > 0) throw new NetworkError('E_MODEL_SOURCE', `${new URL(url).host} knows no ranges`, { hint: 'pull the model, then ask about the file' });
        for await (const chunk of body) {
          const bytes = chunk as Uint8Array;
          chunks.push(bytes);
          total += bytes.byteLength;
          if (total >= length) break;
        }
      } finally {
        body.on('error', () => undefined).destroy();
      }
      return Buffer.concat(chunks, total).subarray(0, length);
    },
  };
}
