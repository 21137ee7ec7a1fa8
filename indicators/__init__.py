"""Pure numpy: array in, array out, and the same one value at a time. May import numpy only."""
