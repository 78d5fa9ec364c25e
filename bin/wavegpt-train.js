#!/usr/bin/env node
import { run } from "./run.js";

await run(["train", ...process.argv.slice(2)]);
