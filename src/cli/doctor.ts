import type { Command } from "commander";
import type { SetStatus } from "./program.js";

/** `wavegpt doctor` */
export function addDoctorCommand(program: Command, setStatus: SetStatus): void {
  program
    .command("doctor")
    .description("Say what WaveGPT found on this machine and what is wrong.")
    .option("--json", "Print one JSON object")
    .action(async (options: { json?: boolean }) => {
      const { doctor } = await import("../doctor.js");
      setStatus(await doctor({ json: options.json ?? false }));
    });
}
