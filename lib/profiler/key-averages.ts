import type { ProfilerEvent } from "../native.js";

/** All events of one name in a profile. Times are microseconds, over all calls. */
export interface EventAverage {
  readonly name: string;
  /** How often it ran. */
  readonly count: number;
  /** From its beginnings to its ends. */
  readonly cpuTimeTotal: number;
  /** {@link cpuTimeTotal} without the operators that it called. */
  readonly selfCpuTimeTotal: number;
  /** Time on a GPU of the kernels that it, and what it called, launched. */
  readonly deviceTimeTotal: number;
  /** {@link deviceTimeTotal} without that of the operators that it called. */
  readonly selfDeviceTimeTotal: number;
  /** A range that `recordFunction` named, not an operator. */
  readonly isUserAnnotation: boolean;
}

type Sortable = Exclude<keyof EventAverage, "name" | "isUserAnnotation">;

/** Options of {@link KeyAverages.table}. */
export interface TableOptions {
  /** What comes first: the most of this. Default `"selfCpuTimeTotal"`. */
  readonly sortBy?: Sortable | undefined;
  /** How many lines. Default 100. */
  readonly rowLimit?: number | undefined;
}

/** A profile's events by name, the one with the most time of its own first; in PyTorch: `key_averages()`. */
export class KeyAverages implements Iterable<EventAverage> {
  constructor(readonly rows: readonly EventAverage[]) {}

  [Symbol.iterator](): Iterator<EventAverage> {
    return this.rows[Symbol.iterator]();
  }

  /** Lines of text in columns. Percentages are of the sum of all times of their own. */
  table({ sortBy = "selfCpuTimeTotal", rowLimit = 100 }: TableOptions = {}): string {
    const rows = [...this.rows].sort((a, b) => b[sortBy] - a[sortBy]).slice(0, rowLimit);
    const whole = this.rows.reduce((sum, row) => sum + row.selfCpuTimeTotal, 0);
    const device = this.rows.some((row) => row.deviceTimeTotal > 0);
    const cells = [
      [
        ...["Name", "Self CPU %", "Self CPU", "CPU total", "CPU time avg"],
        ...(device ? ["Self device", "Device total"] : []),
        "# of Calls",
      ],
      ...rows.map((row) => [
        row.name,
        `${((row.selfCpuTimeTotal / (whole || 1)) * 100).toFixed(2)}%`,
        time(row.selfCpuTimeTotal),
        time(row.cpuTimeTotal),
        time(row.cpuTimeTotal / row.count),
        ...(device ? [time(row.selfDeviceTimeTotal), time(row.deviceTimeTotal)] : []),
        String(row.count),
      ]),
    ];
    const widths = cells[0]!.map((_, column) =>
      Math.max(...cells.map((row) => row[column]!.length)),
    );
    return cells
      .map((row) =>
        row
          .map((cell, column) =>
            column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
          )
          .join("  "),
      )
      .join("\n");
  }
}

function time(microseconds: number): string {
  if (microseconds >= 1e6) return `${(microseconds / 1e6).toFixed(3)}s`;
  if (microseconds >= 1e3) return `${(microseconds / 1e3).toFixed(3)}ms`;
  return `${microseconds.toFixed(3)}us`;
}

/** An event on the CPU and what ran inside it. */
interface Node {
  readonly event: ProfilerEvent;
  readonly parent: Node | null;
  /** Time of the events right inside it. */
  inside: number;
  deviceTime: number;
  selfDeviceTime: number;
}

/** Which event ran inside which: on a thread, one that begins later and ends earlier. */
function nest(events: readonly ProfilerEvent[]): Node[] {
  const nodes: Node[] = [];
  const ordered = [...events].sort(
    (a, b) => a.thread - b.thread || a.start - b.start || b.duration - a.duration,
  );
  let open: Node | null = null;
  for (const event of ordered) {
    const end = event.start + event.duration;
    while (
      open !== null &&
      (open.event.thread !== event.thread || end > open.event.start + open.event.duration)
    ) {
      open = open.parent;
    }
    if (open !== null) open.inside += event.duration;
    open = { event, parent: open, inside: 0, deviceTime: 0, selfDeviceTime: 0 };
    nodes.push(open);
  }
  return nodes;
}

/** Steps are told apart by their numbers, which here are one name. */
function keyOf(name: string): string {
  return /^ProfilerStep#\d+$/.test(name) ? "ProfilerStep*" : name;
}

/** Adds up events by name. */
export function keyAverages(events: readonly ProfilerEvent[]): KeyAverages {
  const onCpu = (event: ProfilerEvent) => event.deviceType === "cpu";
  const nodes = nest(events.filter((event) => onCpu(event) && !event.isAsync));
  const launchers = new Map(nodes.map((node) => [node.event.correlation, node]));
  const rows = new Map<string, { -readonly [Key in keyof EventAverage]: EventAverage[Key] }>();
  const add = ({ name, isUserAnnotation }: ProfilerEvent, times: Omit<Times, "count">) => {
    const key = keyOf(name);
    let row = rows.get(key);
    if (row === undefined) {
      row = {
        ...{ name: key, isUserAnnotation, count: 0, cpuTimeTotal: 0, selfCpuTimeTotal: 0 },
        ...{ deviceTimeTotal: 0, selfDeviceTimeTotal: 0 },
      };
      rows.set(key, row);
    }
    row.count += 1;
    row.cpuTimeTotal += times.cpuTimeTotal;
    row.selfCpuTimeTotal += times.selfCpuTimeTotal;
    row.deviceTimeTotal += times.deviceTimeTotal;
    row.selfDeviceTimeTotal += times.selfDeviceTimeTotal;
  };
  // A range on the GPU's time line spans kernels that count already.
  for (const event of events.filter((event) => !onCpu(event) && !event.isUserAnnotation)) {
    const { duration } = event;
    const launcher = launchers.get(event.linkedCorrelation);
    if (launcher === undefined) {
      add(event, {
        ...{ cpuTimeTotal: 0, selfCpuTimeTotal: 0 },
        ...{ deviceTimeTotal: duration, selfDeviceTimeTotal: duration },
      });
      continue;
    }
    launcher.selfDeviceTime += duration;
    for (let node: Node | null = launcher; node !== null; node = node.parent) {
      node.deviceTime += duration;
    }
  }
  for (const { event, inside, deviceTime, selfDeviceTime } of nodes) {
    add(event, {
      cpuTimeTotal: event.duration,
      selfCpuTimeTotal: event.duration - inside,
      deviceTimeTotal: deviceTime,
      selfDeviceTimeTotal: selfDeviceTime,
    });
  }
  return new KeyAverages(
    [...rows.values()].sort((a, b) => b.selfCpuTimeTotal - a.selfCpuTimeTotal),
  );
}

type Times = Pick<EventAverage, Sortable>;
