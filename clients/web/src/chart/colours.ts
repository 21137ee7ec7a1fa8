/** The colours of the chart: those of the page, read from its style, since a canvas knows no style sheets. */

export interface Colours {
  paper: string;
  text: string;
  soft: string;
  faint: string;
  line: string;
  grid: string;
  up: string;
  down: string;
  upVolume: string;
  downVolume: string;
  warn: string;
  accent: string;
  first: string;
  second: string;
  strength: string;
  watermark: string;
  font: string;
}

/** Read the colours that hold now. */
export function readColours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string) => style.getPropertyValue(`--${name}`).trim();
  return {
    paper: value("paper"),
    text: value("text"),
    soft: value("soft"),
    faint: value("faint"),
    line: value("line"),
    grid: value("grid"),
    up: value("up"),
    down: value("down"),
    upVolume: value("up-volume"),
    downVolume: value("down-volume"),
    warn: value("warn"),
    accent: value("accent"),
    first: value("first"),
    second: value("second"),
    strength: value("strength"),
    watermark: value("watermark"),
    font: value("font"),
  };
}
