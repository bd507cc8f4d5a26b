# SPDX-License-Identifier: Apache-2.0
"""The single-node cloud: a real OpenStack with two compute hosts, each with its own TPM.

``tools/cloud`` is the command; demo and tests import this package (``PYTHONPATH=tools``). It
drives the cloud from *outside* its namespaces, as root::

    from e2ecloud import Cloud, api

    cloud = Cloud.of_checkout()             # state in .cloud/ or $E2ETRUST_CLOUD
    api.up(cloud); api.down(cloud)          # idempotent; raise errors.CloudError
    api.exec_in(cloud, ["curl", "-s", "http://172.30.0.1:8797/"])   # in the cloud's namespace
    api.openstack(cloud, "server", "list", user="alice")            # -> subprocess.CompletedProcess
    api.openstack_json(cloud, "server", "show", "vm1", user="alice")  # -> parsed JSON
    api.environment(cloud, "alice")         # OS_* variables of admin | alice | e2etrust
    api.host_exec(cloud, "host2", ["virsh", "list"])                # in a compute host
    api.host_extend(cloud, "host2", 7, b"tampered")                 # TPM2_PCR_Extend by the host
    api.power_cut(cloud, "host1"); api.boot(cloud, "host1")         # TPM: PCRs reset, resetCount up
    api.tpm_clock(cloud, "host1")           # -> TpmClock(reset_count, restart_count, clock_ms)
    api.service(cloud, "e2etrust-verifier", "stop")                 # stop | start | restart
    api.service(cloud, "host1/e2etrust-agent", "restart")           # services of a host: HOST/NAME
    api.log_path(cloud, "nova-scheduler")   # a service's log file
    api.status(cloud)                       # -> Status(services, hosts), .as_dict()
    api.seed(cloud)                         # flavors plain and trusted

Inside the cloud: APIs on 172.30.0.1, hosts host1 (172.30.0.11) and host2 (172.30.0.12).
"""

from e2ecloud.layout import Cloud as Cloud
