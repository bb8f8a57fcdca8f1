"""What is written down of the chart out of its values: ``python -m local.helm.table`` (`make docs`)."""
