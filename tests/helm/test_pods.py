"""What runs: each container hardened, each process with what it needs and no more."""

from collections import Counter

import pytest
from flower.options import default_options

from slurm_tasks import settings, settings_view
from slurm_tasks.celery_settings import HARD_LIMIT
from tests.helm.cases import CASES, EVERYTHING, HEADNODE, MINIMAL
from tests.helm.chart import Object, containers, merge, of_kind, pods, render

pytestmark = pytest.mark.xdist_group("helm")
each_case = pytest.mark.parametrize("values", CASES.values(), ids=CASES)

SETTINGS = {setting.variable for setting in settings_view.describe({})}
WORKERS = {"control", "headnode"}


def environment(pod: Object) -> dict[str, str]:
    """Return a pod's variables; what comes from a Secret or the pod itself reads as a stand-in."""
    stand_ins = {
        "CELERY_BROKER_URL": "redis://broker:6379/0",
        "SENTRY_DSN": "https://key@sentry.example.com/1",
    }
    (container,) = pod["spec"]["containers"]
    return {
        entry["name"]: entry.get("value", stand_ins.get(entry["name"], "stand-in"))
        for entry in container.get("env", [])
    }


@each_case
def test_every_container_is_hardened(values: Object) -> None:
    """Nothing runs as root, writes to its image, or has a capability or a token of Kubernetes."""
    for pod in pods(render(values)).values():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"]


@each_case
def test_mounts_and_volumes_belong_together(values: Object) -> None:
    """Each mount has a volume, each volume is mounted, no folder is mounted twice."""
    for pod in pods(render(values)).values():
        mounts = [mount for container in containers(pod) for mount in container["volumeMounts"]]
        names = [volume["name"] for volume in pod["spec"]["volumes"]]
        assert {mount["name"] for mount in mounts} == set(names)
        assert max(Counter(names).values()) == 1
        for container in containers(pod):
            folders = Counter(mount["mountPath"] for mount in container["volumeMounts"])
            assert max(folders.values()) == 1


def test_only_a_munge_of_the_nodes_touches_the_host() -> None:
    """Without it, every pod is within Kubernetes' restricted standard."""
    for values in (MINIMAL, EVERYTHING):
        for pod in pods(render(values)).values():
            assert not any("hostPath" in volume for volume in pod["spec"]["volumes"])


@pytest.mark.parametrize("component", ["beat", "headnode"])
def test_beat_and_the_writer_are_never_two(component: str) -> None:
    """Not even during an upgrade: the old one ends before the new one starts."""
    spec = of_kind(render(EVERYTHING), "Deployment")[component]["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}


def test_workers_may_finish_their_tasks() -> None:
    """A worker that is told to end has longer than a task may take."""
    for name in WORKERS:
        assert pods(render(EVERYTHING))[name]["spec"]["terminationGracePeriodSeconds"] > HARD_LIMIT


def test_munge_is_there_before_the_worker_and_after_it() -> None:
    """The munged beside the head-node worker is a sidecar: started first, ended last."""
    pod = pods(render(EVERYTHING))["headnode"]
    (munged,) = pod["spec"]["initContainers"]
    assert munged["restartPolicy"] == "Always"
    assert "startupProbe" in munged
    assert munged["image"] == pod["spec"]["containers"][0]["image"]


def test_the_worker_does_not_see_the_munge_key() -> None:
    """It has munged's socket alone: who takes it over can't take the key away."""
    pod = pods(render(EVERYTHING))["headnode"]
    mounted = {mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]}
    assert "munge" in mounted
    assert "munge-key" not in mounted


@each_case
def test_probes_ask_for_the_heartbeat(values: Object) -> None:
    """Workers and beat live by the file that their main loop renews; no broker is asked."""
    for name, pod in pods(render(values)).items():
        if name in {*WORKERS, "beat"}:
            (container,) = pod["spec"]["containers"]
            assert container["livenessProbe"]["exec"]["command"] == ["slurm-tasks", "health"]
            assert container["startupProbe"]["exec"]["command"] == ["slurm-tasks", "health"]
            folder = environment(pod)["HEARTBEAT_FILE"].rpartition("/")[0]
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert {"name": mounts[folder], "emptyDir": {"sizeLimit": "16Mi"}} in pod["spec"][
                "volumes"
            ]


@each_case
def test_every_variable_is_a_setting(values: Object) -> None:
    """What the chart sets is read by the service (settings.py) or by Flower."""
    users = {entry["name"] for entry in values.get("extraEnv", [])} | {"CONTROL_ONLY"}
    for name, pod in pods(render(values)).items():
        for variable in environment(pod).keys() - users:
            if name == "flower" and variable.startswith("FLOWER_"):
                assert variable.removeprefix("FLOWER_").lower() in default_options
            else:
                assert variable in SETTINGS


