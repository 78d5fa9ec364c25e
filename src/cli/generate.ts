import { type Command, Option } from "commander";
import * as z from "zod";
import { expectation } from "../config/expectation.js";
import { UsageError } from "../config/usage-error.js";

const schema = z.object({
  from: z.string(),
  prompt: z.string().default(""),
  tokens: z.coerce.number().int().min(0).default(500),
  temperature: z.coerce.number().min(0).default(1),
  topK: z.coerce.number().int().min(1).optional(),
  topP: z.coerce.number().gt(0).lte(1).optional(),
  seed: z.coerce.number().int().min(0).default(1337),
  device: z.enum(["auto", "cpu", "cuda", "mps"]).default("auto"),
  threads: z.coerce.number().int().min(0).default(0),
});

const FLAGS: Readonly<Record<string, string>> = { topK: "--top-k", topP: "--top-p" };

function check(options: Record<string, unknown>): z.output<typeof schema> {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const name = String(issue.path[0]);
    return `${FLAGS[name] ?? `--${name}`}: ${expectation(issue)}, got ${JSON.stringify(options[name])}.`;
  });
  throw new UsageError(problems.join(" "));
}

/** `wavegpt generate` */
export function addGenerateCommand(program: Command): void {
  program
    .command("generate")
    .description("Write text with a trained model, as it is made.")
    .requiredOption("--from <DIR>", "Folder of the run whose best model writes")
    .option("--prompt <TEXT>", "Text to continue (default: a line break)")
    .option("--tokens <N>", "Tokens to add (default: 500)")
    .option("--temperature <X>", "Below 1 safer, above 1 wilder, 0 the likeliest (default: 1)")
    .option("--top-k <N>", "Draw among the N likeliest tokens (default: all)")
    .option("--top-p <P>", "Draw among the likeliest that make up this share (default: all)")
    .option("--seed <N>", "The same seed writes the same text (default: 1337)")
    .addOption(new Option("--device <auto|cpu|cuda|mps>", "Where to compute (default: auto)"))
    .option("--threads <N>", "CPU threads; 0 leaves the number to libtorch (default: 0)")
    .action(async (given: Record<string, unknown>) => {
      const { from, device, threads, ...options } = check(given);
      const { writeGenerated } = await import("./write-generated.js");
      await writeGenerated(from, { device, threads }, options);
    });
}
