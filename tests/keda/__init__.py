"""KEDA itself with the chart, on real servers: ``python -m tests.keda.scaling`` (`make keda`). No part of the tests."""
