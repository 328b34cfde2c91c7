"""The doorbell: a short task of the `gpu` cluster, one of which runs on every host that trains."""

from apps.jobs import hosts, services, supervise


def kick() -> int:
    """Looks at the table: deals with the dead, then starts what there is a place for. Returns how many it started.

    May run any number of times, anywhere, at once. Rung by every submission, cancel and end, and every minute.
    """
    host = hosts.host_name()
    services.schedule_ensure()
    supervise.adopt(host=host)
    supervise.reap(host=host)
    services.slots_sync(host=host)
    started = 0
    while claim := services.job_claim(host=host):
        job, slot = claim
        supervise.launch(job, slot.name)
        started += 1
    return started
