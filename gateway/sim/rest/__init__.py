"""The exchange's REST: parameters, answers and refusals as Binance words them."""
