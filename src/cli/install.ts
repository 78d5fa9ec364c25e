import { Argument, type Command } from "commander";

/** `wavegpt install` */
export function addInstallCommand(program: Command): void {
  program
    .command("install")
    .description("Fetch libtorch into the cache: for the CPU, or for CUDA with NVIDIA's libraries.")
    .addArgument(new Argument("<build>", "which one").choices(["cpu", "cuda"]))
    .option("--list", "Print what would be fetched, and fetch nothing")
    .action(async (build: "cpu" | "cuda", options: { list?: boolean }) => {
      const { installLibtorch, listLibtorch } = await import("../install.js");
      const told = options.list ? await listLibtorch(build) : installLibtorch(build);
      process.stdout.write(`${told}\n`);
    });
}
