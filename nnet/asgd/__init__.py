"""Asynchronous SGD: workers push gradients to the shards of a parameter server, on one machine or a Ray cluster."""

import os

# read by Ray when it is imported, in whatever module that is first
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # a cluster that Ray starts here listens on loopback
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # and sends no statistics
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 lets any other process starve workers and shards
