/**
 * Everything that can go wrong, by name.
 *
 * `ProtocolError`: what arrived is not what protocol/SPEC.md describes; catch it and nothing that the wire can
 * do escapes. `StreamRefused`: the gateway will not serve this stream, however often it is asked.
 * `HistoryError`: a question over HTTP was not answered.
 */

/** What a stream is closed with, by either side. */
export const CloseCode = {
  GOING_AWAY: 1001,
  PROTOCOL: 1002,
  UNSUPPORTED_DATA: 1003,
  ABNORMAL: 1006,
  INVALID_TEXT: 1007,
  MESSAGE_TOO_BIG: 1009,
  SERVICE_RESTART: 1012,
  TRY_AGAIN_LATER: 1013,
  BAD_MESSAGE: 4400,
  NOT_LOGGED_IN: 4401,
  LOGGED_OUT: 4403,
  TOO_MANY_MESSAGES: 4429,
  TOO_MANY_CONNECTIONS: 4430,
  NO_PONG: 4504,
  TOO_SLOW: 4508,
} as const;

/** Say whether a client may reconnect after this close code of the gateway. */
export function mayComeBack(code: number): boolean {
  const isOurMistake =
    code === CloseCode.UNSUPPORTED_DATA ||
    code === CloseCode.INVALID_TEXT ||
    code === CloseCode.MESSAGE_TOO_BIG ||
    (code >= 4400 && code < 4500);
  return !isOurMistake;
}

/** What arrived is not what protocol/SPEC.md describes. */
export class ProtocolError extends Error {
  /** What to close the connection with. */
  readonly closeCode: number = CloseCode.BAD_MESSAGE;
  // Stated by each class: the name of the class itself does not survive a minifier.
  override readonly name: string = "ProtocolError";
}

/** A frame is shorter or longer than its header says. */
export class BadLength extends ProtocolError {
  override readonly name = "BadLength";

  constructor(
    readonly expected: number,
    readonly actual: number,
  ) {
    super(`frame has ${actual} bytes, not the ${expected} that it should`);
  }
}

/** The CRC-32 in the frame header does not match the frame body. */
export class BadChecksum extends ProtocolError {
  override readonly name = "BadChecksum";

  constructor(
    readonly expected: number,
    readonly actual: number,
  ) {
    super(`frame CRC is 0x${actual.toString(16)}, header says 0x${expected.toString(16)}`);
  }
}

/** A v2 frame carries another version number. */
export class BadVersion extends ProtocolError {
  override readonly name = "BadVersion";

  constructor(readonly version: number) {
    super(`frame version is ${version}, this reader knows 2`);
  }
}

/** A v2 frame carries a kind of record that this reader does not know. */
export class UnknownKind extends ProtocolError {
  override readonly name = "UnknownKind";

  constructor(readonly kind: number) {
    super(`frame kind ${kind} is not known`);
  }
}

/** A number that no market can state: NaN, infinite or negative, or a time out of range. */
export class BadValue extends ProtocolError {
  override readonly name = "BadValue";

  constructor(
    readonly field: string,
    readonly value: unknown,
  ) {
    super(`${field} cannot be ${value}`);
  }
}

/** A text message is not JSON, or not one of the messages of the protocol. */
export class BadMessage extends ProtocolError {
  override readonly name = "BadMessage";
}

/** A record uses a symbol id that no dictionary message has introduced. */
export class UnknownSymbolId extends ProtocolError {
  override readonly name = "UnknownSymbolId";

  constructor(readonly symbolId: number) {
    super(`symbol id ${symbolId} was never introduced`);
  }
}

/** A COMPACT record counts from a BASE that has not come. */
export class UnknownBase extends ProtocolError {
  override readonly name = "UnknownBase";

  constructor(readonly symbolId: number) {
    super(`no BASE has come for symbol id ${symbolId}`);
  }
}

/** An interval that no candle has. */
export class UnknownInterval extends ProtocolError {
  override readonly name = "UnknownInterval";

  constructor(readonly interval: unknown) {
    super(`unknown interval ${interval}`);
  }
}

/** The gateway will not serve this stream: mend the client, or log in, first. */
export class StreamRefused extends Error {
  override readonly name = "StreamRefused";

  constructor(
    readonly code: number,
    readonly reason: string,
  ) {
    super(`the gateway refused the stream: ${code} ${reason}`.trimEnd());
  }
}

/** A question over HTTP was refused, or not answered. */
export class HistoryError extends Error {
  override readonly name = "HistoryError";

  constructor(
    readonly url: string,
    readonly reason: string,
    /** Whether the same may be answered later. */
    readonly isPassing = false,
  ) {
    super(`${reason} (${url})`);
  }
}
