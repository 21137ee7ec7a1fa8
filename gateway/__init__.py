"""I/O and composition: everything that opens, listens, waits or starts.

May import anything of ours. Inside: exchanges <- feeds <- roles; api, ws <- roles;
nothing imports roles, cli or sim.
"""
