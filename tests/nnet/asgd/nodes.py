"""A Ray cluster of two nodes on this machine, until standard input ends: ``python -m tests.nnet.asgd.nodes``.

Prints its address and that of its client server.
"""

import json
import os
import sys

os.environ.setdefault("RAY_worker_niceness", "0")  # as nnet.asgd sets it; other tests would starve the actors

from ray.cluster_utils import Cluster

CLIENT_PORT = 20_001

if __name__ == "__main__":
    head = {"num_cpus": 1, "include_dashboard": False, "ray_client_server_port": CLIENT_PORT}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=1)
    print(json.dumps({"address": cluster.address, "client": f"ray://127.0.0.1:{CLIENT_PORT}"}), flush=True)
    sys.stdin.read()
    cluster.shutdown()
