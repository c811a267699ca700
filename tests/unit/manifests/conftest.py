"""An environment that uses everything a manifest can show."""

from pathlib import Path
from typing import Any

import pytest

from weighbridge.domain.weights import SourceFile, SourceListing
from weighbridge.environment.types import Environment
from weighbridge.manifests.surroundings import Surroundings

DOCUMENT: dict[str, Any] = {
    "name": "stage",
    "cluster": {"context": "stage-admin", "namespace": "cpd-instance"},
    "trust": {"ca_bundle": "ca.pem"},
    "proxy": {"https": "http://proxy.example.com:3128", "no_proxy": [".svc", ".example.com"]},
    "platform": {"version": "5.2"},
    "state": {"backend": "file://./state", "passphrase": {"env": "PASSPHRASE"}},
    "pods": {
        "image": "registry.example.com/ubi9/python-311@sha256:" + "0" * 64,
        "pull_secret": "mirror",
        "service_account": "weighbridge",
        "labels": {"cost-centre": "ml"},
        "node_selector": {"node-role.kubernetes.io/worker": ""},
        "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"}],
        "resources": {"cpu": "1", "memory": "1Gi"},
    },
    "models": [
        {
            "id": "Example/Model_13b",
            "source": {
                "s3": {
                    "bucket": "models",
                    "prefix": "example-13b/",
                    "endpoint": "https://s3.example.com",
                    "credentials": {"access_key": {"env": "S3_KEY"}, "secret_key": {"file": "keys/secret"}},
                }
            },
            "storage": {"storage_class": "ocs-storagecluster-cephfs", "keep": 2},
            "tags": ["example", "13b"],
            "functions": ["embedding"],
            "parameters": {
                "dtype": {"default": "float16", "options": ["float16", "bfloat16"]},
                "max_new_tokens": {"default": 2048, "min": 20, "max": 4096},
                "temperature": {"default": 1e-05},
                "chat_template": {"default": "{{ x }}\n{% raw %}: 'a' # \"b\""},
            },
        },
        {
            "id": "plain",
            "source": {
                "s3": {
                    "bucket": "models",
                    "prefix": "plain/",
                    "endpoint": "https://s3.example.com",
                    "credentials": {"secret": "s3-keys"},
                }
            },
            "storage": {"existing_pvc": "their-claim"},
            "routes": ["fetch"],
        },
    ],
}


@pytest.fixture(scope="session")
def environment() -> Environment:
    return Environment.model_validate(DOCUMENT, strict=False)


@pytest.fixture(scope="session")
def listing() -> SourceListing:
    return SourceListing(
        (
            SourceFile("config.json", 600, "0f343b0931126a20f133d67c2b018a3b"),
            SourceFile(
                "model-00001-of-00001.safetensors", 26_000_000_000, "d41d8cd98f00b204e9800998ecf8427e-400"
            ),
            SourceFile("tokenizer.json", 2_000_000, "9bb58f26192e4ba00f01e2e7b136bbd8"),
        )
    )


@pytest.fixture(scope="session")
def around() -> Surroundings:
    pem = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
    return Surroundings(
        folder=Path("/home/user/environments"), cluster_uid="uid", ca_pem=pem, mover=b"the mover"
    )
