"""What TradingView's charts ask for, as their client really wants it. May import what `gateway/api` may."""
