import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";

/** What goes wrong at the server, while it is set. */
export interface Trouble {
  /** Bodies end after so many bytes. */
  cutAfter?: number;
  /** The byte at this place of every file is another. */
  flipByteAt?: number;
  /** Files come whole, whatever part is asked for. */
  withoutRanges?: boolean;
  /** Answers this, and nothing else. */
  status?: number;
  /** The index says this of every file. */
  sha256?: string;
}

/** A package index on the loopback interface that offers the wheels of a folder. */
export interface IndexServer {
  readonly url: string;
  /** The ranges of files that were asked for. */
  readonly ranges: string[];
  /** Bytes of files sent. */
  sent: number;
  trouble: Trouble;
  close(): Promise<void>;
}

export async function startIndex(
  folder: string,
  { html = false, password = "" } = {},
): Promise<IndexServer> {
  const state: Omit<IndexServer, "url"> = {
    ranges: [],
    sent: 0,
    trouble: {},
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };

  function sendPage(project: string, response: ServerResponse): void {
    const wheels = readdirSync(folder).filter((name) =>
      name.startsWith(`${project.replaceAll("-", "_")}-`),
    );
    if (wheels.length === 0) {
      response.writeHead(404).end();
      return;
    }
    const files = wheels.map((filename) => {
      const content = readFileSync(path.join(folder, filename));
      const sha256 = state.trouble.sha256 ?? createHash("sha256").update(content).digest("hex");
      return { filename, url: `../../files/${filename}`, hashes: { sha256 } };
    });
    if (html) {
      const links = files.map(
        ({ filename, url, hashes }) => `<a href="${url}#sha256=${hashes.sha256}">${filename}</a>`,
      );
      response.writeHead(200, { "content-type": "text/html" }).end(links.join("\n"));
    } else {
      const type = "application/vnd.pypi.simple.v1+json";
      response.writeHead(200, { "content-type": type }).end(JSON.stringify({ files }));
    }
  }

  function sendFile(name: string, request: IncomingMessage, response: ServerResponse): void {
    const { cutAfter, flipByteAt, withoutRanges } = state.trouble;
    const file = path.join(folder, name);
    const size = statSync(file).size;
    const content = readFileSync(file);
    if (flipByteAt !== undefined) content[flipByteAt]! ^= 1;
    const [, from = "0", to = String(size - 1)] =
      /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    state.ranges.push(`${name} ${from}-${to}`);
    const body = withoutRanges ? content : content.subarray(Number(from), Number(to) + 1);
    response.writeHead(withoutRanges ? 200 : 206, {
      "content-length": body.length,
      "content-range": `bytes ${from}-${to}/${size}`,
    });
    if (cutAfter !== undefined && body.length > cutAfter) {
      state.sent += cutAfter;
      response.write(body.subarray(0, cutAfter), () => response.destroy());
      return;
    }
    state.sent += body.length;
    response.end(body);
  }

  const server = createServer((request, response) => {
    const expected = `Basic ${Buffer.from(`me:${password}`).toString("base64")}`;
    if (password !== "" && request.headers.authorization !== expected) {
      response.writeHead(401).end();
      return;
    }
    if (state.trouble.status !== undefined) {
      response.writeHead(state.trouble.status).end();
      return;
    }
    const [, kind, name = ""] = /^\/(simple|files)\/([^/]+)\/?$/.exec(request.url ?? "") ?? [];
    if (kind === "simple") sendPage(name, response);
    else if (kind === "files") sendFile(name, request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const credentials = password === "" ? "" : `me:${password}@`;
  return Object.assign(state, { url: `http://${credentials}127.0.0.1:${port}/simple` });
}
