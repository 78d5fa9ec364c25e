export type { PrepareEvent, PrepareProgress } from "./meter.js";
export type { PrepareOptions } from "./options.js";
export { type PrepareResult, prepare } from "./prepare.js";
