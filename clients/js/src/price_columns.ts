/**
 * Prices column by column: what `columns()` of a frame fills. Handed in again and again it costs no memory anew.
 */

export class PriceColumns {
  /** How many of each column count; the arrays may be longer. */
  count = 0;
  symbolId = new Uint16Array(0);
  price = new Float64Array(0);
  /** Rolling 24 h volume in the base unit. */
  volume = new Float64Array(0);

  /** Make room for so many; what they held is to be written over. */
  resize(count: number): void {
    if (count > this.price.length) {
      this.symbolId = new Uint16Array(count);
      this.price = new Float64Array(count);
      this.volume = new Float64Array(count);
    }
    this.count = count;
  }
}
