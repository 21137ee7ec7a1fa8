"""Why Redis did not do what it was asked to."""


class CacheTrouble(Exception):
    """Redis is not of use for what it was asked to do; the message says why."""


class CacheDown(CacheTrouble):
    """It does not answer in time, or lets nobody in: nothing can be asked of it."""


class WrongPassword(CacheDown):
    """It waits for another password."""


class CacheRefused(CacheTrouble):
    """It answers, but does not do this: it is full, a replica, or has not given us the right."""


class OtherKind(CacheRefused):
    """The key has another kind of value: it is somebody else's."""
