"""The contenders of `bench/codec.py`: what they are given, and who does it in which language."""
