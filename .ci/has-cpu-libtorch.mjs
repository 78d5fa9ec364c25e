/** Whether the libtorch here is the CPU build that a release packs; says so where it is not. */
import { locateLibtorch } from "../scripts/libtorch.mjs";

const { build, directory } = await locateLibtorch({ headers: true });
if (build !== null && build !== "cpu") {
  console.log(`The install is not tried: libtorch in ${directory} is the build ${build}, not cpu.`);
  process.exit(1);
}
