"""`exchangeInfo`: what is listed, in the shapes of the three markets, and that it is simulated."""

from collections.abc import Sequence
from typing import Any, Final

from gateway.sim.market.symbols import Board, Instrument, decimal

LISTED_MS: Final = 1_577_836_800_000
SPOT_ORDERS: Final = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"]
FUTURES_ORDERS: Final = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"]


def exchange_info(
    board: Board, ones: Sequence[tuple[Instrument, str]], weight_limit: int, now_ms: int
) -> dict[str, Any]:
    """Describe instruments of one board, with their status."""
    describe = {Board.SPOT: _spot, Board.USDM: _usdm, Board.COINM: _coinm}[board]
    return {
        "simulated": True,  # not Binance's: so that nobody takes these prices for real ones
        "timezone": "UTC",
        "serverTime": now_ms,
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight_limit}
        ],
        "exchangeFilters": [],
        "symbols": [describe(one, status) for one, status in ones],
    }


def _spot(one: Instrument, status: str) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "status": status,
        "baseAsset": one.base,
        "baseAssetPrecision": 8,
        "quoteAsset": one.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": SPOT_ORDERS,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            *_filters(one),
            {
                "filterType": "NOTIONAL",
                "minNotional": "5.00000000",
                "applyMinToMarket": True,
                "maxNotional": "9000000.00000000",
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def _usdm(one: Instrument, status: str) -> dict[str, Any]:
    return {
        **_futures(one),
        "status": status,
        "settlePlan": 0,
        "filters": [*_filters(one), {"filterType": "MIN_NOTIONAL", "notional": "5"}],
    }


def _coinm(one: Instrument, status: str) -> dict[str, Any]:
    return {
        **_futures(one),
        "contractStatus": status,
        "contractSize": one.contract_size,
        "equalQtyPrecision": 4,
        "filters": _filters(one),
    }


def _futures(one: Instrument) -> dict[str, Any]:
    return {
        "symbol": one.symbol,
        "pair": one.pair,
        "contractType": one.contract_type,
        "deliveryDate": one.delivery_ms,
        "onboardDate": LISTED_MS,
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": one.base,
        "quoteAsset": one.quote,
        "marginAsset": one.base if one.inverse else one.quote,
        "pricePrecision": one.price_digits,
        "quantityPrecision": one.quantity_digits,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "triggerProtect": "0.0500",
        "liquidationFee": "0.010000",
        "marketTakeBound": "0.30",
        "orderTypes": FUTURES_ORDERS,
        "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
    }


def _filters(one: Instrument) -> list[dict[str, Any]]:
    top_price, top_lots = 10 ** (one.tick_decimals + 6), 10 ** (one.lot_decimals + 7)
    # Futures write these without padding ("0.10" is what trades say, "0.1" is the tick); spot pads all.
    tick = one.price_text(1) if one.board is Board.SPOT else decimal(1, one.tick_decimals, one.tick_decimals)
    lot = {
        "minQty": one.quantity_text(1),
        "maxQty": one.quantity_text(top_lots),
        "stepSize": one.quantity_text(1),
    }
    price = {"minPrice": one.price_text(1), "maxPrice": one.price_text(top_price), "tickSize": tick}
    return [
        {"filterType": "PRICE_FILTER", **price},
        {"filterType": "LOT_SIZE", **lot},
        {"filterType": "MARKET_LOT_SIZE", **lot},
    ]
