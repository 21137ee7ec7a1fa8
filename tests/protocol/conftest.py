from hypothesis import settings

# A machine may be busy while the tests run: how long one example takes says nothing.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
