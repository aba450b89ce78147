"""Values that sites may have, from the least to everything at once."""

from tests.helm.chart import Object, merge

TOKEN = "0123456789abcdeffedcba98765432100f1e2d3c"
PASSWORD = "a-password-of-valkey_1"
FLOWER = "operator:a-password-of-flower"
DSN = "https://a-key-of-sentry@sentry.example.com/7"
SECRETS = (TOKEN, PASSWORD, FLOWER, DSN)

TRES = """\
cpu: {limit: 1000000, measured_unit: CPU-hours, accounting_type: limit, label: CPU, unit_factor: 60}
"""

MINIMAL: Object = {
    "waldur": {
        "apiUrl": "https://waldur.example.com/api/",
        "offeringUuid": "9c1e0d5b7a3f4e2d8b6a5c4d3e2f1a0b",
        "token": {"existingSecret": "waldur"},
    },
    "broker": {"url": {"existingSecret": "broker"}},
    "tresConfiguration": TRES,
}

TRIAL: Object = {
    "waldur": {**MINIMAL["waldur"], "token": {"value": TOKEN}},
    "tresConfiguration": TRES,
    "valkey": {"enabled": True, "password": PASSWORD},
    "flower": {"enabled": True, "auth": {"value": FLOWER}},
    "sentry": {"dsn": {"value": DSN}},
}

HEADNODE: Object = {
    "enabled": True,
    "image": {"repository": "registry.example.com/slurm-client", "tag": "24.11"},
    "runAsUser": 1_000_690_000,
    "munge": {"keySecret": "munge"},
    "confConfigMap": "slurm-conf",
}

EVERYTHING: Object = merge(
    MINIMAL,
    {
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "tasks",
        "priorityClassName": "high",
        "podLabels": {"team": "hpc", "app.kubernetes.io/name": "somebody's"},
        "podAnnotations": {"note": "a note"},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}],
        "extraEnvFrom": [{"configMapRef": {"name": "more"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "sites-ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/sites-ca"}],
        "waldur": {"caConfigMap": "waldur-ca"},
        "broker": {
            "tls": {"caConfigMap": "broker-ca", "clientSecret": "broker-client"},
            "sentinel": {
                "master": "site",
                "username": "guard",
                "password": {"existingSecret": "sentinel"},
                "tls": True,
            },
        },
        "sync": {"usageInterval": 5_000_000},
        "sentry": {"dsn": {"existingSecret": "sentry"}, "environment": "production"},
        "metrics": {"port": 9464, "annotations": True, "podMonitor": {"enabled": True}},
        "control": {"replicas": 2, "extraEnv": [{"name": "CONTROL_ONLY", "value": "1"}]},
        "beat": {"nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}]},
        "flower": {"enabled": True, "auth": {"existingSecret": "flower"}},
        "headnode": {
            **HEADNODE,
            "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["slurmctl"]}],
        },
        "networkPolicy": {
            "broker": {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
            "extraEgress": [{"ports": [{"port": 3128}]}],
        },
    },
)

CASES: dict[str, Object] = {
    "minimal": MINIMAL,
    "trial": TRIAL,
    "everything": EVERYTHING,
    "the node's munged": merge(
        MINIMAL,
        {"headnode": {**HEADNODE, "munge": {"hostFolder": "/run/munge"}}},
    ),
    "only the head node": {
        "control": {"enabled": False},
        "beat": {"enabled": False},
        "broker": MINIMAL["broker"],
        "headnode": HEADNODE,
    },
    "no policies": merge(MINIMAL, {"networkPolicy": {"enabled": False}}),
}
