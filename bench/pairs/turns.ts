/**
 * Lets every side measure once a round. The order turns round from one round to the next (A B, B A, ...), so that
 * neither a drift nor a habit of being first favours a side.
 *
 * @returns each side's measurements, by round
 */
export async function takeTurns<Side extends string, Measurement>(
  sides: readonly Side[],
  rounds: number,
  measure: (side: Side, round: number) => Promise<Measurement>,
): Promise<Record<Side, Measurement[]>> {
  const measured = Object.fromEntries(sides.map((side) => [side, []])) as unknown as Record<
    Side,
    Measurement[]
  >;
  for (let round = 0; round < rounds; round++) {
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
      measured[side].push(await measure(side, round));
    }
  }
  return measured;
}
