/** Names of symbols: `BTCUSDT` means the default exchange, `BINANCE:BTCUSDT` says so in full, in any case. */

const DEFAULT_EXCHANGE = "BINANCE";

/** Spell a name as users write it in the one way by which names are compared. */
export function fullName(name: string): string {
  const wanted = name.trim().toUpperCase();
  return wanted.includes(":") ? wanted : `${DEFAULT_EXCHANGE}:${wanted}`;
}
