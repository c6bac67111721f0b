"""A Ray cluster of two machines that are both this one; runs where Ray is installed.

Writes `{"address": ..., "raylets": [...]}` to stdout, the ids of the processes that are the two
nodes; the end of stdin ends all.
"""

import json
import os
import sys

# Before Ray is imported: loopback only, nothing is sent home.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}

from ray.cluster_utils import Cluster


def main() -> None:
    """Serve until stdin ends."""
    kind = {"num_cpus": 2, "object_store_memory": 100 << 20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=kind)
    second = cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    raylets = [node.all_processes["raylet"][0].process.pid for node in (cluster.head_node, second)]
    print(json.dumps({"address": cluster.address, "raylets": raylets}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
