"""Empty tasks on another engine: `peers.py hyperqueue|ray TASKS` prints the seconds they took."""

import sys
import time


def hyperqueue(tasks):
    from hyperqueue import Job, LocalCluster
    from hyperqueue.cluster import WorkerConfig

    with LocalCluster() as cluster:
        cluster.start_worker(WorkerConfig())
        client = cluster.client()
        began = time.monotonic()
        job = Job()
        for _ in range(tasks):
            job.program(["true"], stdout=None, stderr=None)
        client.wait_for_jobs([client.submit(job)])
        return time.monotonic() - began


def ray(tasks):
    import ray

    ray.init(include_dashboard=False, log_to_driver=False)

    @ray.remote
    def empty():
        pass

    # Its worker processes are started by the first tasks.
    ray.get([empty.remote() for _ in range(100)])
    began = time.monotonic()
    ray.get([empty.remote() for _ in range(tasks)])
    seconds = time.monotonic() - began
    ray.shutdown()
    return seconds


if __name__ == "__main__":
    engine, tasks = sys.argv[-2:]
    print("seconds", {"hyperqueue": hyperqueue, "ray": ray}[engine](int(tasks)), flush=True)
