"""What is written in C because Python cannot do it at this price, and what does the same without it.

May import nothing of ours. The extension is optional: `build.py` makes it where there is a compiler.
"""
