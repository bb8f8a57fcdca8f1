from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.kafka import broker
from local.postgres import server
from tests.cloud.shop import Shop
from tests.cloud.stack import Cloud
from tests.infra.places import program
from tests.real import require


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    require("PostgreSQL", server.available(), server.INSTALL)
    require("Terraform", program().exists(), "run `make real-parts`")
    with Cloud(tmp_path_factory.mktemp("cloud")) as made:
        made.start()
        yield made


@pytest.fixture(scope="session")
def shop(cloud: Cloud) -> Iterator[Shop]:
    made = Shop.cloned(cloud)
    yield made
    made.store.close()