@each_case
def test_the_service_accepts_its_environment(
    values: Object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker's variables are valid for the groups of settings that it reads."""
    groups: dict[str, tuple[type[settings.Group], ...]] = {
        "control": (settings.Service, settings.Waldur),
        "headnode": (settings.Service, settings.Slurm),
        "beat": (settings.Service,),
    }
    without_files: Object = {
        "waldur": {"caConfigMap": ""},
        "broker": {"tls": {"caConfigMap": "", "clientSecret": ""}},
    }
    for name, pod in pods(render(merge(values, without_files))).items():
        with monkeypatch.context() as patch:
            for variable in SETTINGS:
                patch.delenv(variable, raising=False)
            for variable, value in environment(pod).items():
                patch.setenv(variable, value)
            settings.check(groups.get(name, ()))


def test_the_brokers_certificates_are_where_the_settings_say() -> None:
    """In every pod of the service: the CA's, and the client's with its key."""
    tls = {"CELERY_TLS_VERIFY": "ca/ca.crt", "CELERY_TLS_CERT": "tls/tls.crt"}
    tls["CELERY_TLS_KEY"] = "tls/tls.key"
    sources = {
        "broker-ca": {"configMap": {"name": "broker-ca"}},
        "broker-tls": {"secret": {"secretName": "broker-client"}},
    }
    for pod in pods(render(EVERYTHING)).values():
        (container,) = pod["spec"]["containers"]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        assert (mounts["broker-ca"], mounts["broker-tls"]) == ("/etc/broker/ca", "/etc/broker/tls")
        for name, source in sources.items():
            assert {"name": name, **source} in pod["spec"]["volumes"]
        found = environment(pod)
        assert {name: found[name] for name in tls} == {
            n: f"/etc/broker/{f}" for n, f in tls.items()
        }
        assert found["CELERY_SENTINEL_MASTER"] == "site"


def test_values_reach_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Large numbers, switches and names arrive as they were written."""
    values = {
        "sync": {"direction": "pull", "usageInterval": 5_000_000},
        "readOnly": True,
        "headnode": {**HEADNODE, "commandTimeout": 90, "allocationPrefix": "lab-"},
    }
    for variable, value in environment(pods(render(merge(MINIMAL, values)))["headnode"]).items():
        monkeypatch.setenv(variable, value)
    service, slurm = settings.load(settings.Service), settings.load(settings.Slurm)
    assert (service.direction, service.usage_interval, service.read_only) == ("pull", 5e6, True)
    assert (slurm.deployment, slurm.timeout, slurm.allocation_prefix) == ("native", 90, "lab-")


@pytest.mark.parametrize("component", sorted(WORKERS))
def test_metrics_are_served_where_prometheus_looks(component: str) -> None:
    """A worker's METRICS_PORT at the pod's address is the port that is declared and annotated."""
    pod = pods(render(EVERYTHING))[component]
    (container,) = pod["spec"]["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    assert env["METRICS_PORT"]["value"] == "9464"
    assert env["METRICS_ADDRESS"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    assert {"name": "metrics", "containerPort": 9464} in container["ports"]
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9464"


def test_the_pod_monitor_finds_the_workers() -> None:
    """It chooses the pods that serve metrics, and no others, by a port that they have."""
    objects = render(EVERYTHING)
    (monitor,) = of_kind(objects, "PodMonitor").values()
    selector = monitor["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    chosen = {
        name
        for name, pod in pods(objects).items()
        if selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
        and pod["metadata"]["labels"][expression["key"]] in expression["values"]
    }
    assert chosen == WORKERS
    assert [end["port"] for end in monitor["spec"]["podMetricsEndpoints"]] == ["metrics"]


def test_common_values_reach_all_pods_of_the_service() -> None:
    """What is meant for all pods is in all, what is meant for one component in that alone."""
    found = pods(render(EVERYTHING))
    for pod in found.values():
        (container,) = pod["spec"]["containers"]
        assert environment(pod)["HTTPS_PROXY"] == "http://proxy.example.com:3128"
        assert container["envFrom"] == [{"configMapRef": {"name": "more"}}]
        assert {"name": "ca", "mountPath": "/etc/sites-ca"} in container["volumeMounts"]
        assert pod["spec"]["serviceAccountName"] == "tasks"
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["spec"]["priorityClassName"] == "high"
        assert pod["metadata"]["labels"]["team"] == "hpc"
        assert pod["metadata"]["annotations"]["note"] == "a note"
    assert found["beat"]["spec"]["nodeSelector"] == {"zone": "a"}
    assert found["beat"]["spec"]["tolerations"] == [{"operator": "Exists"}]
    assert found["headnode"]["spec"]["hostAliases"][0]["ip"] == "192.0.2.7"
    with_own = {name for name, pod in found.items() if "CONTROL_ONLY" in environment(pod)}
    assert with_own == {"control", "check"}


def test_the_head_node_worker_is_the_clusters_administrator() -> None:
    """It runs as the uid, and from the image, that the site names for it; others don't."""
    found = pods(render(EVERYTHING))
    users = {name: pod["spec"]["securityContext"]["runAsUser"] for name, pod in found.items()}
    assert users.pop("headnode") == 1_000_690_000
    assert set(users.values()) == {10001}
    images = {name: pod["spec"]["containers"][0]["image"] for name, pod in found.items()}
    assert images["headnode"] == "registry.example.com/slurm-client:24.11"
    assert images["control"] == images["beat"] == images["flower"] == "waldur-slurm-tasks:0.1.0"


def test_helm_test_checks_the_installation() -> None:
    """`helm test` runs `slurm-tasks check`, once, with the control worker's settings."""
    found = pods(render(MINIMAL))
    check, control = found["check"], found["control"]
    assert check["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert check["spec"]["restartPolicy"] == "Never"
    assert check["spec"]["containers"][0]["args"] == ["check"]
    workers_only = {"HEARTBEAT_FILE"}
    assert environment(control).keys() - environment(check).keys() == workers_only
