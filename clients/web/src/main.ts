/** The page, put together: every part is made once, and what one says is passed to the others here. */

import "./style/tokens.css";
import "./style/frame.css";
import "./style/search.css";
import "./style/list.css";
import "./style/chart.css";
import "./style/ladder.css";
import "./style/dialogs.css";
import "./style/narrow.css";
import "./style/phone.css";
import { fullName } from "tickgate/symbols";
import { Account } from "./account/account.js";
import { LoginDialog } from "./account/dialog.js";
import { PriceChart } from "./chart/chart.js";
import { Gaps } from "./chart/gaps.js";
import { Headline } from "./chart/headline.js";
import { Legend } from "./chart/legend.js";
import { Toolbar } from "./chart/toolbar.js";
import { find } from "./elements.js";
import { findPlace, Gateway } from "./gateway.js";
import { Keyboard } from "./keyboard.js";
import { Ladder } from "./ladder/ladder.js";
import { notify } from "./notice.js";
import { DEFAULT_WATCHLIST, read, remember } from "./preferences.js";
import { StateLine } from "./status/line.js";
import { Theme } from "./theme.js";
import { chooseView, watchViews } from "./views.js";
import { Days } from "./watchlist/day.js";
import { emptyNote, List } from "./watchlist/list.js";
import { plainName } from "./watchlist/row.js";
import { Search } from "./watchlist/search.js";
import { Star } from "./watchlist/star.js";
import { Watchlist } from "./watchlist/watchlist.js";

const SETTLE_MS = 110;
const SCROLL_BARS = 20;
const CHART_KINDS = { kinds: ["price", "quote", "trade", "enigma"] } as const;
const CHART_ONLY = { kinds: ["quote", "trade", "enigma"] } as const;

async function start(): Promise<void> {
  const theme = new Theme();
  const gateway = new Gateway(await findPlace());
  const { stream, history } = gateway;
  find<HTMLAnchorElement>("api-link").href = `${gateway.place.url}/docs`;
  const account = new Account(gateway);
  const watchlist = new Watchlist(gateway, account);
  const days = new Days(history);
  const list = new List(stream, watchlist, days);
  const search = new Search(history, (name) => watchlist.has(name));
  const gaps = new Gaps(history, stream);
  const chart = new PriceChart(gateway, gaps);
  const headline = new Headline(stream, days);
  const star = new Star(watchlist);
  const toolbar = new Toolbar();
  new Legend(chart);
  new LoginDialog(account);
  new StateLine(stream);
  new Ladder(stream, gaps);
  watchViews();

  let charted = "";
  let settling = 0;
  const showChart = () => {
    const interval = read("interval");
    if (charted !== chart.symbol || interval !== chart.interval) {
      chart.show(charted, interval);
    }
  };
  const choose = (symbol: string) => {
    const name = fullName(symbol);
    if (name === charted) {
      return;
    }
    remember("symbol", plainName(name));
    if (charted !== "") {
      stream.unsubscribe([charted], CHART_ONLY);
    }
    stream.subscribe([name], CHART_KINDS);
    watchlist.pin(name);
    charted = name;
    list.choose(name);
    headline.show(name);
    star.show(name);
    gaps.watch(name);
    // Who runs through the list with the arrows sees every headline, and loads the chart where they stop.
    clearTimeout(settling);
    settling = window.setTimeout(showChart, chart.symbol === "" ? 0 : SETTLE_MS);
  };

  list.chosen.on((name) => {
    choose(name);
    chooseView("chart");
  });
  search.chosen.on((name) => {
    watchlist.add(name);
    choose(name);
    chooseView("chart");
  });
  toolbar.chosen.on((interval) => {
    remember("interval", interval);
    toolbar.show();
    showChart();
  });
  toolbar.changed.on(() => chart.prefer());
  theme.changed.on(() => chart.prefer());
  watchlist.refused.on((reason) => notify(reason));
  find("empty").append(emptyNote(() => watchlist.add(...DEFAULT_WATCHLIST)));
  const keyboard = new Keyboard(
    [
      { keys: ["/"], shown: "/", does: "search for a symbol", run: () => openSearch(search) },
      {
        keys: ["ArrowUp", "ArrowDown"],
        shown: "↑ ↓",
        does: "through the list",
        run: (key) => list.step(key === "ArrowUp" ? -1 : 1),
      },
      {
        keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        shown: "1 – 9",
        does: "interval",
        run: (key) => toolbar.choose(Number(key) - 1),
      },
      {
        keys: ["[", "]"],
        shown: "[ ]",
        does: "shorter, longer interval",
        run: (key) => toolbar.step(key === "[" ? -1 : 1),
      },
      {
        keys: ["ArrowLeft", "ArrowRight"],
        shown: "← →",
        does: "scroll the chart",
        run: (key) => chart.scroll(key === "ArrowLeft" ? -SCROLL_BARS : SCROLL_BARS),
      },
      { keys: ["End"], shown: "End", does: "back to the last bar", run: () => chart.goLive() },
      { keys: ["w"], shown: "w", does: "onto the list, off the list", run: () => star.toggle() },
      { keys: ["e"], shown: "e", does: "moving averages", run: () => toolbar.toggleIndicator("ema") },
      { keys: ["r"], shown: "r", does: "RSI", run: () => toolbar.toggleIndicator("rsi") },
      { keys: ["g"], shown: "g", does: "Enigma levels", run: () => toolbar.toggleIndicator("enigma") },
      { keys: ["l"], shown: "l", does: "logarithmic scale", run: () => toolbar.toggleLogarithmic() },
      { keys: ["z"], shown: "z", does: "time here or UTC", run: () => toolbar.toggleZone() },
      { keys: ["t"], shown: "t", does: "dark or light", run: () => theme.next() },
    ],
    [
      ["Alt ↑ ↓", "move the row that has the focus"],
      ["Delete", "take it off the list"],
    ],
  );
  find("help-button").addEventListener("click", () => keyboard.openHelp());

  chart.prefer();
  choose(read("symbol"));
  stream.start();
  // For whoever opens the console: `tickgate.stream.figures`, `tickgate.chart.bars`.
  Object.assign(globalThis, { tickgate: { stream, chart, watchlist } });
}

function openSearch(search: Search): void {
  chooseView("list");
  search.open();
}

start().catch((error: unknown) => {
  document.body.dataset.state = "down";
  find("state-text").textContent = String(error instanceof Error ? error.message : error);
});
