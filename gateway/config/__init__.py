"""What can be set, where its value comes from, and the flags that set it. May import protocol only."""
