import { createInterface } from "node:readline";

// biome-ignore lint/suspicious/noExplicitAny: each handler knows what it is asked with.
type Handler = (details: any) => unknown;

/** The worker's side of `Worker`: answers each line on stdin until it is closed. */
export async function answer(handlers: Readonly<Record<string, Handler>>): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    let reply: { value: unknown } | { error: string };
    try {
      const { ask, ...details } = JSON.parse(line) as { ask: string };
      const handler = handlers[ask];
      if (handler === undefined) throw new Error(`this worker cannot ${ask}`);
      reply = { value: (await handler(details)) ?? null };
    } catch (error) {
      reply = { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`);
  }
}
