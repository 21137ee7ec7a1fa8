"""What candles.py is made of: minutes, the longer bars over them, and how two bars are compared. Pure."""
